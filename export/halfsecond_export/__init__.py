"""Source weights in, verified artifacts for this machine out."""
