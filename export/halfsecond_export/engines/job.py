"""What the building process is told, and what it says while it works: JSON, one line each."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from halfsecond.artifact import Profile, Tensor
from halfsecond.engine_library import EngineLibrary


class BuildJob(msgspec.Struct, frozen=True, kw_only=True):
    """One engine to build: from which network, for whom, and where to leave it.

    workspace_bytes: the most scratch memory that a layer may take on the GPU; 0 for no limit.
    """

    library: EngineLibrary
    network: str
    plan: str
    compute_capabilities: tuple[str, ...]
    profiles: dict[str, Profile]
    workspace_bytes: int = 0


class Step(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The library goes on: what it does, and how many steps of how many are behind it."""

    phase: str
    done: int
    total: int


class Built(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The engine is written and on the disk.

    build_s: the library's part alone. peak_memory_bytes: of the building process.
    """

    build_s: float
    peak_memory_bytes: int
    layers: int
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    warnings: tuple[str, ...] = ()


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """There is no engine. error: the name of a class in `halfsecond.errors`."""

    error: str
    message: str


BuildEvent: TypeAlias = Step | Built | Failed
