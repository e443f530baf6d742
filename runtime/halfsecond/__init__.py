"""One photo and a voice become a face that answers aloud within half a second, offline."""

from __future__ import annotations

from halfsecond.blocking import BlockingClient
from halfsecond.client import Client, Disconnected, Received
from halfsecond.errors import HalfsecondError
from halfsecond.recording import Reply

__all__ = [
    "BlockingClient",
    "Client",
    "Disconnected",
    "HalfsecondError",
    "Received",
    "Reply",
    "__version__",
]

__version__ = "0.1.0"
