"""Tokens: who may talk, upload and operate, and for how long (JWT, HS256)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import jwt
import msgspec

from halfsecond.errors import AccessError, ConfigError

Scope = Literal["talk", "upload", "operate"]
SCOPES: tuple[Scope, ...] = ("talk", "upload", "operate")
AUDIENCE = "halfsecond-gateway"
ALGORITHM = "HS256"
SECRET_BYTES = 32
"""As long as the hash, as RFC 7518 (3.2) asks for HS256."""
LEEWAY_S = 30.0
"""Clocks of two machines differ by so much without anybody noticing."""
MAX_TOKEN_CHARS = 2048

WallClock = Callable[[], float]
"""Seconds since 1970."""


class Bearer(msgspec.Struct, frozen=True):
    """Who came, and what the token allows."""

    name: str
    scopes: frozenset[Scope]
    expires_s: float
    """Seconds since 1970; infinite where no tokens are asked for."""


ANYBODY = Bearer("this machine", frozenset(SCOPES), float("inf"))
"""On loopback without a secret: whoever is on this machine already."""


class Tokens:
    """Makes tokens with a secret, and reads them."""

    def __init__(self, secret: bytes, *, clock: WallClock) -> None:
        self._secret = secret
        self._clock = clock

    def issue(self, *, name: str, scopes: Iterable[Scope], lasts_s: float) -> str:
        """A token for `name` that expires after `lasts_s`."""
        now_s = self._clock()
        claims = {
            "sub": name,
            "aud": AUDIENCE,
            "iat": int(now_s),
            "exp": int(now_s + lasts_s),
            "scope": " ".join(sorted(scopes)),
        }
        return jwt.encode(claims, self._secret, algorithm=ALGORITHM)

    def read(self, token: str) -> Bearer:
        """Who a token was made for.

        Raises:
            AccessError: too long, signed by another secret, or expired; or it is none.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise AccessError(f"a token has at most {MAX_TOKEN_CHARS} characters")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={
                    "require": ["exp", "iat", "sub", "aud"],
                    "verify_exp": False,  # below, by the clock that was passed in
                    "verify_iat": False,
                },
            )
        except jwt.InvalidTokenError as error:
            raise AccessError(
                f"the token is not one of this gateway ({error}); make one with `halfsecond token`"
            ) from error
        return self._bearer(claims)

    def _bearer(self, claims: dict[str, object]) -> Bearer:
        issued_s, expires_s = claims.get("iat"), claims.get("exp")
        if not isinstance(issued_s, int | float) or not isinstance(expires_s, int | float):
            raise AccessError("the token does not say when it was made, or when it expires")
        now_s = self._clock()
        if now_s > expires_s + LEEWAY_S:
            raise AccessError("the token has expired; make another with `halfsecond token`")
        if now_s < issued_s - LEEWAY_S:
            raise AccessError(
                "the token was made in the future: the clock of this machine, or of the one that "
                "made it, is wrong; set it (timedatectl)"
            )
        named = str(claims.get("scope", "")).split()
        scopes: list[Scope] = [scope for scope in SCOPES if scope in named]
        return Bearer(str(claims["sub"]), frozenset(scopes), float(expires_s))


def make_secret(path: Path) -> bytes:
    """The secret of a file, which is made (for its owner only) where there is none.

    Raises:
        ConfigError: it cannot be written, or read.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return load_secret(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(SECRET_BYTES) + "\n")
    return load_secret(path)


def load_secret(path: Path) -> bytes:
    """The secret of a file; raises ConfigError where there is none, or others can read it."""
    try:
        mode = path.stat().st_mode
        text = path.read_text(encoding="ascii").strip()
        secret = bytes.fromhex(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"there is no token secret at {path}; `halfsecond token` makes one"
        ) from error
    if mode & 0o077:
        raise ConfigError(f"others can read the token secret {path}; chmod 600 it")
    if len(secret) < SECRET_BYTES:
        raise ConfigError(f"the token secret {path} is shorter than {SECRET_BYTES} bytes")
    return secret
