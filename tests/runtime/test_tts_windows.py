"""Windows over frames, and the speech that comes out of them, without a model."""

from __future__ import annotations

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from halfsecond.models.tts.pauses import AUDIBLE, trimmed
from halfsecond.models.tts.speech_stream import SpeechStream
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk
from halfsecond.models.tts.windows import FIRST_S, LONGEST_S, windows

RATE_HZ = 22_050
FRAME_S = 256 / RATE_HZ


@given(frames=st.integers(0, 900), context=st.integers(0, 60), places=st.lists(st.integers(0, 900)))
def test_windows_want_every_frame_once_and_compute_what_is_around_it(
    frames: int, context: int, places: list[int]
) -> None:
    found = list(windows(frames, frame_s=FRAME_S, context=context, seams=places))
    wanted = [frame for window in found for frame in range(window.first, window.last)]
    assert wanted == list(range(frames))
    for window in found:
        assert window.start == max(window.first - context, 0)
        assert window.end == min(window.last + context, frames)
        assert window.first < window.last


def test_the_first_window_is_short_and_none_is_long() -> None:
    lengths = [
        (window.last - window.first) * FRAME_S
        for window in windows(2000, frame_s=FRAME_S, context=24)
    ]
    assert lengths[0] == pytest.approx(FIRST_S, abs=FRAME_S)
    assert max(lengths) == pytest.approx(LONGEST_S, abs=FRAME_S)
    assert lengths[1] == pytest.approx(2 * FIRST_S, abs=FRAME_S)


def test_windows_end_where_a_symbol_begins() -> None:
    found = list(windows(200, frame_s=0.01, context=10, seams=[7, 22, 24, 60, 190]))
    assert [window.last for window in found] == [24, 60, 160, 200]


def test_silence_in_front_makes_the_first_window_longer_by_as_much() -> None:
    plain = list(windows(400, frame_s=0.01, context=0))
    late = list(windows(400, frame_s=0.01, context=0, lead=8))
    assert [window.last for window in plain][:2] == [25, 75]
    assert [window.last for window in late][:2] == [33, 83]


def speech(length_s: float) -> NDArray[np.float32]:
    """Silence, tones with a pause in them, silence."""
    times = np.arange(round(length_s * RATE_HZ)) / RATE_HZ
    loud = (times > 0.3) & (times < length_s - 0.4) & ~((times > 0.8) & (times < 1.0))
    return np.where(loud, 0.3 * np.sin(2 * np.pi * 220 * times), 0.0).astype(np.float32)


def pushed(samples: NDArray[np.float32], ends: list[int], **settings: object) -> list[SpeechChunk]:
    given: dict[str, object] = {"gain": 1.0, "phones": (), "pause_s": 0.2, "text": "Well."}
    stream = SpeechStream(rate_hz=RATE_HZ, **(given | settings))  # type: ignore[arg-type]
    chunks = []
    for start, end in zip([0, *ends], [*ends, len(samples)], strict=True):
        chunk = stream.push(samples[start:end], is_last=end == len(samples))
        if chunk is not None:
            chunks.append(chunk)
    return chunks


@pytest.mark.parametrize("step_s", [0.05, 0.25, 0.31, 5.0])
def test_windows_sound_like_the_whole_trimmed(step_s: float) -> None:
    samples = speech(2.0)
    whole, _ = trimmed(soxr.resample(samples, RATE_HZ, SPEECH_RATE_HZ), (), pause_s=0.2)
    step = round(step_s * RATE_HZ)
    chunks = pushed(samples, list(range(step, len(samples), step)))
    together = np.concatenate([chunk.samples for chunk in chunks])
    assert abs(len(together) - len(whole)) <= 1
    shared = min(len(together), len(whole))
    assert np.abs(together[:shared] - whole[:shared]).max() < 1e-3


def test_silence_waits_for_what_follows_and_only_the_first_chunk_has_the_text() -> None:
    samples = speech(2.0)
    ends = [round(s * RATE_HZ) for s in (0.2, 0.9, 1.3, 1.9)]
    chunks = pushed(samples, ends)
    assert [chunk.text for chunk in chunks] == ["Well.", "", "", ""]
    assert all(np.abs(chunk.samples[-1]) > 0 for chunk in chunks[:-1])
    assert np.abs(chunks[0].samples).max() > AUDIBLE
    assert len(chunks[0].samples) / SPEECH_RATE_HZ == pytest.approx(0.505, abs=0.02)


def test_phones_lie_where_they_are_heard_in_each_chunk() -> None:
    samples = speech(2.0)
    phones = [Phone("a", 0.3, 0.8), Phone("b", 1.0, 1.3), Phone("c", 1.3, 1.6)]
    chunks = pushed(samples, [round(1.3 * RATE_HZ)], phones=phones)
    # The chunks begin with the first sound, a moment before 0.3 s, and follow without a gap.
    begin_s, found = 0.295, []
    for chunk in chunks:
        found += [(p.symbol, p.start_s + begin_s, p.end_s + begin_s) for p in chunk.phones]
        begin_s += len(chunk.samples) / SPEECH_RATE_HZ
    times = {symbol: (start, end) for symbol, start, end in found[::-1]}
    assert times["a"] == pytest.approx((0.3, 0.8), abs=0.012)
    assert times["b"][0] == pytest.approx(1.0, abs=0.012)
    assert found[-1][0] == "c"
    assert found[-1][1:] == pytest.approx((1.3, 1.6), abs=0.012)


def test_nothing_heard_is_no_chunk() -> None:
    assert pushed(np.zeros(RATE_HZ, np.float32), [5000, 9000]) == []
