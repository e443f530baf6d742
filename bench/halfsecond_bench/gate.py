"""Whether a result is worse than an earlier one by more than noise makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from rich.console import Console

from halfsecond.errors import ConfigError
from halfsecond_bench.judging import LEAST_QUESTIONS, LEAST_TURNS, Change, judge
from halfsecond_bench.quantities import ALONE, GROUPS, Quantity, shown
from halfsecond_bench.results import Result
from halfsecond_bench.statistics import device_class
from halfsecond_bench.tables import plain_table

JUDGED = {
    "latency": [quantity for _, group in GROUPS for quantity in group],
    "stages": list(ALONE),
}
"""The figures of each kind of result that can be compared."""


BUSY_CORES = 0.2
"""More than this beside the server is told: on two cores it lengthens every stage."""


class GateReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="gate"):
    """The result of `bench gate`."""

    of: str
    """The kind of the results."""
    profile: str
    device: str
    has_regressed: bool
    forced_because: str | None
    notes: list[str]
    """What else differs between the results, and what else ran."""
    changes: list[Change]


def compare(baseline: Result, current: Result, *, force: str | None = None) -> GateReport:
    """Judges every figure that both results have.

    force: why results are compared although their profiles or devices are not alike.

    Raises:
        ConfigError: the results cannot be compared; the message says why.
    """
    different = _differences(baseline, current)
    if different and not force:
        raise ConfigError(
            f"not comparable: {'; '.join(different)}. Measure the baseline again on this machine "
            "(`halfsecond bench latency --json FILE`), or give --force with the reason"
        )
    judged = [(q, c) for q in _judged(baseline, current) for c in judge(q, baseline, current)]
    if not any(quantity.floor is not None for quantity, _ in judged):
        raise ConfigError(
            f"nothing to compare: both results need {LEAST_QUESTIONS} questions and {LEAST_TURNS} "
            "turns in common; measure both with the same clips"
        )
    return GateReport(
        of=current.kind,
        profile=current.profile,
        device=current.device,
        has_regressed=any(change.verdict == "worse" for _, change in judged),
        forced_because=force if different else None,
        notes=[*different, *_conditions(baseline, current)],
        changes=[change for _, change in judged],
    )


def compare_all(
    baselines: Sequence[Result], currents: Sequence[Result], *, force: str | None = None
) -> GateReport:
    """Compares every run with every one before: what changed in all pairs has changed.

    The noise of `compare` is that of turns within a run. Another load on the machine shifts a whole
    run, and only a second run tells that from a regression. Of each figure the smallest change is
    given. Raises as `compare`.
    """
    reports = [compare(before, after, force=force) for before in baselines for after in currents]
    by_label = [{change.label: change for change in report.changes} for report in reports]
    changes = [
        _least([found[label] for found in by_label])
        for label in by_label[0]
        if all(label in found for found in by_label)
    ]
    return msgspec.structs.replace(
        reports[0],
        has_regressed=any(change.verdict == "worse" for change in changes),
        notes=list(dict.fromkeys(note for report in reports for note in report.notes)),
        changes=changes,
    )


def _least(found: Sequence[Change]) -> Change:
    """The smallest of some changes of one figure; it counts only if all have its verdict."""
    least = min(found, key=lambda change: abs(change.change))
    is_agreed = len({change.verdict for change in found}) == 1
    return least if is_agreed else msgspec.structs.replace(least, verdict="alike")


def _judged(baseline: Result, current: Result) -> list[Quantity]:
    """The figures to judge; kinds that differ have none in common, whatever --force says."""
    if baseline.kind != current.kind or current.kind not in JUDGED:
        raise ConfigError(
            f"a {baseline.kind!r} result cannot be compared with a {current.kind!r} one; "
            f"`bench gate` takes two of one kind: {' or '.join(JUDGED)}"
        )
    return JUDGED[current.kind]


def _differences(baseline: Result, current: Result) -> list[str]:
    """What makes two results incomparable."""
    pairs = (
        ("profile", baseline.profile, current.profile),
        ("device", device_class(baseline.device), device_class(current.device)),
    )
    return [f"{name}: {one} against {other}" for name, one, other in pairs if one != other]


def _conditions(baseline: Result, current: Result) -> list[str]:
    """Threads, versions and other load, which a change may come from."""
    notes = [
        f"other programs took {share:.1f} cores in the {name} run"
        for name, result in (("baseline", baseline), ("current", current))
        if (share := result.numbers.get("others_cpu_share", 0.0)) > BUSY_CORES
    ]
    for name in ("threads", "versions"):
        before: Mapping[str, object] = getattr(baseline, name)
        after: Mapping[str, object] = getattr(current, name)
        notes += [
            f"{name}: {key} {before.get(key, '–')} → {after.get(key, '–')}"
            for key in sorted(before.keys() | after.keys())
            if before.get(key) != after.get(key)
        ]
    return notes


STYLES = {"worse": "red", "better": "green", "alike": ""}
ORDER = ("worse", "better", "alike")


def print_report(report: GateReport, console: Console) -> None:
    """What got worse first, each with the noise it had to exceed; then the verdict."""
    table = plain_table("", "baseline", "current", "change", "noise bound", "")
    for change in sorted(report.changes, key=lambda c: ORDER.index(c.verdict)):
        values = (shown(change.unit, value) for value in (change.baseline, change.current))
        sign = "+" if change.change > 0 else ""
        bound = "–" if change.noise is None else f"± {shown(change.unit, change.noise)}"
        of = f", of {change.of[0]} and {change.of[1]}" if change.of else ""
        table.add_row(
            change.label + of, *values, sign + shown(change.unit, change.change), bound,
            change.verdict, style=STYLES[change.verdict],
        )  # fmt: skip
    console.print(table)
    for note in report.notes:
        console.print(f"note: {note}", style="yellow")
    if report.forced_because:
        console.print(f"compared all the same: {report.forced_because}", style="yellow")
    worse = [change.label for change in report.changes if change.verdict == "worse"]
    if worse:
        console.print(f"[red]worse[/red] than the noise allows: {', '.join(worse)}")
    else:
        console.print("nothing got worse by more than noise makes of it")
