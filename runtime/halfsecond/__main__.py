"""`python -m halfsecond`."""

from halfsecond.cli import main

main()
