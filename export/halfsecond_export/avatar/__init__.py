"""One photo to a face that is ready to speak."""
