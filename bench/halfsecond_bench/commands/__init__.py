"""The commands of `halfsecond bench`, a file each; `cli.py` lists them."""
