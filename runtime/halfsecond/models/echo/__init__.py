"""Models that take the face's own voice out of the microphone."""
