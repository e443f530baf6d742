"""CURVE keys: who may connect, and how each side proves who it is.

A key directory holds `server.key`, `server.key_secret`, and `clients/` with one `NAME.key` for
each client that may connect (the files are pyzmq's certificates). A client's directory holds
`server.key`, its own `client.key` and `client.key_secret`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq
import zmq.auth
from zmq.auth.asyncio import AsyncioAuthenticator

from halfsecond.errors import ConfigError

CLIENTS = "clients"


@dataclass(frozen=True)
class ServerKeys:
    """A server's key pair, and the directory of public keys that may connect."""

    public: bytes
    secret: bytes
    clients: Path

    def guard(self, context: Any, socket: Any) -> AsyncioAuthenticator:
        """Makes the socket a CURVE server that admits the clients of the allow-list only.

        The caller keeps the authenticator and stops it with the socket.
        """
        authenticator = AsyncioAuthenticator(context)
        authenticator.start()
        authenticator.configure_curve(domain="*", location=str(self.clients))
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret
        socket.curve_server = True
        return authenticator


@dataclass(frozen=True)
class ClientKeys:
    """A client's key pair, and the server's public key."""

    public: bytes
    secret: bytes
    server: bytes

    def apply(self, socket: Any) -> None:
        """Makes the socket a CURVE client of that server."""
        socket.curve_publickey = self.public
        socket.curve_secretkey = self.secret
        socket.curve_serverkey = self.server


def create(directory: Path, *, client: str) -> Path:
    """Makes the server's keys where there are none, and a pair for `client`; returns its directory.

    Raises:
        ConfigError: a client of that name has a key already, or it is no name for a file.
    """
    if client != Path(client).name or client.startswith(".") or client in ("", CLIENTS):
        raise ConfigError(f"{client!r} is no name for a client; take letters and digits")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (directory / "server.key_secret").exists():
        zmq.auth.create_certificates(str(directory), "server")
    own = directory / client
    if own.exists():
        raise ConfigError(f"{own} exists already; remove it, or choose another name")
    own.mkdir(mode=0o700)
    zmq.auth.create_certificates(str(own), "client")
    (own / "server.key").write_bytes((directory / "server.key").read_bytes())
    allowed = directory / CLIENTS
    allowed.mkdir(exist_ok=True)
    (allowed / f"{client}.key").write_bytes((own / "client.key").read_bytes())
    for secret in (directory / "server.key_secret", own / "client.key_secret"):
        secret.chmod(0o600)
    return own


def load_server_keys(directory: Path) -> ServerKeys:
    """The keys of a server; raises ConfigError when they are missing."""
    public, secret = _load(directory / "server.key_secret")
    return ServerKeys(public=public, secret=secret, clients=directory / CLIENTS)


def load_client_keys(directory: Path) -> ClientKeys:
    """The keys of a client; raises ConfigError when they are missing."""
    public, secret = _load(directory / "client.key_secret")
    server, _ = _load(directory / "server.key", is_secret=False)
    return ClientKeys(public=public, secret=secret, server=server)


def _load(path: Path, *, is_secret: bool = True) -> tuple[bytes, bytes]:
    try:
        public, secret = zmq.auth.load_certificate(str(path))
    except (OSError, ValueError) as error:
        raise ConfigError(f"no key at {path} ({error}); run `halfsecond keys`") from error
    if secret is None and is_secret:
        raise ConfigError(f"{path} holds no secret key; run `halfsecond keys`")
    return public, secret or b""
