"""Adapters merged into weights, against the product written out; and adapters that do not fit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fakes.hugging_face_models import CONFIGS, PROMPT, Array, shapes, write_model
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond_export.llm.lora import scaling
from halfsecond_export.llm.source import open_source
from halfsecond_export.prepare.decoder_pass import logits

PARTS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head")
RANK, ALPHA = 4, 12


def write_adapter(directory: Path, config: dict[str, Any], **changes: Any) -> Path:
    """An adapter of every projection, under the names that peft saves."""
    random = np.random.default_rng(3)
    tensors = {}
    for name, shape in shapes(config).items():
        if name.split(".")[-2] in PARTS and name.endswith(".weight"):
            stem = f"base_model.model.{name.removesuffix('.weight')}"
            tensors[f"{stem}.lora_A.weight"] = random.normal(size=(RANK, shape[1]))
            tensors[f"{stem}.lora_B.weight"] = random.normal(size=(shape[0], RANK)) * 0.1
    directory.mkdir()
    save_file(
        {name: values.astype(np.float32) for name, values in tensors.items()},
        directory / "adapter_model.safetensors",
    )
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, **changes}
    (directory / "adapter_config.json").write_text(json.dumps(settings))
    return directory


def merged_by_hand(directory: Path, adapter: Path, scale: float) -> None:
    """W + scale * B A, in the names of the files."""
    tensors = load_file(directory / "model.safetensors")
    pairs = load_file(adapter / "adapter_model.safetensors")
    for name in [n for n in pairs if "lora_A" in n]:
        change = scale * pairs[name.replace("lora_A", "lora_B")] @ pairs[name]
        tensors[name.removeprefix("base_model.model.").replace(".lora_A", "")] += change
    save_file(tensors, directory / "model.safetensors")


def logits_of(directory: Path, lora: Path | None = None) -> Array:
    model = open_source(directory, lora=lora).model
    found: Array = logits(model.network, model.architecture, PROMPT)
    return found


@pytest.mark.parametrize(
    ("changes", "scale"), [({}, ALPHA / RANK), ({"use_rslora": True}, ALPHA / RANK**0.5)]
)
@pytest.mark.parametrize("name", ["llama", "qwen2", "gemma3"])
def test_a_merged_adapter_is_what_is_added_to_each_weight(
    name: str, changes: dict[str, Any], scale: float, tmp_path: Path
) -> None:
    directory = write_model(name, tmp_path / name)
    adapter = write_adapter(tmp_path / "lora", CONFIGS[name], **changes)
    before, found = logits_of(directory), logits_of(directory, adapter)
    merged_by_hand(directory, adapter, scale)
    expected = logits_of(directory)
    np.testing.assert_allclose(found, expected, atol=5e-4 * np.abs(expected).max())
    assert np.abs(expected - before).max() > 0.1 * np.abs(expected).max()


def test_an_adapter_of_tied_outputs_leaves_the_embeddings_alone(tmp_path: Path) -> None:
    directory = write_model("qwen2", tmp_path / "model")
    untied = {**CONFIGS["qwen2"], "tie_word_embeddings": False}
    adapter = write_adapter(tmp_path / "lora", untied)
    plain, adapted = open_source(directory), open_source(directory, lora=adapter)
    network = adapted.model.network
    np.testing.assert_array_equal(network.embeddings, plain.model.network.embeddings)
    assert np.abs(network.output - network.embeddings).max() > 0.1


def test_the_files_of_an_adapter_are_part_of_what_was_read(tmp_path: Path) -> None:
    directory = write_model("llama", tmp_path / "model")
    adapter = write_adapter(tmp_path / "lora", CONFIGS["llama"])
    names = [path.name for path in open_source(directory, lora=adapter).files]
    assert names[-2:] == ["adapter_config.json", "adapter_model.safetensors"]


def test_alpha_can_differ_by_module() -> None:
    config = {"lora_alpha": 8, "alpha_pattern": {"layers.1.mlp.up_proj": 2, "v_proj": 16}}
    assert scaling(config, "model.layers.0.mlp.up_proj", rank=4) == 2
    assert scaling(config, "model.layers.1.mlp.up_proj", rank=4) == 0.5
    assert scaling(config, "model.layers.11.mlp.up_proj", rank=4) == 2
    assert scaling(config, "model.layers.0.self_attn.v_proj", rank=2) == 8


def settings(**changes: Any) -> Callable[[Path], None]:
    def change(adapter: Path) -> None:
        path = adapter / "adapter_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    return change


def tensors(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def apply(adapter: Path) -> None:
        path = adapter / "adapter_model.safetensors"
        held = load_file(path)
        change(held)
        save_file(held, path)

    return apply


def pickled(adapter: Path) -> None:
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")


def only_another(held: dict[str, Any]) -> None:
    held.clear()
    held["x"] = np.ones(1)


FIRST = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
SECOND = FIRST.replace("lora_A", "lora_B")


REFUSALS: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "no adapter": (
        lambda adapter: (adapter / "adapter_config.json").unlink(),
        ModelMissingError,
        "--lora takes the directory that peft",
    ),
    "pickled": (
        pickled,
        UnsupportedModelError,
        "pickled weights",
    ),
    "another method": (
        settings(peft_type="IA3"),
        UnsupportedModelError,
        "peft_type is 'IA3', expected 'LORA'",
    ),
    "DoRA": (settings(use_dora=True), UnsupportedModelError, "use_dora is set.*merge_and_unload"),
    "no projections": (
        tensors(only_another),
        UnsupportedModelError,
        "no lora_A of a projection",
    ),
    "half of a pair": (tensors(lambda held: held.pop(SECOND)), ModelCorruptError, "no tensor"),
    "a pair that makes no product": (
        tensors(lambda held: held.update({SECOND: held[SECOND][:, :2].copy()})),
        ModelCorruptError,
        "make no low-rank product",
    ),
    "another width": (
        tensors(lambda held: held.update({FIRST: held[FIRST][:, :40].copy()})),
        UnsupportedModelError,
        r"q_proj as a matrix of \(64, 40\), the model has \(64, 48\)",
    ),
    "more layers": (
        tensors(
            lambda held: held.update(
                {name.replace("layers.0", "layers.7"): held[name] for name in (FIRST, SECOND)}
            )
        ),
        UnsupportedModelError,
        "layers.7.self_attn.q_proj, which a llama of 3 layers does not have",
    ),
    "whole weights": (
        tensors(lambda held: held.update({"base_model.model.lm_head.weight": np.ones((2, 2))})),
        UnsupportedModelError,
        "1 tensors are no low-rank part",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_no_adapter_of_this_model_is_refused(name: str, tmp_path: Path) -> None:
    change, kind, message = REFUSALS[name]
    directory = write_model("llama", tmp_path / "model")
    change(write_adapter(tmp_path / "lora", CONFIGS["llama"]))
    with pytest.raises(kind, match=message):
        open_source(directory, lora=tmp_path / "lora")
