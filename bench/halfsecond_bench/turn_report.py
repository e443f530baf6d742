"""The figures of `bench turns`: how many people are cut off, and what everybody waits for it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import msgspec

from halfsecond.models.turn.endpoint import EndpointConfig, required_silence_s
from halfsecond_bench.statistics import Distribution, distribution, wilson_interval
from halfsecond_bench.turn_clips import Half, Kind
from halfsecond_bench.turn_simulation import (
    ALL_SIGNS,
    EARLIEST_SOUND_S,
    PauseTrial,
    Policy,
    Sign,
    Trials,
    run,
)
from halfsecond_bench.turn_traces import Trace

UNKNOWABLE: frozenset[Kind] = frozenset({"sentence"})
"""Kinds of pauses that no listener could tell from an end."""
LENGTHS_S = (0.15, 0.35, 0.5, 0.7, 1.0, 2.0)
"""Bounds of the classes of pause lengths, for weighing them as another distribution has them."""
SILENCES_S = tuple(round(0.2 + 0.1 * step, 1) for step in range(14))
SHIFTS = tuple(0.5 * step for step in range(-8, 9))
"""Along a curve the two thresholds of the policy are shifted by this, in log-odds."""
SIGNS: dict[str, frozenset[Sign]] = {
    "sound": frozenset({"sound"}),
    "sound and words": frozenset({"sound", "words"}),
    "sound, words and sentence end": ALL_SIGNS,
}
"""Curves, by what the policy is told: Smart Turn, the word rules, the language model."""
LONG_S = 1.0
LONG_SHARE = 0.295
"""28 to 31 % of the pauses within a speaker's turn last longer than 1 s (Heldner and Edlund 2010,
"Pauses, gaps and overlaps in conversations", J. of Phonetics 38; quoted by others, not looked up
here); some 24 % of those drawn here."""


class Rate(msgspec.Struct, frozen=True):
    """A share with its 95 % interval (Wilson)."""

    hits: int
    n: int
    share: float
    low: float
    high: float


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy does."""

    wait_ms: Distribution
    """True ends: from the last speech until the turn is confirmed."""
    wait_mean_ms: float
    sound_ms: Distribution
    """True ends: until the answer can be heard."""
    cut_off: Rate
    """Pauses in which the answer is heard before the visitor goes on."""
    cut_off_knowable: Rate
    """The same without pauses after a whole sentence, which no listener could tell from an end."""
    confirmed: Rate
    """Pauses in which the turn is confirmed, heard or not."""
    cut_off_as_conversation: float
    """`cut_off` with as many pauses above 1 s as conversations have (see LONG_SHARE)."""


class Point(msgspec.Struct, frozen=True):
    """A policy on a curve: `setting` is what varies along it."""

    setting: float
    figures: Figures


class Curve(msgspec.Struct, frozen=True):
    """How waits and cut-offs trade, for a set of signs."""

    name: str
    points: list[Point]


class Recovery(msgspec.Struct, frozen=True):
    """What becomes of those who were cut off: who goes on soon enough is heard out after all."""

    repaired: Rate
    heard_ms: Distribution
    """How much of the answer was heard before the visitor went on."""


class Compute(msgspec.Struct, frozen=True):
    """How long each opinion took."""

    words_ms: Distribution
    sound_ms: Distribution
    sentence_end_ms: Distribution


class HalfReport(msgspec.Struct, frozen=True, kw_only=True):
    """One half of the data set."""

    half: Half
    clips: int
    chosen: Figures
    """The policy as it is configured."""
    elsewhere: int
    """Turns that it ended in the middle of soft speech."""
    recovery: Recovery
    by_kind: dict[str, Rate]
    by_way: dict[str, Rate]
    by_length_s: dict[str, Rate]
    curves: list[Curve]
    trials: Trials


class TurnsReport(msgspec.Struct, frozen=True, kw_only=True):
    """The result of `bench turns`."""

    device: str
    versions: dict[str, str]
    policy: dict[str, float | str]
    earliest_sound_ms: float
    reopen_s: float
    compute: Compute
    halves: list[HalfReport]
    real: Trials
    """The same policy on pauses that people made in the recorded clips; few, so no rates."""


def rate(hits: int, n: int) -> Rate:
    """The share of `hits` in `n`."""
    low, high = wilson_interval(hits, n)
    return Rate(hits, n, round(hits / n, 4) if n else 0.0, round(low, 4), round(high, 4))


