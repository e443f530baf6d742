"""Kokoro as somebody whose recording a style was fitted to.

clips/reader.voiceprint was made of the first 10 s of the LibriVox reader in `tests/clips` (public
domain) with `halfsecond export voice --engine kokoro`; other recordings of the reader judge it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.config import TtsConfig
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.speaker.encoder import SpeakerEncoder, similarity
from halfsecond.models.tts.kokoro import KokoroVoice
from halfsecond.models.tts.levels import TARGET_DB, speech_level_db
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.stages import openers
from halfsecond.voiceprint import read_voiceprint

ModelDir = Callable[[str], Path]
Samples = NDArray[np.float32]

pytestmark = pytest.mark.models
SENTENCE = "Yes, the moon rock is real."


@pytest.fixture(scope="module")
def voice(model_dir: ModelDir, clips_dir: Path) -> Iterator[KokoroVoice]:
    config = TtsConfig(model="kokoro", voiceprint=str(clips_dir / "reader.voiceprint"))
    opened = openers.open_voice(config, model_dir("kokoro"))
    assert isinstance(opened, KokoroVoice)
    yield opened
    opened.close()


def spoken(voice: KokoroVoice) -> Samples:
    return np.concatenate([chunk.samples for chunk in voice.speak(SENTENCE)])


def test_a_cloned_voice_says_the_words_and_sounds_like_its_owner(
    voice: KokoroVoice, model_dir: ModelDir, clips_dir: Path
) -> None:
    cloned = spoken(voice)
    voice.voiceprint = None
    own = spoken(voice)
    voice.voiceprint = read_voiceprint(clips_dir / "reader.voiceprint")
    np.testing.assert_array_equal(spoken(voice), cloned)
    assert speech_level_db(cloned) == pytest.approx(TARGET_DB, abs=2.0)

    encoder = SpeakerEncoder(model_dir("speaker-encoder") / "speaker_encoder.onnx")
    owner = encoder.embed(audio.load(clips_dir / "librivox-0920.flac").samples)
    other = encoder.embed(audio.load(clips_dir / "jfk.flac").samples)
    like = encoder.embed(heard_rate(cloned))
    assert similarity(like, owner) > 0.7
    assert similarity(like, owner) > similarity(like, other) + 0.15
    assert similarity(like, owner) > similarity(encoder.embed(heard_rate(own)), owner) + 0.15

    whisper = Whisper(model_dir("whisper-base"))
    text = whisper.transcribe(np.pad(heard_rate(cloned), 4_000), language="en").text
    whisper.close()
    assert "moon rock is real" in text.lower()


def heard_rate(samples: Samples) -> Samples:
    return audio.resample(samples, from_hz=SPEECH_RATE_HZ, to_hz=audio.RATE_HZ)
