"""What the torch-free half of the exporters does: `models fetch` runs it."""
