"""Tells systemd how this process is, as sd_notify(3) does, without its library."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """The manager that started this process; where there is none, nothing is told.

    address: a Unix datagram socket; `@` stands for the null byte of an abstract one.
    watchdog_s: without a sign of life for this long the manager starts the process again; None
        where it does not watch.
    """

    def __init__(self, address: str = "", *, watchdog_s: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_s = watchdog_s

    @classmethod
    def of(cls, environ: Mapping[str, str], *, pid: int | None = None) -> ServiceManager:
        """The one that the environment names (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID)."""
        pid = os.getpid() if pid is None else pid
        is_watched = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        limit_us = environ.get("WATCHDOG_USEC", "")
        return cls(
            environ.get("NOTIFY_SOCKET", ""),
            watchdog_s=int(limit_us) / 1e6 if is_watched and limit_us.isdigit() else None,
        )

    def ready(self, status: str) -> None:
        """Everything is loaded, and clients are let in."""
        self._tell(READY="1", STATUS=status)

    def beat(self, status: str) -> None:
        """A sign of life."""
        self._tell(WATCHDOG="1", STATUS=status)

    def say(self, status: str) -> None:
        """One line for `systemctl status`; no sign of life."""
        self._tell(STATUS=status)

    def stopping(self) -> None:
        """What follows is an orderly end."""
        self._tell(STOPPING="1")

    def _tell(self, **state: str) -> None:
        if not self._address:
            return
        message = "\n".join(f"{key}={' '.join(value.split())}" for key, value in state.items())
        # A manager that is gone, or is too busy to listen, must not end the service.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as end,
        ):
            end.setblocking(False)
            end.sendto(message.encode(), self._address)
