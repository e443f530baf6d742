"""One photo and a voice become a face that answers aloud within half a second, offline."""

from __future__ import annotations

from halfsecond.client import Client, Disconnected, Received
from halfsecond.errors import HalfsecondError

__all__ = ["Client", "Disconnected", "HalfsecondError", "Received", "__version__"]

__version__ = "0.1.0"
