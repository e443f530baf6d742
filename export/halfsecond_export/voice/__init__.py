"""Reference recordings to voiceprints; needs no torch."""
