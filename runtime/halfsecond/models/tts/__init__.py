"""Models of voices."""
