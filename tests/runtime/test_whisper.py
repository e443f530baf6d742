"""Whisper's words on real clips, and what it does where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from halfsecond.audio import load
from halfsecond.errors import (
    AudioError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.models.asr.ctranslate2_whisper import Ctranslate2Network
from halfsecond.models.asr.network import FULL_CONTEXT_S
from halfsecond.models.asr.whisper import Whisper, _Asked
from halfsecond_bench.clips import Clip, load_clips, real_speech
from halfsecond_bench.wer import WordErrors, word_errors

pytestmark = pytest.mark.models
ModelDir = Callable[[str], Path]

NOTHING = ["silence.flac", "noise.flac", "cough.flac"]


@pytest.fixture(scope="module")
def english(model_dir: ModelDir) -> Iterator[Whisper]:
    whisper = Whisper(model_dir("whisper-tiny.en"))
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def multilingual(model_dir: ModelDir) -> Iterator[Whisper]:
    whisper = Whisper(model_dir("whisper-base"))
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def clips(clips_dir: Path) -> list[Clip]:
    return load_clips(clips_dir)


def errors(whisper: Whisper, clips: list[Clip], *, full: bool = False) -> WordErrors:
    pairs = []
    for clip in clips:
        samples = load(clip.path).samples
        if full:
            heard = whisper._attempt(samples, FULL_CONTEXT_S, _Asked("en")).text
        else:
            heard = whisper.transcribe(samples, language="en").text
        pairs.append((clip.transcript, heard))
    return word_errors(pairs)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("close.flac", "When does the museum close today?"),
        ("jfk.flac", "ask what you can do for your country"),
        ("goforward.flac", "Go forward 10 meters"),
        ("librivox-0930.flac", "He might even have been made amiable himself."),
        ("shop-noise.flac", "Where is the gift shop?"),
    ],
)
def test_the_words_of_a_clip_are_heard(
    english: Whisper, clips_dir: Path, name: str, words: str
) -> None:
    heard = english.transcribe(load(clips_dir / name).samples)
    assert words in heard.text
    assert heard.language == "en"
    assert heard.rejected == ""
    assert heard.context_s < FULL_CONTEXT_S


@pytest.mark.parametrize("model", ["english", pytest.param("multilingual", marks=pytest.mark.slow)])
def test_the_needed_context_costs_no_words_of_real_speech(
    request: pytest.FixtureRequest, clips: list[Clip], model: str
) -> None:
    whisper: Whisper = request.getfixturevalue(model)
    real = real_speech(clips)
    needed, full = errors(whisper, real), errors(whisper, real, full=True)
    assert needed.words == 122
    assert needed.errors <= full.errors
    assert needed.rate < 0.07


def test_synthetic_questions_are_heard(english: Whisper, clips: list[Clip]) -> None:
    questions = [clip for clip in clips if clip.kind == "synthetic" and clip.language == "en"]
    assert errors(english, questions).rate < 0.1


@pytest.mark.parametrize("model", ["english", "multilingual"])
@pytest.mark.parametrize("name", NOTHING)
def test_nothing_is_heard_where_nothing_is_said(
    request: pytest.FixtureRequest, clips_dir: Path, model: str, name: str
) -> None:
    whisper: Whisper = request.getfixturevalue(model)
    heard = whisper.transcribe(load(clips_dir / name).samples)
    assert (heard.text, heard.rejected) == ("", "silence")


@pytest.mark.parametrize("level", [0.01, 0.2])
def test_white_noise_is_silence(english: Whisper, level: float) -> None:
    noise = np.random.default_rng(3).normal(0, level, 40_000).astype(np.float32)
    assert english.transcribe(noise).rejected == "silence"


def test_digital_silence_and_no_samples_are_not_even_decoded(english: Whisper) -> None:
    for samples in (np.zeros(16_000, np.float32), np.zeros(0, np.float32)):
        heard = english.transcribe(samples)
        assert (heard.text, heard.rejected, heard.context_s) == ("", "silence", 0.0)


def test_a_repetition_is_heard_again_in_full_context(model_dir: ModelDir, clips_dir: Path) -> None:
    """Without the known silence behind it, this clip makes the decoder repeat itself."""
    whisper = Whisper(model_dir("whisper-tiny.en"))
    network = whisper._network
    assert isinstance(network, Ctranslate2Network)
    network._silence = network._silence[:, :0]
    samples = load(clips_dir / "cards-001.flac").samples
    seeded = whisper._attempt(samples, 2.5, _Asked("en"))
    assert seeded.is_repetition
    heard = whisper.transcribe(samples)
    assert heard.context_s == FULL_CONTEXT_S
    assert word_errors([("ten of clubs", heard.text)]).errors == 0
    whisper.close()


def test_chinese_is_detected_and_written_in_simplified_characters(
    multilingual: Whisper, clips_dir: Path
) -> None:
    heard = multilingual.transcribe(load(clips_dir / "zh-close.flac").samples)
    assert heard.language == "zh"
    assert heard.text.strip("。？?") == "请问博物馆今天几点关门"


def test_a_prompt_sets_the_spelling(multilingual: Whisper, clips_dir: Path) -> None:
    samples = load(clips_dir / "lunch.flac").samples
    heard = multilingual.transcribe(samples, language="en", prompt="Welcome to the Café Nova.")
    assert "café" in heard.text.lower()


def test_an_english_model_refuses_other_languages(english: Whisper, clips_dir: Path) -> None:
    with pytest.raises(UnsupportedModelError, match="English only, and was asked for 'zh'"):
        english.transcribe(load(clips_dir / "close.flac").samples, language="zh")


def test_a_language_that_no_whisper_knows_is_refused(
    multilingual: Whisper, clips_dir: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match=r"no <\|tlh\|>"):
        multilingual.transcribe(load(clips_dir / "close.flac").samples, language="tlh")


def test_audio_that_is_too_long_or_has_two_channels_is_refused(english: Whisper) -> None:
    with pytest.raises(AudioError, match=r"31\.0 s long .* cut it at a pause"):
        english.transcribe(np.ones(31 * 16_000, np.float32))
    with pytest.raises(AudioError, match="one channel"):
        english.transcribe(np.ones((2, 16_000), np.float32))


def test_a_missing_model_names_the_command_that_fetches_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"no model\.bin .*halfsecond models fetch"):
        Whisper(tmp_path)


def test_a_truncated_model_is_not_loaded(model_dir: ModelDir, tmp_path: Path) -> None:
    source = model_dir("whisper-tiny.en")
    for path in source.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (source / "model.bin").read_bytes()
    (tmp_path / "model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelCorruptError, match="models verify"):
        Whisper(tmp_path)
