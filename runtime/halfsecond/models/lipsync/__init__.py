"""Models of lip-sync drivers."""
