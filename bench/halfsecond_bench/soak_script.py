"""What the visitors of a soak do, drawn once from a seed so that every run is the same."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from halfsecond_bench.clips import Clip

Kind = Literal[
    "ask", "type", "interrupt", "speak_over", "type_over", "cough", "silence", "leave", "vanish"
]

SHARES: dict[Kind, float] = {
    "ask": 0.40,
    "type": 0.16,
    "interrupt": 0.14,
    "speak_over": 0.09,
    "type_over": 0.06,
    "cough": 0.06,
    "silence": 0.03,
    "leave": 0.04,
    "vanish": 0.02,
}
"""ask and type: a question, heard to its end. interrupt: stopped by the client's button; speak_over
and type_over: by another question. cough: a sound that must not stop the answer. silence: nothing
for a while, then a question. leave: a question, then the visitor goes and another comes. vanish:
the client dies in the middle of the answer, and another comes."""
TWICE = ("speak_over", "type_over")
"""Steps with two questions."""
AFTER_S = (0.1, 2.5)
"""When an answer is disturbed, in seconds of its playback; most answers are longer."""


@dataclass(frozen=True)
class Step:
    """One thing that a visitor does."""

    kind: Kind
    question: Clip
    other: Clip
    """What is asked over the answer."""
    sound: Clip
    """What is heard over it without being meant: a cough, a click, an "mm-hm"."""
    after_s: float
    is_measured: bool
    """Played at the pace of real time, and the A/V offset measured on the pictures."""


def script(
    questions: Sequence[Clip],
    sounds: Sequence[Clip],
    *,
    turns: int,
    measured_every: int,
    seed: int,
) -> list[Step]:
    """Steps with `turns` questions; every `measured_every`th step is a spoken one, measured."""
    chance = random.Random(seed)
    made: list[Step] = []
    while sum(2 if step.kind in TWICE else 1 for step in made) < turns:
        is_measured = len(made) % measured_every == measured_every - 1
        (kind,) = chance.choices(list(SHARES), weights=list(SHARES.values()))
        question, other = chance.sample(list(questions), 2)
        made.append(
            Step(
                kind="ask" if is_measured else kind,
                question=question,
                other=other,
                sound=chance.choice(sounds),
                after_s=round(chance.uniform(*AFTER_S), 3),
                is_measured=is_measured,
            )
        )
    return made
