"""One photo and a voice become a face that answers aloud within half a second, offline."""

__version__ = "0.1.0"
