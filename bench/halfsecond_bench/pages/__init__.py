"""Pages that a person reads: one HTML file each, which needs nothing from anywhere."""
