"""One figure of two runs: did it change by more than noise makes of it?"""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond_bench.quantities import WAITS, Quantity
from halfsecond_bench.resampling import Groups, paired_change, tail_change
from halfsecond_bench.results import Result
from halfsecond_bench.statistics import chance_of_rise
from halfsecond_bench.wer import word_errors

FALSE_ALARM = 0.002
"""How often one figure of two runs that are alike is called worse. Some fifteen are judged turn by
turn: 2 of 200 pairs of runs that were dealt from one failed, while 10 % on the waits were caught in
49 of 50 pairs of 56 turns, and in 28 of 50 pairs of 28 (turns of bench/results/latency.json)."""
COUNT_FALSE_ALARM = 0.01
"""The same for counts; Fisher's test stays far below it. Of 28 turns, 0 → 7 fail."""
LEAST_QUESTIONS = 5
LEAST_TURNS = 10
"""With fewer in common, dealing the turns out again has too few outcomes to be surprised by."""
GAPS = "gaps"
"""A sum over turns; what is counted is turns that have one."""

Verdict = Literal["worse", "better", "alike"]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One figure in both runs."""

    key: str
    label: str
    unit: str
    baseline: float
    current: float
    change: float
    """Question by question where turns are known, so not the difference of the two beside it."""
    noise: float | None
    """A change up to this is not called one; None where Fisher's test judged a count."""
    verdict: Verdict
    of: tuple[int, int] | None = None
    """Of how many in either run, where the values are rates."""


def judge(quantity: Quantity, baseline: Result, current: Result) -> list[Change]:
    """What can be said of a figure: nothing where one of the results lacks it."""
    if quantity.of is not None or quantity.key == GAPS:
        return _judge_events(quantity, baseline, current)
    if quantity.floor is not None:
        return _judge_turns(quantity, baseline, current)
    if quantity.allowance is not None:
        return _judge_number(quantity, baseline, current)
    return []


def _judge_turns(quantity: Quantity, baseline: Result, current: Result) -> list[Change]:
    before, after = in_common(_turns(baseline, quantity.key), _turns(current, quantity.key))
    if len(before) < LEAST_QUESTIONS or min(map(_count, (before, after))) < LEAST_TURNS:
        return []
    typical, noise = paired_change(before, after)
    found = [_change(quantity, "", before, after, 0.5, typical, noise)]
    if quantity in WAITS:
        slow, noise = tail_change(before, after, 0.95)
        found.append(_change(quantity, ", p95", before, after, 0.95, slow, noise))
    return found


def in_common(before: Groups, after: Groups) -> tuple[Groups, Groups]:
    """The questions that both runs asked."""
    names = sorted(before.keys() & after.keys())
    return {name: before[name] for name in names}, {name: after[name] for name in names}


def _count(groups: Groups) -> int:
    return sum(map(len, groups.values()))


def _turns(result: Result, key: str) -> Groups:
    """The values of each question: of an offset its size, of word errors their rate."""
    if key == "av_offset_ms":
        return {name: [abs(v) for v in values] for name, values in result.groups(key).items()}
    if key != "wer":
        return result.groups(key)
    rates: dict[str, list[float]] = {}
    for said in result.transcripts:
        errors = word_errors([(said["reference"], said["hypothesis"])])
        rates.setdefault(said["clip"], []).append(errors.rate)
    return rates


def _change(
    quantity: Quantity,
    suffix: str,
    before: Groups,
    after: Groups,
    quantile: float,
    change: float,
    noise: NDArray[np.float64],
) -> Change:
    """Judges a change by the noise of its own sign, and by the floor."""
    assert quantity.floor is not None
    is_loss = (change > 0) != quantity.is_more_better
    beyond = noise if change > 0 else -noise
    bound = max(quantity.floor, float(np.quantile(beyond, 1 - FALSE_ALARM)))
    verdict: Verdict = "alike" if abs(change) <= bound else "worse" if is_loss else "better"
    values = [[v for turns in groups.values() for v in turns] for groups in (before, after)]
    at = [float(np.quantile(v, quantile)) for v in values]
    if quantity.key == "wer":
        at = [float(np.mean(v)) for v in values]
    return Change(
        key=quantity.key, label=quantity.label + suffix, unit=quantity.unit,
        baseline=round(at[0], 4), current=round(at[1], 4), change=round(change, 4),
        noise=round(bound, 4), verdict=verdict,
    )  # fmt: skip


def _judge_events(quantity: Quantity, baseline: Result, current: Result) -> list[Change]:
    """Fisher's exact test: whether a count is more than the other could be by chance."""
    counts = [_events(result, quantity) for result in (baseline, current)]
    if counts[0] is None or counts[1] is None:
        return []
    (before, n_before), (after, n_after) = counts[0], counts[1]
    rise = chance_of_rise(before, n_before, after, n_after) < COUNT_FALSE_ALARM
    fall = chance_of_rise(n_before - before, n_before, n_after - after, n_after) < COUNT_FALSE_ALARM
    worse, better = (fall, rise) if quantity.is_more_better else (rise, fall)
    rates = before / n_before, after / n_after
    return [
        Change(
            key=quantity.key, label=quantity.label, unit="share", of=(n_before, n_after),
            baseline=round(rates[0], 4), current=round(rates[1], 4),
            change=round(rates[1] - rates[0], 4), noise=None,
            verdict="worse" if worse else "better" if better else "alike",
        )
    ]  # fmt: skip


def _events(result: Result, quantity: Quantity) -> tuple[int, int] | None:
    """(how many had it, of how many): a turn with several gaps is one."""
    if quantity.key == GAPS:
        gaps = result.values(GAPS)
        return (sum(gap > 0 for gap in gaps), len(gaps)) if gaps else None
    hits, n = (result.numbers.get(key or "") for key in (quantity.key, quantity.of))
    return (min(int(hits), int(n)), int(n)) if hits is not None and n else None


def _judge_number(quantity: Quantity, baseline: Result, current: Result) -> list[Change]:
    """One value a run tells nothing of noise: a share of it is allowed."""
    assert quantity.allowance is not None
    pair = [_number(result, quantity.key) for result in (baseline, current)]
    if pair[0] is None or pair[1] is None:
        return []
    before, after = pair[0], pair[1]
    bound, change = quantity.allowance * abs(before), after - before
    is_loss = (change > 0) != quantity.is_more_better
    return [
        Change(
            key=quantity.key, label=quantity.label, unit=quantity.unit,
            baseline=before, current=after, change=round(change, 4), noise=round(bound, 4),
            verdict="alike" if abs(change) <= bound else "worse" if is_loss else "better",
        )
    ]  # fmt: skip


def _number(result: Result, key: str) -> float | None:
    """A number, or the median of a distribution whose single values were not kept."""
    values = result.figures.get(key)
    return values.p50 if values else result.numbers.get(key)
