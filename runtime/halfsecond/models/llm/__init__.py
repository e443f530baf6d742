"""Models of answerers."""
