"""A result of any command of the harness, as its page, its history and the gate read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from halfsecond.errors import ConfigError
from halfsecond.timeline import Timeline
from halfsecond_bench.resampling import Groups
from halfsecond_bench.statistics import Distribution

_TOLD_APART = {"versions", "threads", "transcripts", "timelines", "per_turn"}
_KIND_BY_KEY = {"voice_to_first_audio_ms": "latency", "mesh_frame_ms": "stages"}
"""For results that were written before they named their kind."""


@dataclass(frozen=True)
class Result:
    """What was measured, by name: a figure that one version lacks is just not there.

    Names of what is nested have dots: `asr.needed_ms`.
    """

    kind: str
    profile: str
    device: str
    turns: int
    versions: Mapping[str, str]
    threads: Mapping[str, int]
    figures: Mapping[str, Distribution]
    """Distributions of at least one value."""
    numbers: Mapping[str, float]
    rows: list[dict[str, Any]]
    """A turn or clip each, with its `clip` and its own values."""
    interruptions: list[dict[str, Any]]
    """A visitor who spoke over an answer each, likewise."""
    transcripts: list[dict[str, Any]]
    timelines: list[Timeline]

    def values(self, key: str) -> list[float]:
        """The values of the turns that have one, in order."""
        return [float(value) for row in self.rows if (value := row.get(key)) is not None]

    def groups(self, key: str) -> Groups:
        """The same by clip."""
        groups: dict[str, list[float]] = {}
        for row in (*self.rows, *self.interruptions):
            if (value := row.get(key)) is not None:
                groups.setdefault(str(row["clip"]), []).append(float(value))
        return groups


def read_result(path: Path) -> Result:
    """The result in a JSON file that a command of the harness wrote.

    Raises:
        ConfigError: there is none, or the file holds something else.
    """
    try:
        data = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return _result(data)
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no {path}; `halfsecond bench latency --json {path}` makes one"
        ) from error
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no result of the harness ({error!r}); "
            f"`halfsecond bench latency --json {path}` makes one"
        ) from error


def result_of(report: msgspec.Struct) -> Result:
    """The result that a command has just measured."""
    return _result(msgspec.json.decode(msgspec.json.encode(report)))


def _result(data: dict[str, Any]) -> Result:
    figures: dict[str, Distribution] = {}
    numbers: dict[str, float] = {}
    _collect("", {k: v for k, v in data.items() if k not in _TOLD_APART}, figures, numbers)
    kinds = [kind for key, kind in _KIND_BY_KEY.items() if key in data]
    return Result(
        kind=data.get("kind") or (kinds[0] if kinds else "unknown"),
        profile=data.get("profile", ""),
        device=data["device"],
        turns=data.get("turns", 0),
        versions=data.get("versions", {}),
        threads=data.get("threads", {}),
        figures=figures,
        numbers=numbers,
        rows=data.get("per_turn") or data.get("asr", {}).get("clips", []),
        interruptions=_interruptions(data.get("barge_in", {})),
        transcripts=data.get("transcripts", []),
        timelines=msgspec.convert(data.get("timelines", []), list[Timeline]),
    )


def _interruptions(barge_in: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trials in which an answer was dropped for words, under the names of the figures."""
    mistaken = barge_in.get("answers_abandoned", [])
    return [
        trial | {"barge_in_pause_ms": trial["pause_ms"]}
        for trial in barge_in.get("trials", [])
        if trial["abandon_ms"] is not None and trial["clip"] not in mistaken
    ]


def _collect(
    prefix: str,
    data: Mapping[str, Any],
    figures: dict[str, Distribution],
    numbers: dict[str, float],
) -> None:
    """Sorts nested values into distributions and numbers; a list of names is its length."""
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            if value.keys() >= {"p50", "p95", "max", "n"}:
                if value["n"]:
                    figures[name] = msgspec.convert(value, Distribution)
            else:
                _collect(f"{name}.", value, figures, numbers)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            numbers[name] = len(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            numbers[name] = value
