"""A CA of the kiosk's own: real TLS handshakes, and what a certificate is good for."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from pathlib import Path

import pytest

from halfsecond.config import GatewayConfig
from halfsecond.errors import ConfigError
from halfsecond.gateway.certificates import make_certificate, read_validity
from halfsecond.gateway.running import check_exposure

DAY_S = 86_400.0


def shaken_hands(certificate: Path, ca: Path, name: str) -> str:
    """The protocol of a TLS connection to a server with that certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, certificate.with_suffix(".key"))
    client = ssl.create_default_context(cafile=str(ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python does by itself from 3.13 on
    ours, theirs = socket.socketpair()
    with ours, theirs:
        refused: list[ssl.SSLError] = []

        def accept() -> None:
            try:
                with server.wrap_socket(theirs, server_side=True) as tls:
                    tls.recv(1)
            except ssl.SSLError as error:
                refused.append(error)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            with client.wrap_socket(ours, server_hostname=name) as tls:
                tls.send(b"x")
                return tls.version() or ""
        finally:
            ours.close()
            thread.join(5)


@pytest.mark.parametrize("name", ["kiosk.local", "192.168.7.20"])
def test_a_browser_that_trusts_the_ca_trusts_the_kiosk(tmp_path: Path, name: str) -> None:
    made = make_certificate(tmp_path, ["kiosk.local", "192.168.7.20"], clock=time.time)
    assert shaken_hands(made, tmp_path / "ca.crt", name) == "TLSv1.3"


def test_one_that_does_not_refuses_it(tmp_path: Path) -> None:
    made = make_certificate(tmp_path / "a", ["kiosk.local"], clock=time.time)
    make_certificate(tmp_path / "b", ["kiosk.local"], clock=time.time)
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken_hands(made, tmp_path / "b" / "ca.crt", "kiosk.local")
    with pytest.raises(ssl.SSLCertVerificationError):
        shaken_hands(made, tmp_path / "a" / "ca.crt", "other.local")


def test_a_new_certificate_is_signed_by_the_same_ca(tmp_path: Path) -> None:
    make_certificate(tmp_path, ["old.local"], clock=time.time)
    ca = (tmp_path / "ca.crt").read_bytes()
    made = make_certificate(tmp_path, ["new.local"], clock=time.time)
    assert (tmp_path / "ca.crt").read_bytes() == ca
    assert shaken_hands(made, tmp_path / "ca.crt", "new.local")


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    make_certificate(tmp_path, ["kiosk.local"], clock=time.time)
    for name in ("ca.key", "server.key"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_validity_tells_of_an_old_certificate_and_of_a_wrong_clock(tmp_path: Path) -> None:
    made = make_certificate(tmp_path, ["kiosk.local"], clock=lambda: 1_800_000_000.0)
    now = read_validity(made, clock=lambda: 1_800_000_000.0)
    assert now.names == ["kiosk.local"]
    assert now.days_left == pytest.approx(396)
    assert not now.is_not_yet
    assert read_validity(made, clock=lambda: 1_800_000_000.0 + 400 * DAY_S).days_left < 0
    assert read_validity(made, clock=lambda: 1_800_000_000.0 - 30 * DAY_S).is_not_yet


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.7.20", "::", "kiosk.local"])
def test_an_address_that_others_can_reach_is_refused_without_its_locks(host: str) -> None:
    with pytest.raises(ConfigError, match="halfsecond certificate"):
        check_exposure(GatewayConfig(host=host))
    with pytest.raises(ConfigError, match="halfsecond token"):
        check_exposure(GatewayConfig(host=host, certificate="server.crt"))
    check_exposure(GatewayConfig(host=host, certificate="server.crt", token_secret="secret"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    check_exposure(GatewayConfig(host=host))
