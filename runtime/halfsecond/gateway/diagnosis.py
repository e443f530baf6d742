"""What `halfsecond doctor` finds out about the browser's way in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

from halfsecond.config import Config, GatewayConfig
from halfsecond.diagnosis import Finding
from halfsecond.errors import ConfigError
from halfsecond.gateway.certificates import SOON_DAYS, read_validity
from halfsecond.gateway.running import certificate_key, check_exposure
from halfsecond.gateway.tokens import WallClock, load_secret
from halfsecond.gateway.webrtc import ice_servers

ANOTHER_CERTIFICATE = "halfsecond certificate DIRECTORY --name NAME, and start the gateway again"


def examine_gateway(config: Config, *, clock: WallClock) -> Iterator[Finding]:
    """Looks at address, certificate, tokens and the portrait's place."""
    gateway = config.gateway
    yield _exposure(gateway)
    if gateway.certificate:
        yield _certificate(gateway, clock)
    if gateway.token_secret:
        yield _secret(gateway)
    try:
        ice_servers(gateway.ice_servers)
    except ConfigError as error:
        yield Finding("gateway", "error", str(error), "correct gateway.ice_servers")


def _exposure(gateway: GatewayConfig) -> Finding:
    where = f"{gateway.host} port {gateway.port}"
    try:
        check_exposure(gateway)
    except ConfigError as error:
        return Finding("gateway", "error", str(error), 'or set gateway.host = "127.0.0.1"')
    if not _is_ours(gateway.host):
        return Finding(
            "gateway", "error", f"{gateway.host} is no address of this machine",
            "a config of another board: set gateway.host to one of `ip address`, or to 0.0.0.0",
        )  # fmt: skip
    return Finding("gateway", "ok", where)


def _is_ours(host: str) -> bool:
    """Whether a socket can be bound there; at any port, for a gateway may be running."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def _certificate(gateway: GatewayConfig, clock: WallClock) -> Finding:
    try:
        validity = read_validity(Path(gateway.certificate), clock=clock)
    except ConfigError as error:
        return Finding("certificate", "error", str(error), ANOTHER_CERTIFICATE)
    if validity.is_not_yet:
        return Finding(
            "certificate", "error", "it becomes valid later: the clock of this machine is behind",
            "timedatectl set-ntp true",
        )  # fmt: skip
    days = f"{validity.days_left:.0f} days left, for {', '.join(validity.names)}"
    if validity.days_left < 0:
        found = f"it ended {-validity.days_left:.0f} days ago, or the clock is ahead"
        return Finding("certificate", "error", found, ANOTHER_CERTIFICATE)
    if not Path(certificate_key(gateway)).is_file():
        found = f"there is no private key {certificate_key(gateway)}"
        return Finding("certificate", "error", found, "set gateway.certificate_key")
    if missing := sorted(set(gateway.names) - set(validity.names)):
        found = f"it is not for {', '.join(missing)}, which gateway.names has; {days}"
        return Finding("certificate", "warning", found, ANOTHER_CERTIFICATE)
    if validity.days_left < SOON_DAYS:
        return Finding("certificate", "warning", days, ANOTHER_CERTIFICATE)
    return Finding("certificate", "ok", days)


def _secret(gateway: GatewayConfig) -> Finding:
    try:
        load_secret(Path(gateway.token_secret))
    except ConfigError as error:
        return Finding("tokens", "error", str(error), "halfsecond token --config FILE")
    return Finding("tokens", "ok", f"signed with {gateway.token_secret}")
