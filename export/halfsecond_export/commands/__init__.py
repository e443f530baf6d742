"""The commands of `halfsecond export`, a file each."""
