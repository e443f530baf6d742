"""What runs a network: ONNX Runtime or TensorRT, on a CPU or a GPU, behind one protocol."""

from halfsecond.sessions.opening import open_session
from halfsecond.sessions.session import Device, Priority, Session

__all__ = ["Device", "Priority", "Session", "open_session"]
