"""Choosing tokens from logits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.models.llm.answerer import Sampling
from halfsecond.models.llm.token_choice import TokenChooser

CHANCES = [0.5, 0.25, 0.15, 0.1]


def logits(chances: list[float]) -> NDArray[np.float32]:
    return np.log(np.array(chances, np.float32))


def shares(sampling: Sampling, *, count: int = 4000) -> list[float]:
    chooser = TokenChooser(sampling)
    chosen = [chooser.choose(logits(CHANCES)) for _ in range(count)]
    return [chosen.count(token) / count for token in range(len(CHANCES))]


def test_greedy_takes_the_likeliest() -> None:
    assert shares(Sampling(), count=5) == [1, 0, 0, 0]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(temperature=1, seed=1), CHANCES),
        (Sampling(temperature=0.5, seed=1), [0.7246, 0.1812, 0.0652, 0.0290]),
        (Sampling(temperature=1, top_p=0.75, seed=1), [2 / 3, 1 / 3, 0, 0]),
        (Sampling(temperature=1, top_p=0.76, seed=1), [0.5556, 0.2778, 0.1667, 0]),
        (Sampling(temperature=1, top_p=0.01, seed=1), [1, 0, 0, 0]),
    ],
)
def test_tokens_are_drawn_as_often_as_they_are_likely(
    sampling: Sampling, expected: list[float]
) -> None:
    assert shares(sampling) == pytest.approx(expected, abs=0.03)


def test_top_p_looks_beyond_the_first_few_hundred() -> None:
    chooser = TokenChooser(Sampling(temperature=1, top_p=0.9, seed=1))
    chosen = {chooser.choose(np.zeros(2000, np.float32)) for _ in range(3000)}
    assert 1200 < len(chosen) <= 1801


def test_a_seed_repeats_the_choices() -> None:
    def choices(seed: int) -> list[int]:
        chooser = TokenChooser(Sampling(temperature=1, seed=seed))
        return [chooser.choose(logits(CHANCES)) for _ in range(20)]

    assert choices(1) == choices(1) != choices(2)


def test_a_penalty_makes_what_was_said_less_likely() -> None:
    chooser = TokenChooser(Sampling(repetition_penalty=1.5))
    rows = [[3.0, 2.5, -1.0], [3.0, 2.5, -1.0], [3.0, 1.0, -1.0]]
    # 3 / 1.5 is below 2.5; then 2 is above 1 / 1.5.
    assert [chooser.choose(np.array(row, np.float32)) for row in rows] == [0, 1, 0]
    below_zero = TokenChooser(Sampling(repetition_penalty=1.5))
    row = [-1.0, -1.2]
    assert [below_zero.choose(np.array(row, np.float32)) for _ in range(2)] == [0, 1]