def figures(trials: Trials) -> Figures:
    """The figures of a policy."""
    pauses = trials.pauses
    knowable = [pause for pause in pauses if pause.kind not in UNKNOWABLE]
    waits_s = [end.wait_s for end in trials.ends]
    return Figures(
        wait_ms=distribution([1000 * wait_s for wait_s in waits_s]),
        wait_mean_ms=round(1000 * sum(waits_s) / len(waits_s), 1) if waits_s else math.nan,
        sound_ms=distribution([1000 * max(wait_s, EARLIEST_SOUND_S) for wait_s in waits_s]),
        cut_off=cut_off(pauses),
        cut_off_knowable=cut_off(knowable),
        confirmed=rate(sum(pause.confirmed_s is not None for pause in pauses), len(pauses)),
        cut_off_as_conversation=round(_reweighted(pauses), 4),
    )


def cut_off(pauses: Sequence[PauseTrial]) -> Rate:
    """How many of these pauses were cut off."""
    return rate(sum(pause.is_cut_off for pause in pauses), len(pauses))


def _reweighted(pauses: Sequence[PauseTrial]) -> float:
    short = [pause for pause in pauses if pause.length_s <= LONG_S]
    long = [pause for pause in pauses if pause.length_s > LONG_S]
    return (1 - LONG_SHARE) * cut_off(short).share + LONG_SHARE * cut_off(long).share


def recovery(trials: Trials, *, reopen_s: float) -> Recovery:
    """What `turn.reopen_s` repairs."""
    cut = [pause for pause in trials.pauses if pause.is_cut_off]
    repaired = sum(pause.length_s <= reopen_s for pause in cut)
    heard = [1000 * (pause.length_s - pause.sound_s) for pause in cut]
    return Recovery(rate(repaired, len(cut)), distribution(heard))


def compute(traces: Iterable[Trace]) -> Compute:
    """How long the opinions of all pauses took."""
    opinions = [silence.opinion for trace in traces for silence in trace.silences]
    return Compute(
        distribution([1000 * opinion.text_s for opinion in opinions]),
        distribution([1000 * opinion.completeness_s for opinion in opinions]),
        distribution([1000 * opinion.sentence_end_s for opinion in opinions]),
    )


def half_report(
    half: Half, traces: Sequence[Trace], config: EndpointConfig, *, reopen_s: float
) -> HalfReport:
    """The figures of one half, whose traces these are."""
    trials = chosen(traces, config)
    pauses = trials.pauses
    return HalfReport(
        half=half,
        clips=len(traces),
        chosen=figures(trials),
        elsewhere=trials.elsewhere,
        recovery=recovery(trials, reopen_s=reopen_s),
        by_kind=_by(pauses, [pause.kind for pause in pauses]),
        by_way=_by(pauses, [pause.way for pause in pauses]),
        by_length_s=_by(pauses, [_length_class(pause.length_s) for pause in pauses]),
        curves=curves(traces, config),
        trials=trials,
    )


def curves(traces: Sequence[Trace], config: EndpointConfig) -> list[Curve]:
    """Plain silence, and the policy with more and more to go by."""
    plain = [
        Point(silence_s, figures(run(traces, always(silence_s), signs=frozenset())))
        for silence_s in SILENCES_S
    ]
    found = [Curve("plain silence", plain)]
    for name, signs in SIGNS.items():
        points = [
            Point(shift, figures(chosen(traces, shifted(config, shift), signs=signs)))
            for shift in SHIFTS
        ]
        found.append(Curve(name, points))
    return found


def chosen(
    traces: Iterable[Trace], config: EndpointConfig, *, signs: frozenset[Sign] = ALL_SIGNS
) -> Trials:
    """What the server does with this config, if it is told of these signs."""
    return run(traces, policy(config), signs=signs, settled_s=config.complete_silence_s)


def always(silence_s: float) -> Policy:
    """The policy that waits as long after anything."""
    return lambda _: silence_s


def policy(config: EndpointConfig) -> Policy:
    """The policy of the server."""
    return lambda evidence: required_silence_s(evidence, config)


def shifted(config: EndpointConfig, log_odds: float) -> EndpointConfig:
    """The same policy with both thresholds moved: upwards it waits longer."""
    return replace(
        config,
        complete_above=_moved(config.complete_above, log_odds),
        incomplete_below=_moved(config.incomplete_below, log_odds),
    )


def _moved(probability: float, log_odds: float) -> float:
    return 1 / (1 + (1 / probability - 1) * math.exp(-log_odds))


def _by(pauses: Sequence[PauseTrial], classes: Sequence[str]) -> dict[str, Rate]:
    return {
        name: cut_off([p for p, of in zip(pauses, classes, strict=True) if of == name])
        for name in sorted(set(classes))
    }


def _length_class(length_s: float) -> str:
    for low, high in pairwise(LENGTHS_S):
        if length_s < high:
            return f"{low:.2f} to {high:.2f}"
    return f"above {LENGTHS_S[-1]:.2f}"
