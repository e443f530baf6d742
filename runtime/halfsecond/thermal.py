"""How far this machine is from slowing itself down: the thermal zones of the kernel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ZONES = Path("/sys/class/thermal")
THROTTLES_AT_C = 85.0
"""For zones that name no trip point: below what processors of this class begin to slow down at."""
BELOW_CRITICAL_C = 15.0
"""Zones that name only the temperature at which they switch off: Jetsons slow down some 10 °C
before, and what is drawn should be eased before that."""


@dataclass(frozen=True)
class Zone:
    """One sensor."""

    name: str
    temperature_c: float
    limit_c: float
    """Where the kernel or the firmware begins to slow the machine down."""

    @property
    def headroom_c(self) -> float:
        """Negative where it is hotter than that."""
        return self.limit_c - self.temperature_c


def read_zones(root: Path = ZONES) -> list[Zone]:
    """Every zone that can be read; none where the machine shows none, as in most containers."""
    zones = [_zone(folder) for folder in sorted(root.glob("thermal_zone*"))]
    return [zone for zone in zones if zone is not None]


def hottest(zones: list[Zone]) -> Zone | None:
    """The one with the least headroom."""
    return min(zones, key=lambda zone: zone.headroom_c, default=None)


def _zone(folder: Path) -> Zone | None:
    temperature_c = _degrees(folder / "temp")
    # A sensor of a part that is switched off cannot be read, or says −40 and less (Jetson's gpu).
    if temperature_c is None or temperature_c <= -40:
        return None
    name = _text(folder / "type") or folder.name
    return Zone(name, temperature_c, _limit_c(folder))


def _limit_c(folder: Path) -> float:
    trips: dict[str, float] = {}
    for kind, at_c in _trip_points(folder):
        trips[kind] = min(at_c, trips.get(kind, at_c))
    if slowing := [trips[kind] for kind in ("passive", "hot") if kind in trips]:
        return min(slowing)
    if "critical" in trips:
        return trips["critical"] - BELOW_CRITICAL_C
    return THROTTLES_AT_C


def _trip_points(folder: Path) -> Iterator[tuple[str, float]]:
    """(kind, temperature); 0 and below mean that a trip point is not in use."""
    for path in folder.glob("trip_point_*_type"):
        at_c = _degrees(path.with_name(path.name.replace("_type", "_temp")))
        kind = _text(path)
        if kind and at_c is not None and at_c > 0:
            yield kind, at_c


def _degrees(path: Path) -> float | None:
    text = _text(path)
    try:
        return int(text) / 1000
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
