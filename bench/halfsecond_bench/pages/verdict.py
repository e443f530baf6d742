"""The answer that the latency page begins with: how long, whether that is enough, what takes it."""

from __future__ import annotations

import math

from halfsecond_bench.blame import tally, usual_ms
from halfsecond_bench.critical_path import BUDGET
from halfsecond_bench.pages.document import plain
from halfsecond_bench.quantities import (
    FIRST_AUDIO,
    TURN_TAKING,
    WAITS,
    WORDS,
    Quantity,
    shown,
)
from halfsecond_bench.resampling import quantile_interval
from halfsecond_bench.results import Result
from halfsecond_bench.statistics import wilson_interval
from halfsecond_bench.wer import WordErrors, word_errors

Interval = tuple[float, float]

RATES = tuple(q for q in (*TURN_TAKING, *WORDS) if q.of == "turns")


def p50_interval(result: Result, key: str) -> Interval | None:
    """The 95 % interval of a figure's median; none where single turns are not known."""
    groups = result.groups(key)
    return quantile_interval(groups, 0.5) if groups else None


def headline(result: Result) -> str:
    """How long a visitor waits, in a few words."""
    if (waits := result.figures.get(FIRST_AUDIO.key)) is None:
        return "No visitor got an answer"
    return f"A visitor waits {waits.p50:.0f} ms for an answer"


def lead(result: Result) -> str:
    """The rest of the answer in two or three sentences."""
    if (audio := result.figures.get(FIRST_AUDIO.key)) is None:
        return "Not one turn was answered with sound; nothing can be said of how long it takes."
    sentences = [
        "Half of the visitors hear the first sound this soon after their last word; one in twenty "
        f"waits longer than {audio.p95:.0f} ms."
    ]
    if frame := result.figures.get("voice_to_first_frame_ms"):
        sentences.append(f"The lips move after {frame.p50:.0f} ms (p95 {frame.p95:.0f}).")
    return " ".join([*sentences, largest_part_of_all(result)])


def largest_part_of_all(result: Result) -> str:
    """What takes the most of a turn, over all turns, in one sentence."""
    counts, usual = tally(result.timelines), usual_ms(result.timelines)
    if not counts:
        return ""
    stage, n = counts.most_common(1)[0]
    if stage == "held":
        return (
            f"In {n} of {counts.total()} turns the answer was ready and waited for the end of the "
            f"turn, {usual[stage]:.0f} ms in the middle."
        )
    name = BUDGET[stage].name
    return (
        f"{name[0].upper()}{name[1:]} is the largest part: {usual[stage]:.0f} ms, and in {n} of "
        f"{counts.total()} turns more than any other."
    )


def cards(result: Result) -> str:
    """The figures that have a target, each with whether it was met."""
    found = [_card(q, pick, result) for q in WAITS for pick in ("p50", "p95")]
    found += [_rate_card(q, result) for q in RATES]
    if errors := _word_errors(result):
        words = f"95 % interval {interval_words(errors.errors, errors.words)}"
        found.append(_html_card("words misheard", shown("share", errors.rate), "", "", words))
    return f'<div class="cards">{"".join(card for card in found if card)}</div>'


def _card(quantity: Quantity, pick: str, result: Result) -> str:
    if (values := result.figures.get(quantity.key)) is None:
        return ""
    value: float = getattr(values, pick)
    target = quantity.p50_target if pick == "p50" else quantity.p95_target
    interval = p50_interval(result, quantity.key) if pick == "p50" else None
    kind, words = judged(value, target, interval, unit=quantity.unit)
    return _html_card(f"{quantity.label}, {pick}", shown(quantity.unit, value), kind, words)


def judged(
    value: float, target: float | None, interval: Interval | None, *, unit: str
) -> tuple[str, str]:
    """(class, words): whether a target was met, which an interval that holds it leaves open."""
    if target is None:
        return "", ""
    goal = f"target {target:g}"
    if interval and interval[0] <= target < interval[1]:
        low, high = interval
        return "undecided", f"{goal}: open, the interval is {low:.0f} to {high:.0f} {unit}"
    if value <= target:
        return "met", f"✓ {goal} met"
    return "missed", f"✗ {goal} missed by {shown(unit, value - target)}"


def _rate_card(quantity: Quantity, result: Result) -> str:
    if (hits := result.numbers.get(quantity.key)) is None:
        return ""
    kind, words = judged(hits, quantity.p50_target, None, unit="")
    interval = f"95 % interval {interval_words(int(hits), result.turns)}"
    return _html_card(quantity.label, f"{hits:g} of {result.turns}", kind, words, interval)


def rate_words(hits: float, n: float) -> str:
    """A count, of how many, and the 95 % interval of the rate."""
    return f"{hits:g} of {n:g} ({interval_words(int(hits), int(n))})"


def interval_words(hits: int, n: int) -> str:
    """The 95 % interval of a rate, in percent; more hits than n, as of inserted words, are n."""
    low, high = wilson_interval(min(hits, n), n)
    return f"{100 * low:.0f}–{100 * high:.0f}\N{NO-BREAK SPACE}%"


def _html_card(label: str, value: str, kind: str, words: str, more: str = "") -> str:
    spans = "".join(
        f'<span class="{name}">{plain(text)}</span>'
        for name, text in ((kind, words), ("", more))
        if text
    )
    return f'<div class="card"><span>{plain(label)}</span><b>{plain(value)}</b>{spans}</div>'


SURE_OF_P95 = 59
"""0.95 ** 59 < 0.05: from so many turns on, the slowest is above the p95 with 95 % certainty."""


def noise(result: Result) -> str:
    """How far the figures can be trusted, for people."""
    values = result.values(FIRST_AUDIO.key)
    interval = p50_interval(result, FIRST_AUDIO.key)
    if interval is None:
        return ""
    questions, beyond = len(result.groups(FIRST_AUDIO.key)), math.ceil(0.05 * len(values))
    words = (
        f"{len(values)} turns of {questions} questions. Other questions of the same sort would "
        f"give a median between {interval[0]:.0f} and {interval[1]:.0f} ms (95 % interval, drawn "
        f"over questions). The p95 rests on the slowest {beyond} of the turns"
    )
    if len(values) < SURE_OF_P95:
        words += f"; {SURE_OF_P95} are needed before the slowest bounds it with 95 % certainty"
    return words + "."


def misheard(result: Result) -> str:
    """The word error rate with what it rests on."""
    if (errors := _word_errors(result)) is None:
        return ""
    interval = interval_words(errors.errors, errors.words)
    rate = shown("share", errors.rate)
    return f"{rate} ({errors.errors} of {errors.words} words, {interval})"


def _word_errors(result: Result) -> WordErrors | None:
    errors = word_errors([(said["reference"], said["hypothesis"]) for said in result.transcripts])
    return errors if errors.words else None
