"""Models of voice activity."""
