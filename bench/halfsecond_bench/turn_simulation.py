"""A policy against recorded pauses, on the stream's own clock: when does it end the turn?

What counts, for a pause inside an utterance and for the utterance's end:

- *cut off*: the answer would have been heard before the visitor went on.
- *confirmed*: the turn was taken for finished because of the pause, whether or not anything was
  heard before the visitor went on; stricter.
- the *wait*: from the last speech to the decision, at a true end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from halfsecond.audio import RATE_HZ
from halfsecond.models.turn.endpoint import Evidence
from halfsecond.models.vad.silero import WINDOW_SAMPLES
from halfsecond_bench.turn_clips import Kind, Pause, Way
from halfsecond_bench.turn_traces import BLOCK_SAMPLES, Silence, Trace

Policy: TypeAlias = Callable[[Evidence], float]
"""The silence that ends the turn, in seconds, given what is known."""
Sign: TypeAlias = Literal["sound", "words", "sentence end"]
ALL_SIGNS: frozenset[Sign] = frozenset({"sound", "words", "sentence end"})

EARLIEST_SOUND_S = 0.23
"""The first sound of an answer comes no sooner than this after the last speech, however soon the
turn is confirmed: that long the words, the first clause and its voice take (`bench latency`)."""
MATCH_S = 0.1
"""How far a silence that the server sees may lie from the label that it belongs to."""
LONGEST_WAIT_S = 2.3
"""What a clip's tail allows to observe."""


class PauseTrial(msgspec.Struct, frozen=True, kw_only=True):
    """One pause inside an utterance."""

    clip: str
    kind: Kind
    way: Way
    length_s: float
    confirmed_s: float | None
    """After the last speech; None if the visitor went on first."""

    @property
    def sound_s(self) -> float:
        """When the answer is heard, after the last speech; infinite for never."""
        if self.confirmed_s is None:
            return float("inf")
        return max(self.confirmed_s, EARLIEST_SOUND_S)

    @property
    def is_cut_off(self) -> bool:
        """Whether the answer is heard before the visitor goes on."""
        return self.sound_s < self.length_s


class EndTrial(msgspec.Struct, frozen=True, kw_only=True):
    """The end of one utterance."""

    clip: str
    wait_s: float
    """From the last speech until the turn is confirmed."""


class Trials(msgspec.Struct, frozen=True):
    """What a policy did in all clips."""

    pauses: list[PauseTrial]
    ends: list[EndTrial]
    elsewhere: int
    """Turns that it ended where no pause is labelled: in the middle of soft speech."""


def run(
    traces: Iterable[Trace],
    policy: Policy,
    *,
    signs: frozenset[Sign] = ALL_SIGNS,
    settled_s: float = 0.0,
) -> Trials:
    """The policy's decisions, each pause for itself: what it did before does not matter.

    signs: what the policy is told of. settled_s: see `known_at_s`.
    """
    trials = Trials([], [], 0)
    elsewhere = 0
    for trace in traces:
        clip = trace.clip
        decided = [
            (silence, confirmed_at_s(silence, policy, signs, settled_s))
            for silence in trace.silences
        ]
        inside = [(s, at) for s, at in decided if s.paused_sample < clip.last_speech_sample]
        for pause in clip.pauses:
            times = [at for silence, at in inside if at is not None and _belongs(silence, pause)]
            trials.pauses.append(
                PauseTrial(
                    clip=clip.name, kind=pause.kind, way=clip.way,
                    length_s=(pause.end - pause.start) / RATE_HZ,
                    confirmed_s=min(times) - pause.start / RATE_HZ if times else None,
                )
            )  # fmt: skip
        elsewhere += sum(
            at is not None and not any(_belongs(silence, pause) for pause in clip.pauses)
            for silence, at in inside
        )
        if clip.way != "real":  # recordings stop too soon after the last word
            trials.ends.append(EndTrial(clip=clip.name, wait_s=_wait_s(trace, decided)))
    return Trials(trials.pauses, trials.ends, elsewhere)


def _belongs(silence: Silence, pause: Pause) -> bool:
    reach = MATCH_S * RATE_HZ
    return pause.start - reach <= silence.paused_sample < pause.end + reach


def _wait_s(trace: Trace, decided: Sequence[tuple[Silence, float | None]]) -> float:
    """The wait at the end: the first decision in a silence that reaches it."""
    end = trace.clip.last_speech_sample
    times = [at for s, at in decided if at is not None and (s.resumed_sample or end) >= end]
    return min(times) - end / RATE_HZ if times else LONGEST_WAIT_S


def confirmed_at_s(
    silence: Silence,
    policy: Policy,
    signs: frozenset[Sign] = ALL_SIGNS,
    settled_s: float = 0.0,
) -> float | None:
    """When the policy ends the turn, in seconds of the stream; None if the visitor goes on first.

    It is asked whenever a block has come in, and whenever something more is known.
    """
    known = known_at_s(silence, policy, signs, settled_s)
    for at_s in _moments_s(silence, known):
        evidence = _evidence(silence, {sign for sign, since in known.items() if since <= at_s})
        blocks = int(at_s * RATE_HZ + 0.5) // BLOCK_SAMPLES
        judged = blocks * BLOCK_SAMPLES // WINDOW_SAMPLES * WINDOW_SAMPLES
        if (judged - silence.last_sample) / RATE_HZ >= policy(evidence):
            return at_s
    return None


def known_at_s(
    silence: Silence, policy: Policy, signs: frozenset[Sign], settled_s: float = 0.0
) -> dict[Sign, float]:
    """From when on each sign is known, in seconds of the stream.

    Words are asked for at the fall of loudness, the sentence's end when they are known, and the
    sound when both are; but not where they ask for no more than `settled_s` of silence already.
    """
    opinion = silence.opinion
    asked = silence.paused_sample if silence.fell_sample is None else silence.fell_sample
    words_s = asked / RATE_HZ + opinion.text_s
    known: dict[Sign, float] = {
        "words": words_s,
        "sentence end": words_s + opinion.sentence_end_s,
    }
    known = {sign: at_s for sign, at_s in known.items() if sign in signs}
    is_settled = policy(_evidence(silence, set(known))) <= settled_s
    if "sound" in signs and not is_settled:
        asked_s = max([silence.paused_sample / RATE_HZ, *known.values()])
        known["sound"] = asked_s + opinion.completeness_s
    return known


def _moments_s(silence: Silence, known: dict[Sign, float]) -> Iterator[float]:
    begin = silence.paused_sample
    end = begin + round(LONGEST_WAIT_S * RATE_HZ)
    if silence.resumed_sample is not None:
        end = silence.resumed_sample
    blocks = [sample / RATE_HZ for sample in range(begin, end, BLOCK_SAMPLES)]
    opinions = [at_s for at_s in known.values() if begin / RATE_HZ < at_s < end / RATE_HZ]
    yield from sorted([*blocks, *opinions])


def _evidence(silence: Silence, known: set[Sign]) -> Evidence:
    opinion = silence.opinion
    return Evidence(
        completeness=opinion.completeness if "sound" in known else None,
        text=opinion.text if "words" in known else None,
        sentence_end=opinion.sentence_end if "sentence end" in known else None,
    )
