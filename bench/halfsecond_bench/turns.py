"""`bench turns`: hears the turn-end data set once, and tries policies on what the models said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.config import Config
from halfsecond.errors import ConfigError
from halfsecond.stages.endpointing import policy_of
from halfsecond.stages.engines import open_store
from halfsecond_bench import turn_cache
from halfsecond_bench.clips import load_clips
from halfsecond_bench.statistics import device, versions
from halfsecond_bench.turn_clips import HALVES, Half, TurnClip, folder_of, orders, recordings
from halfsecond_bench.turn_report import TurnsReport, chosen, compute, half_report
from halfsecond_bench.turn_simulation import EARLIEST_SOUND_S
from halfsecond_bench.turn_traces import Judges, Trace


def halves_of(name: str) -> list[Half]:
    """What `--half` names; raises ConfigError."""
    if name == "both":
        return list(HALVES)
    found: list[Half] = [half for half in HALVES if half == name]
    if not found:
        raise ConfigError(f"--half is {name!r}; it must be {', '.join(HALVES)} or both")
    return found


def measure(
    config: Config, clips: Path, halves: Sequence[Half], *, progress: Callable[[], None]
) -> TurnsReport:
    """The report; nothing else should run meanwhile, as what the models take is measured.

    progress: called after each clip that was made or heard.

    Raises:
        ModelMissingError: a model, or what the clips are made with, was not fetched.
    """
    store = open_store(config)
    folder = folder_of(clips)
    judges = Judges(config, store)
    traces: dict[Half, list[Trace]] = {
        half: _heard(
            turn_cache.clips(orders(folder, half), store, on_made=progress), judges, progress
        )
        for half in halves
    }
    real = _heard(recordings(load_clips(clips), folder), judges, progress)
    judges.close()
    settings = policy_of(config.endpoint)
    reopen_s = config.turn.reopen_s
    return TurnsReport(
        device=device(),
        versions=versions(),
        policy=msgspec.to_builtins(settings),
        earliest_sound_ms=1000 * EARLIEST_SOUND_S,
        reopen_s=reopen_s,
        compute=compute(trace for heard in traces.values() for trace in heard),
        halves=[
            half_report(half, heard, settings, reopen_s=reopen_s) for half, heard in traces.items()
        ],
        real=chosen(real, settings),
    )


def _heard(
    made: Iterable[tuple[TurnClip, NDArray[np.float32]]],
    judges: Judges,
    progress: Callable[[], None],
) -> list[Trace]:
    traces: list[Trace] = []
    for clip, samples in made:
        traces.append(judges.trace(clip, samples))
        progress()
    return traces
