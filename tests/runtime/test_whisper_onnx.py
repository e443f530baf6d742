"""Whisper on ONNX Runtime: the words, likelihoods and times of CTranslate2, sooner."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from halfsecond.audio import load
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.asr.network import FULL_CONTEXT_S
from halfsecond.models.asr.whisper import Whisper, _hiss
from halfsecond_bench.clips import Clip, load_clips, real_speech
from halfsecond_bench.wer import word_errors
from halfsecond_export.prepare.onnx_whisper import convert_ctranslate2_whisper_files

pytestmark = pytest.mark.models
ModelDir = Callable[[str], Path]
SOURCES = ("model.bin", "config.json", "tokenizer.json")


def converted(source: Path, directory: Path, quantization: str) -> Whisper:
    directory.mkdir(exist_ok=True)
    sources = {name: source / name for name in SOURCES}
    convert_ctranslate2_whisper_files(sources, directory, quantization=quantization)
    return Whisper(directory)


@pytest.fixture(scope="module")
def exact(model_dir: ModelDir, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whisper]:
    """tiny.en in float32 on ONNX Runtime."""
    directory = tmp_path_factory.mktemp("exact")
    whisper = converted(model_dir("whisper-tiny.en"), directory, "float32")
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def reference(model_dir: ModelDir) -> Iterator[Whisper]:
    """tiny.en in float32 on CTranslate2."""
    whisper = Whisper(model_dir("whisper-tiny.en"), compute_type="float32")
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def quantized(model_dir: ModelDir) -> Iterator[Whisper]:
    whisper = Whisper(model_dir("whisper-tiny.en-onnx"))
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def clips(clips_dir: Path) -> list[Clip]:
    return load_clips(clips_dir)


def test_in_float32_both_libraries_hear_the_same(
    exact: Whisper, reference: Whisper, clips: list[Clip]
) -> None:
    differ = []
    for clip in real_speech(clips):
        samples = load(clip.path).samples
        ours, theirs = exact.transcribe(samples), reference.transcribe(samples)
        if ours.text != theirs.text:
            differ.append(clip.file)
            continue
        assert ours.average_log_probability == pytest.approx(
            theirs.average_log_probability, abs=2e-3
        )
        assert ours.no_speech_probability == pytest.approx(theirs.no_speech_probability, abs=2e-3)
    # Two words may be so near that the last digit of a processor decides; here none are.
    assert len(differ) <= 1, differ


def test_a_network_with_a_damaged_layer_hears_otherwise(
    exact: Whisper, reference: Whisper, clips: list[Clip]
) -> None:
    """That the comparison above can fail: the values of one layer's heads change places."""
    samples = load(next(clip.path for clip in clips if clip.file == "jfk.flac")).samples
    network = exact._network
    listen = network.listen

    def damaged(mel: np.ndarray) -> None:
        listen(mel)
        values = network._pair.cross["cross_value_1"]  # type: ignore[attr-defined]
        values[...] = values[:, ::-1].copy()

    network.listen = damaged  # type: ignore[method-assign]
    try:
        assert exact.transcribe(samples).text != reference.transcribe(samples).text
    finally:
        network.listen = listen  # type: ignore[method-assign]
        network.learn_silence(exact._mel(_hiss(), FULL_CONTEXT_S))


def test_words_have_the_times_that_ctranslate2_finds(
    exact: Whisper, reference: Whisper, clips_dir: Path
) -> None:
    samples = load(clips_dir / "jfk.flac").samples
    ours = exact.transcribe(samples, has_times=True).words
    theirs = reference.transcribe(samples, has_times=True).words
    assert [word.text for word in ours] == [word.text for word in theirs]
    assert len(ours) == 22
    apart = [abs(a.start_s - b.start_s) for a, b in zip(ours, theirs, strict=True)]
    assert max(apart) <= 0.1
    assert sum(apart) / len(apart) <= 0.02


