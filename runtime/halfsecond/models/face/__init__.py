"""Models of faces and landmarks."""
