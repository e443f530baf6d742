"""Exporting Whisper: sources of every kind, and artifacts that were compared with their weights."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.artifact import read_artifact, verified_artifact
from halfsecond.audio import load
from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.errors import UnsupportedModelError as Unsupported
from halfsecond.models.asr.whisper import Whisper
from halfsecond_export.whisper import exporting, parity, reference
from halfsecond_export.whisper.ctranslate2_model import write_ctranslate2
from halfsecond_export.whisper.parity import compare_words, edits
from halfsecond_export.whisper.reference import Request
from halfsecond_export.whisper.source import (
    WhisperSource,
    fetched,
    open_source,
    write_hugging_face,
)
from halfsecond_export.whisper.weight_names import HUGGING_FACE, OPENAI, named_weights, read_network

CLIPS = ("goforward.flac", "name.flac", "close.flac")


@pytest.fixture(scope="module")
def tiny(model_dir: Callable[[str], Path]) -> WhisperSource:
    return open_source(model_dir("whisper-tiny.en"))


@pytest.fixture(scope="module")
def recordings(clips_dir: Path) -> list[NDArray[np.float32]]:
    return [load(clips_dir / name).samples for name in (*CLIPS, "cough.flac")]


def request_for(
    source: WhisperSource, out: Path, recordings: list[NDArray[np.float32]], *formats: str
) -> Request:
    rebuild = f"halfsecond export whisper here --out {out}"
    return Request(source=source, out=out, recordings=recordings, formats=formats, rebuild=rebuild)


@pytest.mark.models
def test_weights_survive_the_way_through_hugging_faces_files(
    tiny: WhisperSource, tmp_path: Path
) -> None:
    write_hugging_face(tiny, tmp_path)
    again = open_source(tmp_path)
    before = named_weights(tiny.network, HUGGING_FACE)
    after = named_weights(again.network, HUGGING_FACE)
    assert before.keys() == after.keys()
    assert len(before) == 167  # as many as transformers' WhisperForConditionalGeneration has
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert again.decoding == tiny.decoding


@pytest.mark.models
def test_openais_names_give_the_same_network(tiny: WhisperSource) -> None:
    weights = named_weights(tiny.network, OPENAI)
    assert "decoder.blocks.3.cross_attn.key.weight" in weights
    assert "decoder.blocks.3.cross_attn.key.bias" not in weights
    again = read_network(weights, OPENAI, heads=6, file="tiny.en.pt")
    for name, values in named_weights(again, HUGGING_FACE).items():
        assert np.array_equal(values, named_weights(tiny.network, HUGGING_FACE)[name]), name


@pytest.mark.models
def test_what_ctranslate2_gets_leaves_the_network_as_it_was_and_says_the_same(
    tiny: WhisperSource, model_dir: Callable[[str], Path], clips_dir: Path, tmp_path: Path
) -> None:
    before = tiny.network.decoder_layers[0].ffn.up.weight.copy()
    for quantization in ("int8", "float32"):
        (tmp_path / quantization).mkdir()
        write_ctranslate2(tiny, tmp_path / quantization, quantization=quantization)
        assert np.array_equal(tiny.network.decoder_layers[0].ffn.up.weight, before)
    ours = Whisper(tmp_path / "float32", compute_type="float32")
    theirs = Whisper(model_dir("whisper-tiny.en"), compute_type="float32")
    samples = load(clips_dir / "jfk.flac").samples
    assert ours.transcribe(samples, has_times=True) == theirs.transcribe(samples, has_times=True)
    small, large = ((tmp_path / q / "model.bin").stat().st_size for q in ("int8", "float32"))
    assert small < large / 3


@pytest.mark.models
def test_an_export_is_compared_with_its_weights_and_opens(
    tiny: WhisperSource, recordings: list[NDArray[np.float32]], tmp_path: Path
) -> None:
    request = request_for(tiny, tmp_path, recordings, "onnx-fp32", "ctranslate2-float16")
    told: list[str] = []
    artifacts = exporting.export(request, progress=lambda _, text: told.append(text))
    assert "onnx-fp32" in told
    for name, artifact in artifacts.items():
        assert verified_artifact(tmp_path / name) == artifact
        words, control = artifact.checks
        assert words.n == 14  # the cough is left out
        assert words.value == 0
        assert control.value > 0.1
    whisper = Whisper(tmp_path / "onnx-fp32")
    assert whisper.transcribe(recordings[2]).text == "When does the museum close today?"


@pytest.mark.slow
@pytest.mark.models
def test_what_all_formats_are_compared_with_is_written_once(
    tiny: WhisperSource,
    recordings: list[NDArray[np.float32]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[str] = []

    def count(name: str) -> None:
        module, _, function = name.rpartition(".")
        real = getattr(importlib.import_module(f"halfsecond_export.whisper.{module}"), function)

        def counted(*given: Any, **named: Any) -> Any:
            written.append(name)
            return real(*given, **named)

        monkeypatch.setattr(f"halfsecond_export.whisper.{name}", counted)

    count("reference.write_ctranslate2")
    count("reference.write_onnx")
    count("portable.write_pair")
    wanted = ("onnx-int8", "portable-fp32")
    request = request_for(tiny, tmp_path, recordings[2:3], *wanted)
    artifacts = exporting.export(request, progress=lambda *_: None)
    assert len(artifacts) == 3 and not any(made.missed for made in artifacts.values())
    assert sorted(written) == [
        "portable.write_pair",
        "reference.write_ctranslate2",
        "reference.write_onnx",
    ]


@pytest.mark.models
def test_an_export_of_a_network_that_was_damaged_on_the_way_is_rejected(
    tiny: WhisperSource,
    recordings: list[NDArray[np.float32]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = reference.write_onnx
    monkeypatch.setattr(
        "halfsecond_export.whisper.exporting.write_onnx",
        lambda source, network, *rest: written(source, parity.damaged(network), *rest),
    )
    request = request_for(tiny, tmp_path, recordings[2:3], "onnx-fp32")
    exporting.export(request, progress=lambda *_: None)
    assert read_artifact(tmp_path / "onnx-fp32").is_rejected
    with pytest.raises(Unsupported, match=r"rejected: words that differ from float32"):
        verified_artifact(tmp_path / "onnx-fp32")


@pytest.mark.models
def test_recordings_without_speech_are_nothing_to_compare_on(
    tiny: WhisperSource, clips_dir: Path, tmp_path: Path
) -> None:
    noises = [load(clips_dir / name).samples for name in ("cough.flac", "silence.flac")]
    with pytest.raises(ConfigError, match="in none of 2 recordings"):
        exporting.export(request_for(tiny, tmp_path, noises, "onnx-int8"), progress=lambda *_: None)
    assert list(tmp_path.iterdir()) == []


def test_a_format_that_there_is_not_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    request = Request(source=None, out=tmp_path, recordings=[], formats=["onnx-int4"], rebuild="")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"no format onnx-int4; there are onnx-int8"):
        exporting.export(request, progress=lambda *_: None)


def test_sources_that_are_no_whisper_say_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="nothing at"):
        open_source(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(Unsupported, match=r"holds notes\.txt; expected a directory with"):
        open_source(tmp_path)
    with pytest.raises(Unsupported, match="no Whisper that can be read"):
        open_source(tmp_path / "notes.txt")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(Unsupported, match="model type 'llama', expected 'whisper'"):
        open_source(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelCorruptError, match="cannot be read"):
        open_source(tmp_path)
    (tmp_path / "model.pt").write_bytes(b"")
    with pytest.raises(ConfigError, match="has no tokenizer; give the directory"):
        open_source(tmp_path / "model.pt")


def test_a_weight_that_is_missing_is_named() -> None:
    with pytest.raises(Unsupported, match=r"no weight model\.encoder\.conv1\.weight.* with a"):
        read_network({"a": np.zeros(1)}, HUGGING_FACE, heads=1, file="x")


@pytest.mark.parametrize("source", ["here", "./a/b", "/a/b", "a/b/c"])
def test_a_path_is_no_repository(source: str) -> None:
    assert fetched(source) == Path(source)


@pytest.mark.parametrize(
    ("expected", "found", "count"),
    [("a b c", "a b c", 0), ("a b c", "a c", 1), ("a b", "a x b", 1), ("a b", "", 2), ("", "a", 1)],
)
def test_edits_are_the_fewest_changes(expected: str, found: str, count: int) -> None:
    assert edits(expected.split(), found.split()) == count


def test_words_are_compared_without_case_and_punctuation() -> None:
    silence = np.zeros(1, np.float32)
    rate, words = compare_words(lambda _: "Go, forward!", lambda _: "go backward", [silence])
    assert (rate, words) == (0.5, 2)
