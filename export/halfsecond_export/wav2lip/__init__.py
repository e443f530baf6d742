"""Wav2Lip checkpoints as artifacts, and what they lose on the way; a small one to try it on."""
