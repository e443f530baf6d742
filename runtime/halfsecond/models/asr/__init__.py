"""Models of recognisers."""
