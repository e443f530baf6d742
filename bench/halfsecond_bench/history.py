"""Results over commits: a small JSON file for each, kept in the repository."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path

import msgspec

from halfsecond.errors import ConfigError
from halfsecond_bench.quantities import WAITS
from halfsecond_bench.resampling import quantile_interval
from halfsecond_bench.results import Result
from halfsecond_bench.statistics import Distribution, device_class


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is kept of a result."""

    commit: str
    """Short hash; with "+" when the working tree differed from it."""
    date: datetime
    """Of the commit."""
    kind: str
    profile: str
    device: str
    turns: int
    threads: dict[str, int] = {}
    versions: dict[str, str] = {}
    figures: dict[str, Distribution] = {}
    p50_intervals: dict[str, tuple[float, float]] = {}
    """95 %, of what a visitor feels."""
    numbers: dict[str, float] = {}

    def is_like(self, other: Entry | Result) -> bool:
        """Whether both can be compared: the same kind and profile on the same kind of machine."""
        return (self.kind, self.profile, device_class(self.device)) == (
            other.kind, other.profile, device_class(other.device)
        )  # fmt: skip


def entry_of(result: Result, *, commit: str, date: datetime) -> Entry:
    """The compact form of a result."""
    return Entry(
        commit=commit,
        date=date,
        kind=result.kind,
        profile=result.profile,
        device=result.device,
        turns=result.turns,
        threads=dict(result.threads),
        versions=dict(result.versions),
        figures=dict(result.figures),
        p50_intervals={
            quantity.key: (round(low, 2), round(high, 2))
            for quantity in WAITS
            if (groups := result.groups(quantity.key))
            for low, high in [quantile_interval(groups, 0.5)]
        },
        numbers=dict(result.numbers),
    )


def record(result: Result, folder: Path, *, commit: str | None = None) -> Path:
    """Writes the entry of a result into a folder; a later one of the same commit replaces it.

    commit: what was measured; without it, what the current folder's checkout is at.

    Raises:
        ConfigError: the commit is not known here.
    """
    name, date = _commit(commit)
    entry = entry_of(result, commit=name, date=date)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{date:%Y%m%dT%H%M%S}-{name.rstrip('+')}-{result.kind}-{result.profile}"
    path = folder / f"{stem}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(entry), indent=1) + b"\n")
    return path


def read_history(folder: Path, *, kind: str) -> list[Entry]:
    """The entries of a kind, oldest first; none where there is no folder.

    Raises:
        ConfigError: a file in it is no entry.
    """
    entries: list[Entry] = []
    for path in sorted(folder.glob("*.json")):
        try:
            entries.append(msgspec.json.decode(path.read_bytes(), type=Entry))
        except msgspec.MsgspecError as error:
            raise ConfigError(
                f"{path} is no entry of the history ({error}); "
                "`halfsecond bench report RESULT --record` writes them"
            ) from error
    return sorted((e for e in entries if e.kind == kind), key=lambda e: e.date)


def with_current(entries: list[Entry], result: Result, *, now: datetime) -> list[Entry]:
    """The entries and, as the last, a result that is not among them, called "now"."""
    if any(entry.figures == dict(result.figures) for entry in entries):
        return entries
    return [*entries, entry_of(result, commit="now", date=now)]


def _commit(wanted: str | None) -> tuple[str, datetime]:
    """Short hash and date of a commit; "+" where the working tree is not what was committed."""
    try:
        found = _git("show", "--no-patch", "--format=%h %cI", wanted or "HEAD").split()
        changed = "" if wanted else _git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError) as error:
        raise ConfigError(
            f"git does not know the commit {wanted or 'HEAD'} here; run in a checkout of "
            "halfsecond, or name a commit of it with --commit"
        ) from error
    return found[0] + ("+" if changed else ""), datetime.fromisoformat(found[1])


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
