"""What `doctor` says of the browser's way in: each finding with its remedy."""

from __future__ import annotations

from pathlib import Path

import msgspec

from halfsecond.config import Config, GatewayConfig
from halfsecond.diagnosis import Finding
from halfsecond.gateway.certificates import make_certificate
from halfsecond.gateway.diagnosis import examine_gateway
from halfsecond.gateway.tokens import make_secret

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0


def findings(gateway: GatewayConfig, *, at_s: float = NOW_S) -> dict[str, Finding]:
    config = msgspec.structs.replace(Config(), gateway=gateway)
    return {f.subject: f for f in examine_gateway(config, clock=lambda: at_s)}


def locked(folder: Path) -> GatewayConfig:
    make_certificate(folder, ["kiosk.local"], clock=lambda: NOW_S)
    make_secret(folder / "token.secret")
    return GatewayConfig(
        host="0.0.0.0", certificate=str(folder / "server.crt"),
        token_secret=str(folder / "token.secret"), names=("kiosk.local",),
    )  # fmt: skip


def test_a_gateway_with_its_locks_is_well(tmp_path: Path) -> None:
    assert {f.verdict for f in findings(locked(tmp_path)).values()} == {"ok"}


def test_an_open_address_without_locks_is_an_error() -> None:
    found = findings(GatewayConfig(host="0.0.0.0"))["gateway"]
    assert found.verdict == "error"
    assert "halfsecond certificate" in found.found


def test_a_config_of_another_board_is_told_by_its_address(tmp_path: Path) -> None:
    gateway = msgspec.structs.replace(locked(tmp_path), host="203.0.113.7")
    found = findings(gateway)["gateway"]
    assert found.verdict == "error"
    assert "no address of this machine" in found.found
    assert "another board" in found.remedy


def test_a_certificate_that_ends_is_told_before_and_after(tmp_path: Path) -> None:
    gateway = locked(tmp_path)
    soon = findings(gateway, at_s=NOW_S + 380 * DAY_S)["certificate"]
    assert (soon.verdict, "days left" in soon.found) == ("warning", True)
    late = findings(gateway, at_s=NOW_S + 400 * DAY_S)["certificate"]
    assert late.verdict == "error"
    assert "4 days ago, or the clock is ahead" in late.found
    assert "halfsecond certificate" in late.remedy


def test_a_clock_that_is_behind_is_told_as_that(tmp_path: Path) -> None:
    found = findings(locked(tmp_path), at_s=NOW_S - 30 * DAY_S)["certificate"]
    assert "clock of this machine is behind" in found.found
    assert "timedatectl" in found.remedy


def test_a_certificate_for_another_name_is_a_warning(tmp_path: Path) -> None:
    gateway = msgspec.structs.replace(locked(tmp_path), names=("museum.local",))
    found = findings(gateway)["certificate"]
    assert found.verdict == "warning"
    assert "not for museum.local" in found.found


def test_missing_files_and_wrong_modes_are_told(tmp_path: Path) -> None:
    gateway = locked(tmp_path)
    (tmp_path / "server.key").unlink()
    (tmp_path / "token.secret").chmod(0o644)
    found = findings(gateway)
    assert "no private key" in found["certificate"].found
    assert "chmod 600" in found["tokens"].found
