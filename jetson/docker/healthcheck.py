"""Exits with 0 when the server answers `clock` (docs/wire.md); takes no session for it."""

import sys
import time

import msgspec
import zmq

ADDRESS = "ipc:///run/halfsecond/server.ipc"

socket = zmq.Context().socket(zmq.DEALER)
socket.setsockopt(zmq.LINGER, 0)
socket.setsockopt(zmq.IMMEDIATE, 1)
socket.setsockopt(zmq.SNDTIMEO, 3000)
socket.connect(sys.argv[1] if len(sys.argv) > 1 else ADDRESS)
message = {"type": "clock", "client_s": time.monotonic()}
try:
    socket.send_multipart([msgspec.msgpack.encode(message), b""])
except zmq.Again:
    sys.exit("nobody listens")
if not socket.poll(3000):
    sys.exit("the server does not answer")
