"""Tokens and their secret."""

from __future__ import annotations

from pathlib import Path

import jwt
import pytest

from halfsecond.errors import AccessError, ConfigError
from halfsecond.gateway.tokens import Tokens, load_secret, make_secret

SECRET = bytes(range(32))
NOON_S = 1_800_000_000.0


def tokens(at_s: float = NOON_S, secret: bytes = SECRET) -> Tokens:
    return Tokens(secret, clock=lambda: at_s)


def test_a_token_says_who_may_do_what_until_when() -> None:
    token = tokens().issue(name="lobby", scopes=["operate", "talk"], lasts_s=60)
    bearer = tokens().read(token)
    assert bearer.name == "lobby"
    assert bearer.scopes == {"talk", "operate"}
    assert bearer.expires_s == NOON_S + 60


def test_an_expired_token_is_refused_with_the_command_that_makes_another() -> None:
    token = tokens().issue(name="lobby", scopes=["talk"], lasts_s=60)
    assert tokens(NOON_S + 89).read(token)
    with pytest.raises(AccessError, match=r"expired.*halfsecond token"):
        tokens(NOON_S + 91).read(token)


def test_a_token_of_the_future_tells_of_a_wrong_clock() -> None:
    token = tokens().issue(name="lobby", scopes=["talk"], lasts_s=60)
    with pytest.raises(AccessError, match=r"clock .* is wrong.*timedatectl"):
        tokens(NOON_S - 3600).read(token)


@pytest.mark.parametrize(
    ("claims", "key", "algorithm"),
    [
        ({"aud": "halfsecond-gateway"}, bytes(32), "HS256"),  # another secret
        ({"aud": "somebody-else"}, SECRET, "HS256"),
        ({}, SECRET, "HS256"),  # no audience
        ({"aud": "halfsecond-gateway", "exp": None}, SECRET, "HS256"),
        ({"aud": "halfsecond-gateway"}, SECRET + SECRET, "HS512"),
        ({"aud": "halfsecond-gateway"}, "", "none"),
    ],
)
def test_a_forged_token_is_refused(claims: dict[str, object], key: bytes, algorithm: str) -> None:
    whole = {"sub": "x", "iat": NOON_S, "exp": NOON_S + 60, "scope": "operate", **claims}
    forged = jwt.encode({k: v for k, v in whole.items() if v is not None}, key, algorithm=algorithm)
    with pytest.raises(AccessError):
        tokens().read(forged)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "x" * 5000, "ä.ö.ü"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(AccessError):
        tokens().read(token)


def test_scopes_that_are_not_known_allow_nothing() -> None:
    forged = {"sub": "x", "aud": "halfsecond-gateway", "iat": NOON_S, "exp": NOON_S + 9,
              "scope": "everything"}  # fmt: skip
    assert tokens().read(jwt.encode(forged, SECRET, algorithm="HS256")).scopes == frozenset()


def test_a_secret_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "token.secret"
    secret = make_secret(path)
    assert len(secret) == 32
    assert make_secret(path) == secret == load_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    with pytest.raises(ConfigError, match=r"others can read .* chmod 600"):
        load_secret(path)


def test_a_missing_or_weak_secret_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="halfsecond token"):
        load_secret(tmp_path / "none")
    weak = tmp_path / "weak"
    weak.write_text("00ff")
    weak.chmod(0o600)
    with pytest.raises(ConfigError, match="shorter than 32 bytes"):
        load_secret(weak)
