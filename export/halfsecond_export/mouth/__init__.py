"""Mouths that are learned once per avatar from a Wav2Lip generator, and run instead of it."""
