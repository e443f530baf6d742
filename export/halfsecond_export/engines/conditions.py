"""The engines of a folder, and whether this machine can use them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from halfsecond.artifact import MANIFEST_NAME, Artifact, read_artifact
from halfsecond.engine import (
    ENGINE_NAME,
    Machine,
    check_gpu,
    check_version,
    intact_engine,
    this_machine,
)
from halfsecond.errors import ConfigError, ModelError, NoGpuError


@dataclass(frozen=True)
class Condition:
    """One engine. state: "usable" here, "refused", or "intact" where nothing here could run any.

    detail: why, where it is not usable. artifact: None where its manifest cannot be read.
    """

    name: str
    state: Literal["usable", "intact", "refused"]
    detail: str
    artifact: Artifact | None
    size_bytes: int


def engine_conditions(
    folder: Path, *, is_thorough: bool, machine: Machine | None = None
) -> list[Condition]:
    """Every engine below a folder, by name; with `is_thorough` its files are hashed."""
    machine = machine or this_machine()
    directories = sorted(path.parent for path in folder.glob(f"*/{MANIFEST_NAME}"))
    return [
        engine_condition(directory, is_thorough=is_thorough, machine=machine)
        for directory in directories
        if not directory.name.startswith(".")
    ]


def engine_condition(
    directory: Path, *, is_thorough: bool = False, machine: Machine | None = None
) -> Condition:
    """One engine, held against a machine, by default this one."""
    path = directory / ENGINE_NAME
    size_bytes = path.stat().st_size if path.is_file() else 0
    artifact: Artifact | None = None
    state: Literal["usable", "intact", "refused"] = "usable"
    detail = ""
    try:
        artifact = read_artifact(directory)
        if is_thorough or artifact.is_rejected:
            intact_engine(directory)
        machine = machine or this_machine()
        check_version(directory, artifact, machine)
        check_gpu(directory, artifact, machine)
    except NoGpuError as error:
        state, detail = "intact", str(error)
    except (ConfigError, ModelError) as error:
        state, detail = "refused", str(error)
    return Condition(directory.name, state, detail, artifact, size_bytes)
