"""Recognisers side by side: times in turns, and words counted clip by clip."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond_bench.clips import Clip, default_folder, load_clips
from halfsecond_bench.compare.recognition import Transcribe, call, compare


def clips() -> list[Clip]:
    found = {clip.file: clip for clip in load_clips(default_folder())}
    return [found["cards-001.flac"], found["cards-003.flac"]]


class Slow:
    """Recognisers that say what they are told to, and take as long."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.log: list[str] = []

    def recogniser(self, name: str, words: list[str], took_s: list[float]) -> Transcribe:
        calls = iter([(w, t) for w in words for t in took_s])

        def transcribe(samples: NDArray[np.float32]) -> str:
            assert len(samples) > 16_000
            said, seconds = next(calls)
            self.now_s += seconds
            self.log.append(name)
            return said

        return transcribe


def test_times_are_paired_by_clip_and_the_first_round_is_not_counted() -> None:
    slow = Slow()
    report = compare(
        {
            "halfsecond": slow.recogniser("o", ["ten of clubs", "seven of clubs"], [9, 0.1, 0.1]),
            "greedy": slow.recogniser("g", ["ten of clubs", "seven of clubs"], [9, 0.3, 0.5]),
        },
        clips(),
        rounds=2,
        now=lambda: slow.now_s,
    )
    assert "".join(slow.log) == "og" * 6, "they take turns"
    (ratio,) = report.ratios
    assert (ratio.theirs, ratio.n) == ("greedy", 2)
    assert ratio.times == pytest.approx(4.0)
    assert report.recognisers["halfsecond"].ms.p50 == pytest.approx(100)
    assert report.n_words == 6


def test_a_clip_with_more_errors_than_theirs_is_named_even_where_the_sum_is_equal() -> None:
    slow = Slow()
    report = compare(
        {
            "halfsecond": slow.recogniser("o", ["ten of clubs", "seven of cups"], [1.0, 1.0]),
            "greedy": slow.recogniser("g", ["ten of cups", "seven of clubs"], [1.0, 1.0]),
        },
        clips(),
        rounds=1,
        now=lambda: slow.now_s,
    )
    (ratio,) = report.ratios
    assert ratio.clips_worse == ["cards-003.flac"]
    assert ratio.clips_better == ["cards-001.flac"]
    assert report.recognisers["halfsecond"].wer == report.recognisers["greedy"].wer


def test_a_call_of_faster_whisper_takes_all_segments_and_no_options_of_ours() -> None:
    class Segment:
        def __init__(self, text: str) -> None:
            self.text = text

    class Model:
        def transcribe(self, samples: NDArray[np.float32], **options: object):  # type: ignore[no-untyped-def]
            self.options = options
            return iter([Segment(" Ten of"), Segment(" clubs.")]), None

    model = Model()
    assert call(model)(np.zeros(1, np.float32)) == "Ten of clubs."
    assert model.options == {}
    call(model, beam_size=1)(np.zeros(1, np.float32))
    assert model.options == {"beam_size": 1}
