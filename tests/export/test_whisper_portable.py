"""Whisper in ONNX's own operators: the same numbers as in those of ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.artifact import verified_artifact
from halfsecond.audio import load
from halfsecond.models.asr.mel import log_mel
from halfsecond.models.asr.tokens import Tokens
from halfsecond.sessions import Session, open_session
from halfsecond_export.prepare.ctranslate2_file import Ctranslate2File
from halfsecond_export.prepare.onnx_whisper import decoder_graph, encoder_graph
from halfsecond_export.prepare.whisper_network import WhisperNetwork, read_ctranslate2
from halfsecond_export.whisper.exporting import export
from halfsecond_export.whisper.reference import Request
from halfsecond_export.whisper.source import open_source

pytestmark = pytest.mark.models
Arrays = dict[str, NDArray[Any]]
START = [50257, 50362]  # of tiny.en: a transcript without time stamps
END = 50256


@pytest.fixture(scope="module")
def network(model_dir: Callable[[str], Path]) -> WhisperNetwork:
    return read_ctranslate2(Ctranslate2File(model_dir("whisper-tiny.en") / "model.bin"))


@pytest.fixture(scope="module")
def mel(clips_dir: Path) -> NDArray[np.float32]:
    samples = load(clips_dir / "jfk.flac").samples
    return log_mel(np.concatenate([samples, np.zeros(20 * 16_000 - len(samples), np.float32)]))


def run(session: Session, inputs: Arrays) -> Arrays:
    return session.run(inputs)


def test_both_encoders_hear_the_same(
    network: WhisperNetwork, mel: NDArray[np.float32], tmp_path: Path
) -> None:
    heard = []
    for name, is_portable in (("own.onnx", False), ("portable.onnx", True)):
        graph = encoder_graph(network, quantization="float32", is_portable=is_portable)
        graph.save(tmp_path / name)
        heard.append(run(open_session(tmp_path / name), {"mel": mel[None]}))
    own, portable = heard
    assert len(own) == 8
    for name, values in own.items():
        np.testing.assert_allclose(portable[name], values, atol=2e-4, err_msg=name)


def test_the_portable_pair_writes_what_was_said_with_a_cache_that_grows(
    network: WhisperNetwork,
    mel: NDArray[np.float32],
    model_dir: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    encoder_graph(network, is_portable=True).save(tmp_path / "encoder.onnx")
    decoder_graph(network, [(1, 0), (3, 2)], is_portable=True).save(tmp_path / "decoder.onnx")
    heard = run(open_session(tmp_path / "encoder.onnx"), {"mel": mel[None]})
    decoder = open_session(tmp_path / "decoder.onnx")
    tokens = written(decoder, heard)
    tokenizer = Tokens(model_dir("whisper-tiny.en"), multilingual=False)
    assert "ask what you can do for your country" in tokenizer.decode(tokens)
    whole = [*START, *tokens]
    # All tokens in one pass see no token that comes after them.
    at_once = run(decoder, heard | new_tokens(whole, at=0) | empty_caches(heard))
    guesses = at_once["logits"][0].argmax(-1)
    assert guesses[len(START) - 1 :].tolist() == [*whole[len(START) :], END]
    assert at_once["attention"].shape == (1, 2, len(whole), 1000)
    np.testing.assert_allclose(at_once["attention"].sum(-1), 1.0, atol=1e-4)


def written(decoder: Session, heard: Arrays) -> list[int]:
    """Greedy tokens, one by one."""
    caches, tokens, given = empty_caches(heard), list[int](), START
    at = 0
    while len(tokens) < 60:
        result = run(decoder, heard | caches | new_tokens(given, at=at))
        token = int(result["logits"][0, -1].argmax())
        if token == END:
            return tokens
        caches = {f"past_{n[8:]}": v for n, v in result.items() if n.startswith("present_")}
        at += len(given)
        tokens.append(token)
        given = [token]
    raise AssertionError("no end")


def new_tokens(tokens: list[int], *, at: int) -> Arrays:
    count = len(tokens)
    return {
        "tokens": np.array([tokens], np.int64),
        "positions": np.arange(at, at + count, dtype=np.int64),
        "rows": np.arange(count, dtype=np.int64),
    }


def empty_caches(heard: Arrays) -> Arrays:
    layers = range(len(heard) // 2)
    heads, size = heard["cross_value_0"].shape[1], heard["cross_value_0"].shape[3]
    empty = np.zeros((1, heads, 0, size), np.float32)
    return {f"past_{kind}_{layer}": empty for kind in ("key", "value") for layer in layers}


@pytest.mark.slow
def test_the_exported_pair_keeps_its_words_in_float16(
    model_dir: Callable[[str], Path], clips_dir: Path, tmp_path: Path
) -> None:
    request = Request(
        source=open_source(model_dir("whisper-tiny.en")),
        out=tmp_path,
        recordings=[load(clips_dir / name).samples for name in ("close.flac", "jfk.flac")],
        formats=["portable-fp16"],
        rebuild="halfsecond export whisper here",
    )
    artifacts = export(request, progress=lambda *_: None)
    assert set(artifacts) == {"portable-fp16/encoder", "portable-fp16/decoder"}
    for name, artifact in artifacts.items():
        assert verified_artifact(tmp_path / name) == artifact
        assert {check.what: check.value for check in artifact.checks}[
            "words that differ from float32"
        ] <= 0.01
    past = artifacts["portable-fp16/decoder"].profiles["past_key_3"]
    assert (past.smallest, past.largest) == ((1, 6, 0, 64), (1, 6, 447, 64))
