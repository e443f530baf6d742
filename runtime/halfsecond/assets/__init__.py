"""Files that the demonstration needs; assets/README.md tells their origin and licence."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path


def asset(name: str) -> Path:
    """The path of a file that ships with the package."""
    return Path(str(files(__name__) / name))
