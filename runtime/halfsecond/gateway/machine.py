"""What the machine is doing: memory, load, temperature, devices. Read from files of Linux."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import msgspec

MILLI = 1000.0


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Figures of this moment; bytes are 10^6."""

    name: str
    cores: int
    load_1m: float
    memory_mb: float
    memory_available_mb: float
    disk_free_mb: float
    temperatures_c: dict[str, float]
    """By what is measured; empty where nothing is (a virtual machine)."""
    devices: list[str]
    """GPUs and sound cards, as their drivers name them."""


def read_machine(*, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Machine:
    """The figures of now."""
    memory = _memory(proc / "meminfo")
    return Machine(
        name=_model(proc) or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        load_1m=os.getloadavg()[0],
        memory_mb=memory.get("MemTotal", 0.0),
        memory_available_mb=memory.get("MemAvailable", 0.0),
        disk_free_mb=shutil.disk_usage("/").free / 1e6,
        temperatures_c=_temperatures(sys),
        devices=[*_gpus(proc), *_sound_cards(proc)],
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:
        return ""


def _memory(path: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for line in _text(path).splitlines():
        name, _, rest = line.partition(":")
        value = rest.split()
        if value and value[0].isdigit():
            found[name] = int(value[0]) * 1024 / 1e6
    return found


def _model(proc: Path) -> str:
    """A board's name from its device tree, else the processor's."""
    if board := _text(proc / "device-tree" / "model"):
        return board
    for line in _text(proc / "cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return ""


def _temperatures(sys: Path) -> dict[str, float]:
    found: dict[str, float] = {}
    for zone in sorted((sys / "class/thermal").glob("thermal_zone*")):
        value = _text(zone / "temp")
        if value.lstrip("-").isdigit():
            found[_text(zone / "type") or zone.name] = int(value) / MILLI
    return found


def _gpus(proc: Path) -> list[str]:
    gpus = (proc / "driver/nvidia/gpus").glob("*/information")
    return [
        line.partition(":")[2].strip()
        for information in sorted(gpus)
        for line in _text(information).splitlines()
        if line.startswith("Model")
    ]


def _sound_cards(proc: Path) -> list[str]:
    return [
        line.partition("]:")[2].strip()
        for line in _text(proc / "asound/cards").splitlines()
        if "]:" in line
    ]
