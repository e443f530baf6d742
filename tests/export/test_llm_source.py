"""What `export llm` reads: number types, shards, GGUF; and what it refuses, by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from fakes.gguf_of_hugging_face import write_gguf
from fakes.hugging_face_models import CONFIGS, PROMPT, Array, write_model
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.llm.answerer import Message
from halfsecond_export.llm.source import fetched, open_source
from halfsecond_export.prepare.decoder_pass import logits
from halfsecond_export.safetensors_file import SafetensorsWeights


def logits_of(path: Path) -> Array:
    model = open_source(path).model
    found: Array = logits(model.network, model.architecture, PROMPT)
    return found


def changed_config(directory: Path, **changes: Any) -> None:
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def write_raw(path: Path, tensors: dict[str, tuple[str, Array]]) -> None:
    """A safetensors file of any number type: a length, a JSON header, and the bytes."""
    header, data = {}, b""
    for name, (kind, values) in tensors.items():
        end = len(data) + values.nbytes
        offsets = [len(data), end]
        header[name] = {"dtype": kind, "shape": values.shape, "data_offsets": offsets}
        data += values.tobytes()
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data)


def test_bfloat16_is_read_without_torch_and_exactly(tmp_path: Path) -> None:
    exact = np.array([[1.0, -2.5, 3.140625], [0.0, 1e-30, -1.5e38]], np.float32)
    halves = (exact.view(np.uint32) >> 16).astype(np.uint16)
    write_raw(
        tmp_path / "model.safetensors",
        {"half": ("F16", np.array([0.1], np.float16)), "brain": ("BF16", halves)},
    )
    file = SafetensorsWeights(tmp_path)
    found = file.tensor("brain", (2, 3))
    np.testing.assert_array_equal(found.view(np.uint32), exact.view(np.uint32) & 0xFFFF0000)
    assert found[0].tolist() == [1.0, -2.5, 3.140625]
    assert file.tensor("half")[0] == np.float32(np.float16(0.1))


def test_numbers_of_8_bits_are_refused(tmp_path: Path) -> None:
    write_raw(tmp_path / "model.safetensors", {"w": ("F8_E4M3", np.zeros(2, np.uint8))})
    with pytest.raises(UnsupportedModelError, match="'w' is stored as F8_E4M3; take the weights"):
        SafetensorsWeights(tmp_path).tensor("w")


def test_shards_are_one_model(tmp_path: Path) -> None:
    expected = logits_of(write_model("qwen3", tmp_path))
    names = sorted(tensors := load_file(tmp_path / "model.safetensors"))
    (tmp_path / "model.safetensors").unlink()
    shards = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, part in shards.items():
        save_file({name: tensors[name] for name in part}, tmp_path / file)
    places = {name: file for file, part in shards.items() for name in part}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    np.testing.assert_array_equal(logits_of(tmp_path), expected)
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(ModelMissingError, match=r"has no model-2\.safetensors"):
        open_source(tmp_path)


@pytest.mark.parametrize("prefix", ["language_model.", "model.language_model."])
def test_a_gemma_that_also_sees_is_read_for_its_language(prefix: str, tmp_path: Path) -> None:
    expected = logits_of(write_model("gemma3", tmp_path / "text"))
    directory = write_model("gemma3", tmp_path / "both")
    tensors = load_file(directory / "model.safetensors")
    inner = "" if prefix.startswith("model.") else "model."
    renamed = {
        prefix + inner + name.removeprefix("model."): values for name, values in tensors.items()
    }
    save_file({**renamed, "vision_tower.x": np.ones(1)}, directory / "model.safetensors")
    config = {"model_type": "gemma3", "text_config": CONFIGS["gemma3"], "vision_config": {}}
    (directory / "config.json").write_text(json.dumps(config))
    np.testing.assert_array_equal(logits_of(directory), expected)


def test_windows_and_rotary_bases_of_older_files_are_found(tmp_path: Path) -> None:
    directory = write_model("gemma3", tmp_path)
    config = json.loads((directory / "config.json").read_text())
    for key in ("rope_parameters", "layer_types"):
        del config[key]
    config |= {"rope_theta": 1e6, "rope_local_base_freq": 5000, "sliding_window_pattern": 2}
    config["rope_scaling"] = {"rope_type": "linear", "factor": 8.0}
    (directory / "config.json").write_text(json.dumps(config))
    a = open_source(directory).model.architecture
    assert a.windows == (8, 0, 8)
    assert [a.rotary(layer)[0] for layer in range(3)] == [5000, 1e6, 5000]
    scaling = a.rotary(1)[1]
    assert scaling is not None
    assert scaling.factor == 8
    assert a.rotary(0)[1] is None


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_a_gguf_file_and_a_hugging_face_directory_give_the_same_network(
    name: str, tmp_path: Path
) -> None:
    config = dict(CONFIGS[name])
    if name == "llama":
        published = {"original_max_position_embeddings": 8192, "rope_theta": 500_000.0}
        config["rope_parameters"] = {**config["rope_parameters"], **published}
    directory = write_model(name, tmp_path / name, **config)
    expected = logits_of(directory)
    found = logits_of(write_gguf(config, tmp_path / "tiny.gguf"))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def without_file(name: str) -> Callable[[Path], None]:
    return lambda directory: (directory / name).unlink()


def pickled(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "pytorch_model.bin")


def cut_off(directory: Path) -> None:
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def no_template(directory: Path) -> None:
    (directory / "tokenizer_config.json").write_text('{"eos_token": "<|im_end|>"}')


def no_end(directory: Path) -> None:
    path = directory / "tokenizer.json"
    for token in ("<|im_end|>", "<|endoftext|>"):
        path.write_text(path.read_text().replace(token, token.replace("end", "fin")))


def one_tensor_more(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    save_file({**tensors, "model.layers.0.moe.w": np.ones(1)}, directory / "model.safetensors")


def one_tensor_less(directory: Path) -> None:
    tensors = load_file(directory / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, directory / "model.safetensors")


def config_of(**changes: Any) -> Callable[[Path], None]:
    return lambda directory: changed_config(directory, **changes)


REFUSALS: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "another family": (
        config_of(model_type="chatglm"),
        UnsupportedModelError,
        r"'chatglm' is not supported; supported are Llama.*Mistral, Qwen2.*Qwen3 and Gemma 3",
    ),
    "quantised weights": (
        config_of(quantization_config={"bits": 4}),
        UnsupportedModelError,
        "quantization_config is set",
    ),
    "yarn": (
        config_of(rope_parameters={"rope_type": "yarn", "factor": 4.0}),
        UnsupportedModelError,
        "stretched by 'yarn'; supported are 'linear' and 'llama3'",
    ),
    "sliding windows": (
        config_of(use_sliding_window=True),
        UnsupportedModelError,
        "use_sliding_window",
    ),
    "another activation": (
        config_of(hidden_act="relu"),
        UnsupportedModelError,
        "activation 'relu'; supported are silu",
    ),
    "a number that is none": (
        config_of(hidden_size="wide"),
        ModelCorruptError,
        "hidden_size is 'wide', expected a number above 0",
    ),
    "other sizes than it says": (
        config_of(intermediate_size=81),
        ModelCorruptError,
        r"gate_proj.weight' has shape \(80, 48\), config.json says \(81, 48\)",
    ),
    "no tokenizer": (
        without_file("tokenizer.json"),
        ModelMissingError,
        r"there is no .*tokenizer\.json, and without it",
    ),
    "no weights": (
        without_file("model.safetensors"),
        ModelMissingError,
        r"has no model\.safetensors; fetch",
    ),
    "pickled weights": (pickled, UnsupportedModelError, "pickled weights .*take.*in safetensors"),
    "weights that are cut off": (cut_off, ModelCorruptError, "cut off or damaged"),
    "no chat template": (no_template, UnsupportedModelError, "no chat template .*base model"),
    "no token that ends": (no_end, ModelCorruptError, "names no token that ends an answer"),
    "a tensor too many": (one_tensor_more, UnsupportedModelError, r"no place.*layers\.0\.moe\.w"),
    "a tensor too few": (one_tensor_less, ModelCorruptError, r"no tensor .*layers\.1\.mlp\.up"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_supported_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change, kind, message = REFUSALS[name]
    change(write_model("qwen3", tmp_path))
    with pytest.raises(kind, match=message):
        open_source(tmp_path)


def test_what_is_no_source_says_what_was_found(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"nothing at .*gone; expected a Hugging Face dir"):
        open_source(tmp_path / "gone")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UnsupportedModelError, match=r"holds notes\.txt; expected"):
        open_source(tmp_path)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UnsupportedModelError, match=r"an adapter without its model; .*--lora"):
        open_source(tmp_path)
    for name in ("model.bin", "vocabulary.json"):
        (tmp_path / name).touch()
    (tmp_path / "adapter_config.json").unlink()
    with pytest.raises(UnsupportedModelError, match="converted to CTranslate2 already"):
        open_source(tmp_path)
    assert fetched("./a/b") == Path("a/b")


def test_a_template_that_can_think_aloud_is_told_not_to(tmp_path: Path) -> None:
    write_model("qwen3", tmp_path)
    thinking = "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}!"
    (tmp_path / "chat_template.jinja").write_text(thinking)
    model = open_source(tmp_path).model
    assert model.conversation_tokens([Message("user", "a")]) == model.text_tokens("!")


def test_the_template_may_be_one_of_several(tmp_path: Path) -> None:
    write_model("qwen3", tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["chat_template"] = [
        {"name": "tool_use", "template": "tools"},
        {"name": "default", "template": "plain"},
    ]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    assert open_source(tmp_path).model.chat.template == "plain"


def test_tokens_that_end_an_answer_are_all_those_that_are_named(tmp_path: Path) -> None:
    write_model("qwen3", tmp_path)
    (tmp_path / "generation_config.json").write_text('{"eos_token_id": [2, 40]}')
    model = open_source(tmp_path).model
    assert model.chat.eos_token == "<|im_end|>"
    assert model.chat.stop_tokens == ("<|im_end|>", model.tokens[40], "<|endoftext|>")
    # More embeddings than tokens: names that no text makes.
    assert model.tokens[271] == "<extra_id_271>"
    assert len(model.tokens) == 272
