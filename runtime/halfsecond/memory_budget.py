"""Whether the models fit into this machine's memory, and which smaller ones are taken if not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from halfsecond.artifact import is_directory_name
from halfsecond.config import Config
from halfsecond.errors import HalfsecondError
from halfsecond.stages.compiled_mouths import lips_path
from halfsecond.store import Store

BASE_MB = 175
"""Python, NumPy, ONNX Runtime and OpenCV without a model, and what sessions take.
Measured on two cores of an AMD EPYC."""
LOADED_FROM_FILE = 1.4
"""Memory over size of file, for models that the catalog has no measurement of: ONNX Runtime keeps
its weights, packed again for the processor, and what it computes with."""
MODEL_STAGES = ("vad", "endpoint", "asr", "llm", "tts", "face")


@dataclass(frozen=True)
class Fit:
    """A config whose models are meant to fit, and what was changed for it."""

    config: Config
    notes: list[str]
    needed_mb: int
    does_fit: bool


def available_mb(root: Path = Path("/")) -> int:
    """What can be had without swapping: of the machine, or of this container if it has less."""
    limits = [_meminfo_mb(root / "proc/meminfo")]
    group = root / "sys/fs/cgroup"
    most, used = _number(group / "memory.max"), _number(group / "memory.current")
    if most is not None and used is not None:
        limits.append(max(0, most - used) // 2**20)
    return min(limits)


def fitted(config: Config, store: Store, *, available_mb: int) -> Fit:
    """The config with smaller models where its own do not fit beside `memory.reserve_mb`.

    The largest saving is taken first. Only models that were fetched are taken.
    """
    limit_mb = available_mb - config.memory.reserve_mb
    notes: list[str] = []
    while (needed_mb := needed(config, store)) > limit_mb:
        lighter = max(_lighter(config, store), key=lambda found: found.saved_mb, default=None)
        if lighter is None:
            return Fit(config, notes, needed_mb, does_fit=False)
        config = _with_model(config, lighter.stage, lighter.name)
        notes.append(
            f"{needed_mb} MB are needed and {limit_mb} can be had: {lighter.stage} takes "
            f"{lighter.name} instead of {lighter.instead_of} ({lighter.saved_mb} MB less)"
        )
    return Fit(config, notes, needed_mb, does_fit=True)


def needed(config: Config, store: Store) -> int:
    """Megabytes that the stages of this process will take, from the catalog's measurements."""
    stages = sum(_stage_mb(config, stage, store) for stage in MODEL_STAGES)
    return BASE_MB + stages + _lips_mb(config, store)


@dataclass(frozen=True)
class _Lighter:
    stage: str
    name: str
    instead_of: str
    saved_mb: int


def _lighter(config: Config, store: Store) -> Iterator[_Lighter]:
    """Every single step down that can be taken now."""
    for stage in MODEL_STAGES:
        model = _model_of(config, stage)
        entry = store.catalog.models.get(model)
        if entry is None or not entry.lighter:
            continue
        other = store.catalog.models[entry.lighter]
        if other.languages and config.language not in other.languages:
            continue
        saved_mb = _model_mb(model, store) - _model_mb(entry.lighter, store)
        if saved_mb > 0 and _is_fetched(entry.lighter, store):
            yield _Lighter(stage, entry.lighter, model, saved_mb)


def _is_fetched(name: str, store: Store) -> bool:
    try:
        store.path(name)
    except HalfsecondError:
        return False
    return True


def _model_of(config: Config, stage: str) -> str:
    """The model that a stage of this process loads; "" where it loads none."""
    runs_here = getattr(config.stages, "lipsync" if stage == "face" else stage) == "local"
    is_unused = (stage == "llm" and config.llm.kind != "local") or (
        stage == "endpoint" and config.endpoint.mode == "silence"
    )
    return getattr(config, stage).model if runs_here and not is_unused else ""


def _stage_mb(config: Config, stage: str, store: Store) -> int:
    model = _model_of(config, stage)
    return _model_mb(model, store) if model else 0


def _model_mb(model: str, store: Store) -> int:
    if is_directory_name(model):
        return _loaded_mb(sum(f.stat().st_size for f in Path(model).rglob("*") if f.is_file()))
    entry = store.catalog.entry(model)
    return entry.memory_mb or _loaded_mb(entry.download_bytes)


def _lips_mb(config: Config, store: Store) -> int:
    path = lips_path(config, store.home)
    if path is None or not path.exists():
        return 0
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return _loaded_mb(sum(file.stat().st_size for file in files))


def _loaded_mb(file_bytes: int) -> int:
    return round(file_bytes * LOADED_FROM_FILE / 2**20)


def _with_model(config: Config, stage: str, model: str) -> Config:
    changes: dict[str, Any] = {"model": model}
    if stage == "tts":
        changes["voice"] = ""  # a voice of the other model
    section = msgspec.structs.replace(getattr(config, stage), **changes)
    return msgspec.structs.replace(config, **{stage: section})


def _meminfo_mb(path: Path) -> int:
    for line in path.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 0


def _number(path: Path) -> int | None:
    """The number in a file of the kernel; None where there is none, or it says "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
