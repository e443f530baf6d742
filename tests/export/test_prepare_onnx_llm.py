"""GGUF to ONNX: tiny networks with random weights against an independent float64 forward pass."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from fakes import gguf_networks
from fakes.gguf_networks import LAYERS, NETWORKS, PROMPT, Array, Tiny, forward, log_softmax, tiny
from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond.models.llm.onnx_decoder import OnnxDecoder
from halfsecond_export.prepare import convert_gguf_to_onnx, gguf_llm, gguf_network, onnx_llm

# Log probabilities of float32 against float64; those of a seeded fault are off by more than 1.
TOLERANCE = 1e-3


def converted(network: Tiny, folder: Path, *, quantization: str = "float32") -> OnnxDecoder:
    source = network.write(folder / "tiny.gguf")
    convert_gguf_to_onnx(source, folder / "out", quantization=quantization)
    return OnnxDecoder(folder / "out", threads=1, capacity=64)


def in_one_pass(decoder: OnnxDecoder, tokens: list[int]) -> Array:
    decoder.rewind([])
    return log_softmax(decoder.append(tokens, rows=len(tokens)).astype(np.float64))


def in_passes(decoder: OnnxDecoder, tokens: list[int], sizes: list[int]) -> Array:
    decoder.rewind([])
    parts = []
    for size in sizes:
        part = tokens[decoder.length : decoder.length + size]
        parts.append(log_softmax(decoder.append(part, rows=len(part)).astype(np.float64)))
    return np.concatenate(parts)


def divergence(network: Tiny, found: Array) -> float:
    """Mean Kullback-Leibler divergence from the exact distribution, in nats."""
    expected = forward(network, PROMPT)
    return float((np.exp(expected) * (expected - found)).sum(-1).mean())


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_gives_the_log_probabilities_of_the_file(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    decoder = converted(network, tmp_path)
    expected = forward(network, PROMPT)
    np.testing.assert_allclose(in_one_pass(decoder, PROMPT), expected, atol=TOLERANCE)
    np.testing.assert_allclose(in_passes(decoder, PROMPT, [5, 1, 3, 3]), expected, atol=TOLERANCE)


def test_rows_are_those_of_the_last_tokens(tmp_path: Path) -> None:
    network = tiny("llama")
    decoder = converted(network, tmp_path)
    logits = decoder.append(PROMPT, rows=3)
    expected = forward(network, PROMPT)[-3:]
    np.testing.assert_allclose(log_softmax(logits.astype(np.float64)), expected, atol=TOLERANCE)


def test_what_was_cut_off_and_written_over_leaves_no_trace(tmp_path: Path) -> None:
    network = tiny("qwen2")
    decoder = converted(network, tmp_path)
    decoder.append([*PROMPT[:4], *PROMPT[::-1]], rows=0)
    assert decoder.rewind(PROMPT) == 4
    decoder.append(PROMPT[4:-1], rows=0)
    logits = decoder.append(PROMPT[-1:], rows=1).astype(np.float64)
    expected = forward(network, PROMPT)[-1:]
    np.testing.assert_allclose(log_softmax(logits), expected, atol=TOLERANCE)


def _swap_rotary_layouts(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(gguf_network, "_HAS_PAIRED_ROTARY", {"llama": False, "qwen2": True})


def _turn_faster(patch: pytest.MonkeyPatch) -> None:
    read = gguf_network.read_architecture
    patch.setattr(
        gguf_llm,
        "read_architecture",
        lambda file: dataclasses.replace(read(file), rotary_base=10_000.0),
    )


def _leave_norms_out(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(onnx_llm, "rotate_network", lambda network, architecture: None)


FAULTS = {
    "rotary pairs in the other family's order": _swap_rotary_layouts,
    "another rotary base": _turn_faster,
    "norm weights that were not folded in": _leave_norms_out,
}


@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_seeded_fault_is_seen(
    family: str, fault: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = tiny(family)
    FAULTS[fault](monkeypatch)
    found = in_one_pass(converted(network, tmp_path), PROMPT)
    assert np.abs(found - forward(network, PROMPT)).max() > 1


@pytest.mark.parametrize("name", NETWORKS)
def test_int8_stays_close(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    found = in_one_pass(converted(network, tmp_path, quantization="int8"), PROMPT)
    # 0.01 to 0.05 nats; these networks are much surer of themselves than trained ones.
    assert divergence(network, found) < 0.1


def test_int8_stays_close_where_a_channel_is_a_hundred_times_the_others(tmp_path: Path) -> None:
    network = tiny("llama")
    for index in range(LAYERS):
        # One loud channel, read by weights so small that it means little.
        network.weights[f"blk.{index}.ffn_norm.weight"][5] = 100.0
        network.weights[f"blk.{index}.ffn_gate.weight"][:, 5] *= 0.01
        network.weights[f"blk.{index}.ffn_up.weight"][:, 5] *= 0.01
    found = in_one_pass(converted(network, tmp_path, quantization="int8"), PROMPT)
    assert divergence(network, found) < 0.1


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_in_int8_a_token_comes_out_the_same_alone_and_among_others(
    family: str, tmp_path: Path
) -> None:
    decoder = converted(tiny(family), tmp_path, quantization="int8")
    together = in_one_pass(decoder, PROMPT)
    alone = in_passes(decoder, PROMPT, [1] * len(PROMPT))
    # The last bit of a float may decide a rounding. Rounding by the largest of all rows: off by 2.
    np.testing.assert_allclose(alone, together, atol=0.1)


def test_the_directory_holds_what_the_answerer_needs(tmp_path: Path) -> None:
    source = tiny("llama").write(tmp_path / "tiny.gguf")
    convert_gguf_to_onnx(source, tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["preparer"] == "gguf-to-onnx"
    assert manifest["options"] == {"quantization": "int8"}
    assert manifest["details"]["general.license"] == "apache-2.0"
    assert set(manifest["outputs"]) == {
        "model.onnx",
        "model.onnx.data",
        "tokenizer.json",
        "chat.json",
    }
    # A store may be shared by several users.
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (tmp_path / "out").iterdir())


def test_the_same_source_gives_the_same_files(tmp_path: Path) -> None:
    source = tiny("qwen2").write(tmp_path / "tiny.gguf")
    for name in ("first", "second"):
        convert_gguf_to_onnx(source, tmp_path / name)
    for name in ("model.onnx", "model.onnx.data"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_heads_that_the_attention_cannot_take_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gguf_networks, "HEADS", 12)
    monkeypatch.setattr(gguf_networks, "SIZE", 8)
    source = tiny("llama").write(tmp_path / "tiny.gguf")
    with pytest.raises(UnsupportedModelError, match=r"heads of 8.*multiples of 16"):
        convert_gguf_to_onnx(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_tensor_that_has_no_place_is_refused(tmp_path: Path) -> None:
    network = tiny("llama")
    network.weights["blk.0.attn_q_norm.weight"] = np.ones(16)
    source = network.write(tmp_path / "tiny.gguf")
    with pytest.raises(UnsupportedModelError, match=r"no place.*blk\.0\.attn_q_norm"):
        convert_gguf_to_onnx(source, tmp_path / "out")


def test_an_unknown_quantization_lists_the_valid_ones(tmp_path: Path) -> None:
    source = tiny("llama").write(tmp_path / "tiny.gguf")
    with pytest.raises(ConfigError, match=r"int4.*int8, float32"):
        convert_gguf_to_onnx(source, tmp_path / "out", quantization="int4")
