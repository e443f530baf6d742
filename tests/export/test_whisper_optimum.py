"""Reading a Whisper that optimum wrote: the names are those of its 2.1 with torch 2.13."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.whisper_network import Linear, Norm, WhisperNetwork
from halfsecond_export.whisper.source import WhisperSource, open_source, write_hugging_face
from halfsecond_export.whisper.weight_names import HUGGING_FACE, named_weights, read_network

WIDTH, HEADS, FRAMES = 8, 2, 12
GREEDY = {
    "alignment_heads": [[0, 1]],
    "suppress_tokens": [1],
    "begin_suppress_tokens": [2],
    "lang_to_id": {"<|en|>": 9},
}


@pytest.fixture
def weights() -> dict[str, NDArray[np.float32]]:
    """Of a narrow Whisper with two layers in each half, by Hugging Face's names."""
    chance = np.random.default_rng(7)

    def some(*shape: int) -> NDArray[np.float32]:
        return chance.normal(size=shape).astype(np.float32)

    def linear(outputs: int, *inputs: int) -> Linear:
        return Linear(some(outputs, *inputs), some(outputs))

    found: dict[str, Any] = {
        "model.encoder.embed_positions.weight": some(FRAMES, WIDTH),
        "model.decoder.embed_positions.weight": some(16, WIDTH),
        "model.decoder.embed_tokens.weight": some(20, WIDTH),
    }

    def add(name: str, part: Linear | Norm, *, has_bias: bool = True) -> None:
        found[f"{name}.weight"] = part.weight
        if has_bias:
            found[f"{name}.bias"] = part.bias

    add("model.encoder.conv1", linear(WIDTH, 4, 3))
    add("model.encoder.conv2", linear(WIDTH, WIDTH, 3))
    for half, attentions in (
        ("encoder", ["self_attn"]),
        ("decoder", ["self_attn", "encoder_attn"]),
    ):
        add(f"model.{half}.layer_norm", Norm(some(WIDTH), some(WIDTH)))
        for layer in (f"model.{half}.layers.{at}" for at in range(2)):
            for attention in attentions:
                add(f"{layer}.{attention}_layer_norm", Norm(some(WIDTH), some(WIDTH)))
                for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    product = linear(WIDTH, WIDTH)
                    add(
                        f"{layer}.{attention}.{projection}",
                        product,
                        has_bias=projection != "k_proj",
                    )
            add(f"{layer}.final_layer_norm", Norm(some(WIDTH), some(WIDTH)))
            add(f"{layer}.fc1", linear(2 * WIDTH, WIDTH))
            add(f"{layer}.fc2", linear(WIDTH, 2 * WIDTH))
    return found


def write_optimum(weights: dict[str, NDArray[np.float32]], directory: Path) -> None:
    """Lays weights out as optimum's export of this architecture was seen to."""
    directory.mkdir(parents=True, exist_ok=True)
    for half, scope, file in (
        ("encoder", "", "encoder_model.onnx"),
        ("decoder", "model.decoder.", "decoder_model.onnx"),
    ):
        nodes, tensors = [], []
        for number, (name, values) in enumerate(weights.items()):
            own = name.removeprefix(f"model.{half}.")
            if own == name:
                continue
            nameless = f"onnx::MatMul_{number}"
            module = (
                (scope + own.removesuffix(".weight"))
                .replace(".", "/")
                .replace("layers/", "layers.")
            )
            if own.endswith(("proj.weight", "fc1.weight", "fc2.weight")):
                tensors.append(numpy_helper.from_array(np.ascontiguousarray(values.T), nameless))
                nodes.append(
                    helper.make_node("MatMul", ["x", nameless], ["y"], f"/{module}/MatMul")
                )
            elif half == "encoder" and own == "embed_positions.weight":
                tensors.append(numpy_helper.from_array(values, "onnx::Add_447"))
                nodes.append(helper.make_node("Add", ["x", "onnx::Add_447"], ["y"], "/Add_2"))
            else:
                tensors.append(numpy_helper.from_array(values, scope + own))
        if half == "decoder":  # the same table as the embeddings, and no module's of a half
            tensors.append(numpy_helper.from_array(np.ones((8, 20), np.float32), "onnx::MatMul_9"))
            nodes.append(
                helper.make_node("MatMul", ["x", "onnx::MatMul_9"], ["y"], "/proj_out/MatMul")
            )
        graph = helper.make_graph(nodes, half, [], [], tensors)
        onnx.save(helper.make_model(graph), directory / file)


def write_details(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    config = {"model_type": "whisper", "decoder_attention_heads": HEADS}
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "generation_config.json").write_text(json.dumps(GREEDY))
    (directory / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize("folder", [".", "onnx"])
def test_every_weight_comes_back_as_it_was(
    weights: dict[str, NDArray[np.float32]], tmp_path: Path, folder: str
) -> None:
    write_details(tmp_path)
    write_optimum(weights, tmp_path / folder)
    source = open_source(tmp_path)
    found = named_weights(source.network, HUGGING_FACE)
    assert found.keys() == weights.keys()
    for name, values in weights.items():
        assert np.array_equal(found[name], values), name
    assert (source.network.heads, len(source.network.decoder_layers)) == (HEADS, 2)
    assert source.decoding.languages == (9,)
    assert {file.name for file in source.files} >= {"encoder_model.onnx", "decoder_model.onnx"}


def test_weights_in_safetensors_are_preferred(
    weights: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    """They are the source; the graphs beside them may have been made of another one."""
    write_details(tmp_path)
    network: WhisperNetwork = read_network(weights, HUGGING_FACE, heads=HEADS, file="fake")
    write_optimum({name: values + 1 for name, values in weights.items()}, tmp_path)
    decoding = open_source(tmp_path).decoding
    write_hugging_face(WhisperSource(network, decoding, tmp_path / "tokenizer.json", ()), tmp_path)
    again = open_source(tmp_path).network
    assert np.array_equal(again.embeddings, weights["model.decoder.embed_tokens.weight"])


def test_a_decoder_that_was_only_merged_is_refused_with_the_way_out(
    weights: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    write_details(tmp_path)
    write_optimum(weights, tmp_path)
    (tmp_path / "decoder_model.onnx").rename(tmp_path / "decoder_model_merged.onnx")
    with pytest.raises(UnsupportedModelError, match="--no-post-process"):
        open_source(tmp_path)


def test_products_in_integers_are_refused(
    weights: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    write_details(tmp_path)
    write_optimum(weights, tmp_path)
    model = onnx.load(tmp_path / "decoder_model.onnx")
    model.graph.node.append(helper.make_node("MatMulInteger", ["x", "w"], ["y"], "/q"))
    onnx.save(model, tmp_path / "decoder_model.onnx")
    with pytest.raises(UnsupportedModelError, match="before any quantisation"):
        open_source(tmp_path)


def test_a_graph_whose_modules_were_fused_names_the_first_weight_that_is_missing(
    weights: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    write_details(tmp_path)
    write_optimum(weights, tmp_path)
    model = onnx.load(tmp_path / "decoder_model.onnx")
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, tmp_path / "decoder_model.onnx")
    with pytest.raises(
        UnsupportedModelError, match=r"model\.decoder\.layers\.0\.self_attn\.q_proj"
    ):
        open_source(tmp_path)


def test_a_file_that_is_cut_off_is_named(
    weights: dict[str, NDArray[np.float32]], tmp_path: Path
) -> None:
    write_details(tmp_path)
    write_optimum(weights, tmp_path)
    file = tmp_path / "encoder_model.onnx"
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ModelCorruptError, match="encoder_model"):
        open_source(tmp_path)
