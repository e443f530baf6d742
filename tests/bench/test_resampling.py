"""Intervals and changes on values whose spread is known."""

from __future__ import annotations

import numpy as np
import pytest

from halfsecond_bench.resampling import paired_change, quantile_interval, tail_change
from halfsecond_bench.statistics import chance_of_rise, device_class


def test_the_interval_of_a_median_holds_it_and_is_drawn_over_questions() -> None:
    rng = np.random.default_rng(5)
    alone = {str(n): [float(v)] for n, v in enumerate(rng.normal(400, 40, 60))}
    low, high = quantile_interval(alone, 0.5)
    assert low < 400 < high
    assert high - low == pytest.approx(2 * 1.96 * 1.2533 * 40 / 60**0.5, rel=0.35)
    # The same sixty values as six questions of ten like ones: there is less to go by.
    ranked = sorted(v for values in alone.values() for v in values)
    together = {str(n): ranked[10 * n : 10 * n + 10] for n in range(6)}
    wide = quantile_interval(together, 0.5)
    assert wide[1] - wide[0] > 1.8 * (high - low)


def test_turns_may_be_of_different_number_and_a_quantile_is_numpys() -> None:
    groups = {"a": [1.0, 2.0, 3.0], "b": [10.0]}
    low, high = quantile_interval(groups, 0.95)
    assert low >= 1.0
    assert high == 10.0
    same = quantile_interval({"a": [1.0, 2.0, 5.0]}, 0.5)
    assert same == (2.0, 2.0)


def test_a_change_is_taken_question_by_question_so_that_their_differences_cancel() -> None:
    before = {str(n): [100.0 * n, 100.0 * n + 2] for n in range(10)}
    after = {name: [v + 7 for v in values] for name, values in before.items()}
    change, noise = paired_change(before, after | {"only here": [9999.0]})
    assert change == pytest.approx(7)
    assert np.quantile(noise, 0.998) < 7
    assert abs(float(np.mean(noise))) < 0.1


def test_noise_of_runs_that_are_alike_exceeds_its_quantile_as_often_as_that_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("halfsecond_bench.resampling.ROUNDS", 1000)
    rng = np.random.default_rng(11)
    exceeded = 0
    for number in range(200):
        runs = [
            {str(q): list(rng.normal(400 + 20 * q, 25, 2)) for q in range(10)} for _ in range(2)
        ]
        change, noise = paired_change(*runs, seed=number)
        exceeded += bool(change > np.quantile(noise, 0.9))
    assert 8 <= exceeded <= 34  # 20 are expected


def test_a_tail_that_grew_shows_in_the_p95_and_not_in_the_typical_turn() -> None:
    rng = np.random.default_rng(3)
    before = {str(q): list(rng.normal(400, 10, 8)) for q in range(10)}
    after = {q: [*values[:7], values[7] + 300] for q, values in before.items()}
    typical, _ = paired_change(before, after)
    slow, noise = tail_change(before, after, 0.95)
    assert typical < 10
    assert slow > 250
    assert slow > np.quantile(noise, 0.99)


def test_the_chance_of_a_rise_is_fishers() -> None:
    assert chance_of_rise(0, 28, 7, 28) == pytest.approx(0.00519, abs=1e-4)
    assert chance_of_rise(3, 10, 3, 10) > 0.5
    assert chance_of_rise(0, 28, 0, 28) == 1.0


def test_memory_is_no_part_of_a_kind_of_machine() -> None:
    one, other = "Xeon, 2 cores, 24 GiB, Linux", "Xeon, 2 cores, 23 GiB, Linux"
    assert device_class(one) == device_class(other) == "Xeon, 2 cores, Linux"
    assert device_class(one) != device_class("Xeon, 4 cores, 24 GiB, Linux")
