"""Models of the end of a turn."""
