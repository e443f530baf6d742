"""GGUF to CTranslate2: tiny networks with random weights against an independent float64
forward pass in llama.cpp's own layout, and SmolLM2 against token ids from llama.cpp."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctranslate2
import gguf
import numpy as np
import pytest
from tokenizers import Tokenizer

from halfsecond.errors import ConfigError, ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare import convert_gguf
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.gguf_llm import build_spec, read_architecture
from halfsecond_export.prepare.smoothing import smooth_decoder

Array = np.ndarray[Any, Any]
SMOLLM2_TOKENS = Path(__file__).parent / "data" / "smollm2_tokens.json"
PRE_TOKENIZER_TOKENS = Path(__file__).parent / "data" / "pre_tokenizer_tokens.json"
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WIDTH, INNER, HEADS, KEY_HEADS, LAYERS = 48, 80, 6, 2, 3
SIZE = WIDTH // HEADS
EPSILON, ROTARY_BASE = 1e-5, 5_000.0


def byte_letters() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in the order of the bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in kept else chr(next(others)) for byte in range(256)]


MERGES = ["h e", "l l", "he ll", "hell o", "Ġ t", "i n"]
TOKENS = [
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    *byte_letters(),
    *(merge.replace(" ", "") for merge in MERGES),
]


@dataclass
class Tiny:
    """A random network of one family; `weights` are in the layout of the file."""

    family: str
    weights: dict[str, Array]
    pre: str = "smollm"
    tokenizer: str = "gpt2"
    template: str = CHATML
    tokens: tuple[str, ...] = tuple(TOKENS)
    merges: tuple[str, ...] = tuple(MERGES)

    def write(self, path: Path) -> Path:
        writer = gguf.GGUFWriter(path, self.family)
        writer.add_name("Tiny")
        writer.add_license("apache-2.0")
        writer.add_context_length(512)
        writer.add_embedding_length(WIDTH)
        writer.add_feed_forward_length(INNER)
        writer.add_block_count(LAYERS)
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(KEY_HEADS)
        writer.add_layer_norm_rms_eps(EPSILON)
        writer.add_rope_freq_base(ROTARY_BASE)
        writer.add_tokenizer_model(self.tokenizer)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types([3, 3, 3] + [1] * (len(self.tokens) - 3))
        writer.add_token_merges(self.merges)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        if self.template:
            writer.add_chat_template(self.template)
        for name, values in self.weights.items():
            writer.add_tensor(name, values.astype(np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path


def tiny(
    family: str,
    *,
    is_tied: bool = True,
    has_biases: bool | None = None,
    merges: Sequence[str] = MERGES,
) -> Tiny:
    tokens = (*TOKENS[:259], *(merge.replace(" ", "") for merge in merges))
    rng = np.random.default_rng(7)
    rows = {"attn_q": HEADS * SIZE, "attn_k": KEY_HEADS * SIZE, "attn_v": KEY_HEADS * SIZE}
    weights: dict[str, Array] = {
        "token_embd.weight": rng.normal(size=(len(tokens), WIDTH)),
        "output_norm.weight": rng.uniform(0.5, 1.5, WIDTH),
    }
    if not is_tied:
        weights["output.weight"] = rng.normal(size=(len(tokens), WIDTH))
    for index in range(LAYERS):
        block = f"blk.{index}"
        shapes = {name: (count, WIDTH) for name, count in rows.items()}
        shapes |= {"attn_output": (WIDTH, WIDTH), "ffn_gate": (INNER, WIDTH)}
        shapes |= {"ffn_up": (INNER, WIDTH), "ffn_down": (WIDTH, INNER)}
        for name, shape in shapes.items():
            weights[f"{block}.{name}.weight"] = rng.normal(size=shape) / np.sqrt(shape[1]) * 1.5
        for name in ("attn_norm", "ffn_norm"):
            weights[f"{block}.{name}.weight"] = rng.uniform(0.5, 1.5, WIDTH)
        if family == "qwen2" if has_biases is None else has_biases:
            for name, count in rows.items():
                weights[f"{block}.{name}.bias"] = rng.normal(size=count)
    pre = "qwen2" if family == "qwen2" else "smollm"
    return Tiny(family, weights, pre=pre, tokens=tokens, merges=tuple(merges))


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


def forward(network: Tiny, ids: list[int]) -> Array:
    """Log probabilities (tokens, vocabulary), straight from the file's own layout."""
    w = network.weights
    state = w["token_embd.weight"][ids]
    for index in range(LAYERS):

        def project(x: Array, name: str, block: str = f"blk.{index}") -> Array:
            result: Array = x @ w[f"{block}.{name}.weight"].T
            return result + w.get(f"{block}.{name}.bias", 0.0)

        normed = rms_norm(state, w[f"blk.{index}.attn_norm.weight"])
        queries, keys, values = (
            project(normed, name).reshape(len(ids), -1, SIZE)
            for name in ("attn_q", "attn_k", "attn_v")
        )
        queries, keys = rotate(queries, network.family), rotate(keys, network.family)
        mixed = np.empty((len(ids), HEADS, SIZE))
        for head in range(HEADS):
            shared = head // (HEADS // KEY_HEADS)
            for at in range(len(ids)):
                scores = keys[: at + 1, shared] @ queries[at, head] / np.sqrt(SIZE)
                weights = np.exp(scores - scores.max())
                mixed[at, head] = weights @ values[: at + 1, shared] / weights.sum()
        state = state + project(mixed.reshape(len(ids), -1), "attn_output")
        normed = rms_norm(state, w[f"blk.{index}.ffn_norm.weight"])
        gate = project(normed, "ffn_gate")
        inner = gate / (1 + np.exp(-gate)) * project(normed, "ffn_up")
        state = state + project(inner, "ffn_down")
    final = rms_norm(state, w["output_norm.weight"])
    return log_softmax(final @ w.get("output.weight", w["token_embd.weight"]).T)


