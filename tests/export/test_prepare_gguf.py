"""GGUF to CTranslate2: tiny networks with random weights against an independent float64
forward pass in llama.cpp's own layout, and SmolLM2 against token ids from llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import numpy as np
import pytest
from tokenizers import Tokenizer

from fakes.gguf_networks import (
    CHATML,
    EPSILON,
    LAYERS,
    NETWORKS,
    PROMPT,
    SIZE,
    TOKENS,
    Array,
    Tiny,
    byte_letters,
    forward,
    log_softmax,
    tiny,
)  # fmt: skip
from halfsecond.errors import ConfigError, ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare import convert_gguf
from halfsecond_export.prepare.ctranslate2_decoder import build_spec
from halfsecond_export.prepare.gguf_llm import read_gguf
from halfsecond_export.prepare.smoothing import smooth_network

SMOLLM2_TOKENS = Path(__file__).parent / "data" / "smollm2_tokens.json"
PRE_TOKENIZER_TOKENS = Path(__file__).parent / "data" / "pre_tokenizer_tokens.json"


def all_runs(texts: Sequence[str]) -> list[str]:
    """Merges that join any 2, 3 or 4 neighbours of these texts, so that only the cuts hold."""
    letters = byte_letters()
    merges: dict[str, None] = {}
    for length in (2, 3, 4):
        for text in texts:
            written = "".join(letters[byte] for byte in text.encode())
            for at in range(len(written) - length + 1):
                run = written[at : at + length]
                if "<|" not in run:
                    merges[f"{run[:-1]} {run[-1]}"] = None
    return list(merges)


def converted_log_probabilities(directory: Path, ids: list[int], compute: str) -> Array:
    generator = ctranslate2.Generator(str(directory), compute_type=compute, intra_threads=1)
    return log_softmax(np.array(generator.forward_batch([ids]))[0].astype(np.float64))


@pytest.mark.parametrize("name", NETWORKS)
def test_float32_gives_the_log_probabilities_of_the_file(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    source = network.write(tmp_path / "tiny.gguf")
    convert_gguf(source, tmp_path / "out", quantization="float32")
    found = converted_log_probabilities(tmp_path / "out", PROMPT, "float32")
    np.testing.assert_allclose(found, forward(network, PROMPT), atol=1e-3)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_float32_writes_the_same_forty_tokens(family: str, tmp_path: Path) -> None:
    network = tiny(family)
    convert_gguf(network.write(tmp_path / "tiny.gguf"), tmp_path / "out", quantization="float32")
    generator = ctranslate2.Generator(str(tmp_path / "out"), compute_type="float32")
    answer = generator.generate_batch(
        [[TOKENS[index] for index in PROMPT]],
        max_length=40,
        min_length=40,
        sampling_topk=1,
        include_prompt_in_result=False,
        suppress_sequences=[["<|im_end|>"]],
    )[0].sequences_ids[0]
    expected = list(PROMPT)
    for _ in range(40):
        logits = forward(network, expected)[-1]
        logits[2] = -np.inf
        expected.append(int(logits.argmax()))
    assert answer == expected[len(PROMPT) :]


@pytest.mark.parametrize("name", NETWORKS)
def test_smoothing_changes_no_result_in_exact_arithmetic(name: str, tmp_path: Path) -> None:
    network = NETWORKS[name]()
    network.weights["blk.1.attn_norm.weight"][5] = 60.0
    model = read_gguf(network.write(tmp_path / "tiny.gguf"))
    before = model.network.layers[1].attention_in.copy()
    smooth_network(model.network, model.architecture, [PROMPT, PROMPT[::-1]])
    assert np.abs(model.network.layers[1].attention_in - before).max() > 0.5
    spec = build_spec(model.network, model.architecture)
    spec.register_vocabulary(TOKENS)
    spec.config.bos_token, spec.config.eos_token, spec.config.unk_token = TOKENS[1:3] + TOKENS[:1]
    spec.config.layer_norm_epsilon = EPSILON
    spec.validate()
    spec.optimize(quantization="float32")
    (tmp_path / "out").mkdir()
    spec.save(str(tmp_path / "out"))
    found = converted_log_probabilities(tmp_path / "out", PROMPT, "float32")
    np.testing.assert_allclose(found, forward(network, PROMPT), atol=2e-3)


def test_int8_stays_close_where_a_channel_is_a_hundred_times_the_others(tmp_path: Path) -> None:
    network = tiny("llama")
    for index in range(LAYERS):
        # One loud channel, read by weights so small that it means little.
        network.weights[f"blk.{index}.ffn_norm.weight"][5] = 100.0
        network.weights[f"blk.{index}.ffn_gate.weight"][:, 5] *= 0.01
        network.weights[f"blk.{index}.ffn_up.weight"][:, 5] *= 0.01
    convert_gguf(network.write(tmp_path / "tiny.gguf"), tmp_path / "out")
    expected = forward(network, PROMPT)
    found = converted_log_probabilities(tmp_path / "out", PROMPT, "int8")
    divergence = (np.exp(expected) * (expected - found)).sum(-1).mean()
    # 0.01 nats with smoothing, 0.96 without.
    assert divergence < 0.1


def test_the_tokenizer_merges_and_gives_back_what_it_was_given(tmp_path: Path) -> None:
    convert_gguf(tiny("llama").write(tmp_path / "tiny.gguf"), tmp_path / "out")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    text = "<|im_start|>user\nhello 你好 12<|im_end|>"
    encoded = tokenizer.encode(text)
    assert encoded.tokens[0] == "<|im_start|>"
    assert encoded.tokens[-4:] == ["Ġ", "1", "2", "<|im_end|>"]
    assert "hello" in encoded.tokens
    assert tokenizer.decode(encoded.ids, skip_special_tokens=False) == text
    assert tokenizer.decode(encoded.ids) == "user\nhello 你好 12"


@pytest.mark.parametrize(
    ("pre", "text", "pieces"),
    [
        ("smollm", "we'll pay 123", ["we", "'ll", "Ġpay", "Ġ", "1", "2", "3"]),
        ("llama-bpe", "we'LL pay 12345", ["we", "'LL", "Ġpay", "Ġ", "123", "45"]),
        ("qwen2", "we'll pay 123\n\n", ["we", "'ll", "Ġpay", "Ġ", "1", "2", "3", "ĊĊ"]),
    ],
)
def test_text_is_cut_as_the_family_cuts_it(
    pre: str, text: str, pieces: list[str], tmp_path: Path
) -> None:
    network = tiny("llama")
    network.pre = pre
    convert_gguf(network.write(tmp_path / "tiny.gguf"), tmp_path / "out")
    tokenizer: Any = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    assert [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)] == pieces


@pytest.mark.parametrize("pre", ["smollm", "llama-bpe", "qwen2"])
def test_tricky_text_is_cut_as_llama_cpp_cuts_it(pre: str, tmp_path: Path) -> None:
    cases = json.loads(PRE_TOKENIZER_TOKENS.read_text(encoding="utf-8"))["texts"]
    network = tiny("llama", merges=all_runs([case["text"] for case in cases]))
    network.pre = pre
    convert_gguf(network.write(tmp_path / "tiny.gguf"), tmp_path / "out", quantization="float32")
    tokenizer = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json"))
    cases = [case for case in cases if pre in case]
    found = [tokenizer.encode(case["text"], add_special_tokens=False).ids for case in cases]
    assert found == [case[pre] for case in cases]


def test_chat_json_names_the_template_and_the_ends_of_a_turn(tmp_path: Path) -> None:
    convert_gguf(tiny("qwen2").write(tmp_path / "tiny.gguf"), tmp_path / "out")
    chat = json.loads((tmp_path / "out" / "chat.json").read_text(encoding="utf-8"))
    assert chat["chat_template"] == CHATML
    assert (chat["bos_token"], chat["eos_token"]) == ("<|im_start|>", "<|im_end|>")
    assert chat["stop_tokens"] == ["<|im_end|>", "<|endoftext|>"]
    assert chat["stop_ids"] == [2, 0]
    assert chat["context_tokens"] == 512


def test_the_manifest_keeps_name_and_licence(tmp_path: Path) -> None:
    convert_gguf(tiny("llama").write(tmp_path / "tiny.gguf"), tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["preparer"] == "gguf-to-ctranslate2"
    assert manifest["options"] == {"quantization": "int8"}
    assert manifest["details"]["general.name"] == "Tiny"
    assert manifest["details"]["general.license"] == "apache-2.0"
    assert set(manifest["outputs"]) == {
        "model.bin",
        "config.json",
        "vocabulary.json",
        "tokenizer.json",
        "chat.json",
    }


REFUSALS: dict[str, tuple[Callable[[Tiny], None], str]] = {
    "another family": (lambda t: setattr(t, "family", "mamba"), "'mamba'.*llama, qwen2"),
    "another tokenizer": (lambda t: setattr(t, "tokenizer", "llama"), "tokenizer 'llama'.*gpt2"),
    "another pre-tokenizer": (lambda t: setattr(t, "pre", "tekken"), "'tekken'.*smollm, llama-bpe"),
    "no chat template": (lambda t: setattr(t, "template", ""), "no chat template"),
    "a tensor that has no place": (
        lambda t: t.weights.update({"blk.0.attn_q_norm.weight": np.ones(SIZE)}),
        r"no place.*blk\.0\.attn_q_norm\.weight",
    ),
    "scaled rotary frequencies": (
        lambda t: t.weights.update({"rope_freqs.weight": np.arange(1, SIZE // 2 + 1)}),
        "frequency factors are not those of Llama",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_supported_is_refused_by_name(name: str, tmp_path: Path) -> None:
    change, message = REFUSALS[name]
    network = tiny("llama")
    change(network)
    source = network.write(tmp_path / "tiny.gguf")
    with pytest.raises(UnsupportedModelError, match=message):
        convert_gguf(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_an_unknown_quantization_lists_the_valid_ones(tmp_path: Path) -> None:
    source = tiny("llama").write(tmp_path / "tiny.gguf")
    with pytest.raises(ConfigError, match=r"int4.*int8, int8_float16"):
        convert_gguf(source, tmp_path / "out", quantization="int4")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.3, 0.9, 0.9999])
def test_a_file_that_is_cut_off_is_corrupt(share: float, tmp_path: Path) -> None:
    source = tiny("llama").write(tmp_path / "tiny.gguf")
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelCorruptError, match=r"tiny\.gguf"):
        convert_gguf(source, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.gguf"]


def test_a_tensor_that_is_missing_is_named(tmp_path: Path) -> None:
    network = tiny("llama")
    del network.weights["blk.2.ffn_down.weight"]
    with pytest.raises(ModelCorruptError, match=r"blk\.2\.ffn_down\.weight"):
        convert_gguf(network.write(tmp_path / "tiny.gguf"), tmp_path / "out")


@pytest.mark.models
def test_smollm2_cuts_text_into_the_tokens_of_llama_cpp(model_dir: Callable[[str], Path]) -> None:
    path = model_dir("smollm2-135m-int8") / "tokenizer.json"
    tokenizer = Tokenizer.from_file(str(path))
    cases = json.loads(SMOLLM2_TOKENS.read_text(encoding="utf-8"))["tokens"]
    found = [tokenizer.encode(case["text"], add_special_tokens=False).ids for case in cases]
    assert found == [case["ids"] for case in cases]


@pytest.mark.models
def test_smollm2_in_int8_answers_a_question(model_dir: Callable[[str], Path]) -> None:
    directory = model_dir("smollm2-135m-int8")
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    prompt = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\nWhy is the sky blue?<|im_end|>\n<|im_start|>assistant\n"
    )
    generator = ctranslate2.Generator(str(directory), compute_type="int8", intra_threads=1)
    answer = generator.generate_batch(
        [tokenizer.encode(prompt).tokens],
        max_length=60,
        sampling_topk=1,
        include_prompt_in_result=False,
        end_token=["<|im_end|>"],
    )[0].sequences_ids[0]
    words = tokenizer.decode(answer).lower()
    assert "scatter" in words
    assert "light" in words
