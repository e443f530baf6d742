"""One photo and a voice become a face that answers aloud within half a second, offline."""

from __future__ import annotations

import os

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

# ONNX Runtime's newer wheels (1.32) write an identifier of the machine into ~/.cache when they are
# imported, and report to Microsoft. This stops both for this process and for those that it starts,
# if it is set before (ONNX Runtime's Privacy.md).
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