def rms_norm(state: Array, gamma: Array) -> Array:
    result: Array = state / np.sqrt((state**2).mean(-1, keepdims=True) + EPSILON) * gamma
    return result


def rotate(heads: Array, family: str) -> Array:
    """llama.cpp turns neighbours (2i, 2i + 1) for llama, and (i, i + size / 2) for qwen2."""
    result = np.empty_like(heads)
    for pair in range(SIZE // 2):
        a, b = (2 * pair, 2 * pair + 1) if family == "llama" else (pair, pair + SIZE // 2)
        angle = np.arange(len(heads))[:, None] * ROTARY_BASE ** (-2 * pair / SIZE)
        result[..., a] = heads[..., a] * np.cos(angle) - heads[..., b] * np.sin(angle)
        result[..., b] = heads[..., a] * np.sin(angle) + heads[..., b] * np.cos(angle)
    return result


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    result: Array = shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
    return result


def converted_log_probabilities(directory: Path, ids: list[int], compute: str) -> Array:
    generator = ctranslate2.Generator(str(directory), compute_type=compute, intra_threads=1)
    return log_softmax(np.array(generator.forward_batch([ids]))[0].astype(np.float64))


NETWORKS = {
    "llama with tied embeddings": lambda: tiny("llama"),
    "llama with its own output layer": lambda: tiny("llama", is_tied=False),
    "llama with attention biases": lambda: tiny("llama", has_biases=True),
    "qwen2": lambda: tiny("qwen2"),
}
PROMPT = [1, 40, 80, 120, 2, 1, 77, 200, 260, 9, 9, 33]


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
    file = GgufFile(network.write(tmp_path / "tiny.gguf"))
    architecture = read_architecture(file)
    spec = build_spec(file, architecture)
    before = spec.decoder.layer[1].self_attention.linear[0].weight.copy()
    smooth_decoder(spec.decoder, architecture, [PROMPT, PROMPT[::-1]])
    assert np.abs(spec.decoder.layer[1].self_attention.linear[0].weight - before).max() > 0.5
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
        lambda t: t.weights.update({"rope_freqs.weight": np.ones(SIZE // 2)}),
        "plain rotary embeddings",
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
