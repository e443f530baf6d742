"""The voice pipeline on stand-ins for the models; its own VAD and turn model are real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond_bench.clips import Clip, load_clips
from halfsecond_bench.compare.sides import PipecatSide

pytest.importorskip("pipecat", reason="pip install 'halfsecond[peers]'")
pytest.importorskip("faster_whisper", reason="pip install 'halfsecond[peers]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # other people's


class Whisper:
    """Hears what it is told to, and keeps what it was given."""

    def __init__(self, *words: str) -> None:
        self._words = iter(words)
        self.heard: list[NDArray[np.float32]] = []

    def transcribe(self, samples: NDArray[np.float32], **options: Any) -> Any:
        assert options["beam_size"] == 1
        self.heard.append(samples)
        return [SimpleNamespace(text=next(self._words), no_speech_prob=0.1)], None


class Voice:
    """Says everything as a tone of half a second after a silence of a tenth."""

    name, language = "tone", "en"

    def __init__(self) -> None:
        self.said: list[str] = []

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        self.said.append(clause)
        tone = np.full(12_000, 0.3, np.float32)
        yield SpeechChunk(np.concatenate((np.zeros(2400, np.float32), tone)), clause)

    def close(self) -> None: ...


def think(question: str, is_cancelled: Callable[[], bool]) -> Iterator[str]:
    yield from ("The museum ", f"heard: {question}", " And more.")


@pytest.fixture
def clip(clips_dir: Path) -> Clip:
    return next(clip for clip in load_clips(clips_dir) if clip.file == "close.flac")


async def test_a_question_is_answered_after_its_end_and_the_next_starts_afresh(clip: Clip) -> None:
    from halfsecond_bench.compare.pipecat_voice import PipecatVoice

    whisper, voice = Whisper("When do you close?", "And on Sunday?"), Voice()
    async with PipecatVoice(whisper=whisper, think=think, voice=voice) as pipeline:
        side = PipecatSide(pipeline)
        first, second = await side.turn(clip), await side.turn(clip)
    assert first.heard == "When do you close?"
    assert first.answer == "The museum heard: When do you close? And more."
    assert " ".join(voice.said[: len(voice.said) // 2]).split() == first.answer.split()
    assert second.heard == "And on Sunday?", "what was said before is not part of it"
    assert first.first_audio_ms is not None
    assert first.wait_ms is not None
    assert 200 < first.wait_ms < first.first_audio_ms < 8000
    assert (first.cut_ins, first.first_frame_ms) == (0, None)
    spoken_s = clip.last_speech_s
    assert len(whisper.heard[0]) / 16_000 > 0.6 * spoken_s


async def test_silence_is_not_answered(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    from halfsecond_bench.compare import pipecat_voice

    monkeypatch.setattr(pipecat_voice, "PATIENCE_S", 0.5)
    async with pipecat_voice.PipecatVoice(
        whisper=Whisper(), think=think, voice=Voice()
    ) as pipeline:
        turn = await pipeline.ask(np.zeros(len(audio.load(clip.path).samples), np.float32))
    assert turn.first_audible_s is None
    assert turn.endpoints_s == []
