"""Wav2Lip checkpoints as artifacts, with what they lose on the way; and a small one to try it on."""
