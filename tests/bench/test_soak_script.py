"""What the visitors of a soak do."""

from __future__ import annotations

from collections import Counter

from halfsecond_bench.clips import default_folder, false_alarms, load_clips, questions
from halfsecond_bench.soak_script import SHARES, Step, script

CLIPS = load_clips(default_folder())


def made(turns: int, *, measured_every: int = 10, seed: int = 1) -> list[Step]:
    return script(
        questions(CLIPS),
        false_alarms(CLIPS),
        turns=turns,
        measured_every=measured_every,
        seed=seed,
    )


def test_a_script_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    assert made(60) == made(60)
    assert made(60) != made(60, seed=2)


def test_a_script_has_as_many_questions_as_were_asked_for() -> None:
    steps = made(100)
    twice = sum(step.kind in ("speak_over", "type_over") for step in steps)
    assert 100 <= len(steps) + twice <= 101


def test_every_tenth_step_is_a_spoken_question_that_is_measured() -> None:
    steps = made(100)
    measured = [number for number, step in enumerate(steps, start=1) if step.is_measured]
    assert measured == list(range(10, len(steps) + 1, 10))
    assert {step.kind for step in steps if step.is_measured} == {"ask"}


def test_a_long_script_holds_every_kind_of_visitor_in_its_share() -> None:
    steps = made(2000, measured_every=10_000)
    counts = Counter(step.kind for step in steps)
    assert abs(sum(SHARES.values()) - 1) < 1e-9
    for kind, share in SHARES.items():
        assert abs(counts[kind] / len(steps) - share) < 0.03
        assert counts[kind] > 0
    assert all(step.question != step.other for step in steps)
