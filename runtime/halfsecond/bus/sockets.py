"""ZeroMQ sockets with the defaults that would drop, grow or hang replaced."""

from __future__ import annotations

import ipaddress
import socket as socket_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zmq
import zmq.asyncio

from halfsecond.errors import ConfigError

HEARTBEAT_MS = 1000
HEARTBEAT_TIMEOUT_MS = 4000
HIGH_WATER_MESSAGES = 64
"""Some two seconds of frames and audio. libzmq's 1000 would hide a stalled peer for 40 s."""


def dealer(context: zmq.asyncio.Context, *, max_message_bytes: int) -> zmq.asyncio.Socket:
    """A client's or a stage caller's socket, not yet connected.

    IMMEDIATE: nothing is queued for a peer that is not there.
    """
    socket = context.socket(zmq.DEALER)
    _bound(socket, max_message_bytes)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, 100)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 2000)
    return socket


def router(context: zmq.asyncio.Context, *, max_message_bytes: int) -> zmq.asyncio.Socket:
    """A server's socket, not yet bound.

    ROUTER_MANDATORY: a message that cannot be delivered is an error instead of lost in silence.
    """
    socket = context.socket(zmq.ROUTER)
    _bound(socket, max_message_bytes)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    return socket


def _bound(socket: Any, max_message_bytes: int) -> None:
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, HIGH_WATER_MESSAGES)
    socket.setsockopt(zmq.RCVHWM, HIGH_WATER_MESSAGES * 4)
    socket.setsockopt(zmq.MAXMSGSIZE, max_message_bytes)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS)


def bind(socket: zmq.asyncio.Socket, address: str, *, has_keys: bool) -> str:
    """Binds and returns the address that clients connect to (with the port that was chosen).

    The directory of an `ipc://` address is made with mode 0700, which is what protects it.

    Raises:
        ConfigError: no address, one that cannot be bound or is taken, or one that is open to
            others while there are no keys.
    """
    check_exposure(address, has_keys=has_keys)
    if address.startswith("ipc://"):
        path = Path(address[len("ipc://") :])
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_listening(path):  # libzmq would take the path from whoever listens there
            raise ConfigError(f"another server listens at {address}; stop it, or choose another")
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        raise ConfigError(f"cannot listen at {address}: {error.strerror}") from error
    return socket.getsockopt_string(zmq.LAST_ENDPOINT)


def check_address(address: str) -> None:
    """Raises ConfigError for what is no ZeroMQ address of a kind that is used here."""
    scheme, separator, rest = address.partition("://")
    has_port = scheme != "tcp" or rest.rpartition(":")[2] not in ("", rest)
    if not separator or scheme not in ("ipc", "tcp", "inproc") or not rest or not has_port:
        raise ConfigError(
            f"{address!r} is no address; expected ipc:///path/to/socket or tcp://host:port"
        )


def check_exposure(address: str, *, has_keys: bool) -> None:
    """Raises ConfigError for no address, or one that is open to others while there are no keys."""
    check_address(address)
    if not has_keys and not is_private(address):
        raise ConfigError(
            f"{address} can be reached from other machines, so it needs keys: run "
            "`halfsecond keys` and set server.keys, or bind ipc:// or tcp://127.0.0.1"
        )


def _is_listening(path: Path) -> bool:
    """Whether a process accepts connections at a Unix socket; one that was left behind does not."""
    with socket_module.socket(socket_module.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def is_private(address: str) -> bool:
    """Whether only this machine can reach the address."""
    if address.startswith(("ipc://", "inproc://")):
        return True
    host = urlsplit(address).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # "*", an interface or a name