def test_int8_costs_no_more_than_two_words_of_a_hundred(
    exact: Whisper, quantized: Whisper, clips: list[Clip]
) -> None:
    questions = [clip for clip in clips if clip.kind == "synthetic" and clip.language == "en"]
    spoken = [clip for clip in [*real_speech(clips), *questions] if clip.transcript]
    heard = {
        whisper: word_errors(
            [(clip.transcript, whisper.transcribe(load(clip.path).samples).text) for clip in spoken]
        )
        for whisper in (exact, quantized)
    }
    assert heard[exact].words > 200
    assert heard[quantized].errors <= heard[exact].errors + heard[exact].words / 50


def test_what_was_heard_before_leaves_no_trace(quantized: Whisper, clips_dir: Path) -> None:
    """A long utterance lies in the buffers when a short one is heard."""
    short, long = load(clips_dir / "name.flac").samples, load(clips_dir / "jfk.flac").samples
    before = quantized.transcribe(short)
    quantized.transcribe(long)
    assert quantized.transcribe(short) == before
    assert before.text == "What is your name?"


def test_a_transcript_goes_on_after_known_words(quantized: Whisper, clips_dir: Path) -> None:
    samples = load(clips_dir / "jfk.flac").samples
    heard = quantized.transcribe(samples, begins_with=" And so my fellow Americans")
    assert heard.text.startswith((" ask not what", ", ask not what"))


def test_silence_after_known_words_stays_silence(exact: Whisper) -> None:
    hum = np.random.default_rng(1).normal(0, 0.002, 24_000).astype(np.float32)
    assert exact.transcribe(hum, begins_with=" When does the museum close").text.strip() in (
        "", "?", ".",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["silence.flac", "noise.flac", "cough.flac"])
def test_nothing_is_heard_where_nothing_is_said(
    quantized: Whisper, clips_dir: Path, name: str
) -> None:
    heard = quantized.transcribe(load(clips_dir / name).samples)
    assert (heard.text, heard.rejected) == ("", "silence")


def test_a_call_that_is_no_longer_wanted_ends_after_the_word_that_it_is_at(
    quantized: Whisper, clips_dir: Path
) -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 5

    heard = quantized.transcribe(load(clips_dir / "jfk.flac").samples, should_stop=should_stop)
    assert (heard.text, heard.rejected) == ("", "stopped")
    assert asked == 6
    again = quantized.transcribe(load(clips_dir / "jfk.flac").samples)
    assert "ask what you can do for your country" in again.text


def test_a_beam_is_refused_with_what_to_take_instead(model_dir: ModelDir) -> None:
    with pytest.raises(UnsupportedModelError, match="greedily, and was asked for a beam of 5"):
        Whisper(model_dir("whisper-tiny.en-onnx"), beam_size=5)


def test_a_directory_that_lacks_a_file_or_holds_a_broken_one_is_refused(
    model_dir: ModelDir, tmp_path: Path
) -> None:
    for path in model_dir("whisper-tiny.en-onnx").iterdir():
        (tmp_path / path.name).symlink_to(path)
    for name in ("whisper.json", "tokenizer.json", "decoder.onnx"):
        (tmp_path / name).unlink()
        with pytest.raises(ModelMissingError, match=r"models fetch"):
            Whisper(tmp_path)
        (tmp_path / name).write_bytes(b"{}")
        with pytest.raises(ModelCorruptError):
            Whisper(tmp_path)
        (tmp_path / name).unlink()
        shutil.copyfile(model_dir("whisper-tiny.en-onnx") / name, tmp_path / name)


@pytest.mark.slow
def test_the_multilingual_model_detects_and_hears_as_ctranslate2_does(
    model_dir: ModelDir, clips: list[Clip], tmp_path: Path
) -> None:
    ours = converted(model_dir("whisper-base"), tmp_path, "float32")
    theirs = Whisper(model_dir("whisper-base"), compute_type="float32")
    chinese = [clip for clip in clips if clip.language == "zh"]
    for clip in [*real_speech(clips), *chinese]:
        samples = load(clip.path).samples
        heard, expected = ours.transcribe(samples), theirs.transcribe(samples)
        assert (heard.language, heard.text) == (expected.language, expected.text), clip.file
    ours.close()
    theirs.close()
