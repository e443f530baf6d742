"""The tokenizer and the chat template of a GGUF file, as `tokenizer.json` and `chat.json`.

How text is cut before the byte pairs are merged is not in the file: it names one of llama.cpp's
pre-tokenizers. Their rules here are those of the models' own published tokenizers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.language_model import TURN_ENDS, Chat

# Values of gguf.TokenType.
_CONTROL, _USER_DEFINED = 3, 4


def read_tokens(file: GgufFile, size: int) -> tuple[list[str], list[int]]:
    """The tokens in the order of their ids, and what kind each is.

    Raises ModelCorruptError where ids and lists do not agree.
    """
    tokens = file.value("tokenizer.ggml.tokens", list)
    kinds = file.value("tokenizer.ggml.token_type", list)
    if len(tokens) != size or len(kinds) != size or len(set(tokens)) != size:
        raise ModelCorruptError(
            f"{file.name}: {len(tokens)} tokens ({len(set(tokens))} different) with {len(kinds)} "
            f"types, expected {size} each"
        )
    return tokens, kinds


def read_chat(file: GgufFile, tokens: list[str], kinds: list[int]) -> Chat:
    """The chat template and the tokens with a meaning of their own.

    Raises ModelCorruptError, and UnsupportedModelError for a file without a template.
    """
    eos_token = _named_token(file, tokens, "eos")
    if eos_token is None:
        raise ModelCorruptError(f"{file.name}: no metadata 'tokenizer.ggml.eos_token_id'")
    template = file.value("tokenizer.chat_template", str, "")
    if not template:
        raise UnsupportedModelError(
            f"{file.name}: no chat template; this is a base model, take its instruction variant"
        )
    ends = [eos_token, _named_token(file, tokens, "eot"), _named_token(file, tokens, "eom")]
    ends += [token for token, kind in zip(tokens, kinds, strict=True) if _ends_turn(token, kind)]
    return Chat(
        template=template,
        bos_token=_named_token(file, tokens, "bos"),
        eos_token=eos_token,
        unknown_token=_named_token(file, tokens, "unknown") or "",
        stop_tokens=tuple(dict.fromkeys(end for end in ends if end is not None)),
        is_bos_added=file.value("tokenizer.ggml.add_bos_token", bool, False),
    )


def build_tokenizer(file: GgufFile, tokens: list[str], kinds: list[int]) -> Any:
    """The `tokenizers.Tokenizer`.

    Raises UnsupportedModelError for one that is not byte-level BPE, and for an unknown
    pre-tokenizer; ModelCorruptError for merges that do not fit.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models

    kind = file.value("tokenizer.ggml.model", str)
    if kind != "gpt2":
        raise UnsupportedModelError(
            f"{file.name}: tokenizer {kind!r} is not supported; supported: 'gpt2' (byte-level BPE)"
        )
    name = file.value("tokenizer.ggml.pre", str, "default")
    if name not in _PRE_TOKENIZERS:
        raise UnsupportedModelError(
            f"{file.name}: pre-tokenizer {name!r} is not supported; "
            f"supported: {', '.join(_PRE_TOKENIZERS)}"
        )
    rule = _PRE_TOKENIZERS[name]
    merges = [tuple(merge.split(" ")) for merge in file.value("tokenizer.ggml.merges", list)]
    ids = {token: index for index, token in enumerate(tokens)}
    try:
        model = models.BPE(ids, merges, ignore_merges=rule.is_whole_word_first)
    except Exception as error:  # the library raises nothing narrower
        raise ModelCorruptError(
            f"{file.name}: the merges do not fit the vocabulary ({error})"
        ) from error
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = rule.build()
    tokenizer.decoder = decoders.ByteLevel()
    if rule.is_composed:
        from tokenizers import normalizers

        tokenizer.normalizer = normalizers.NFC()
    for wanted, is_special in ((_CONTROL, True), (_USER_DEFINED, False)):
        tokenizer.add_tokens(
            [
                AddedToken(token, normalized=False, special=is_special)
                for token, found in zip(tokens, kinds, strict=True)
                if found == wanted
            ]
        )
    return tokenizer


@dataclass(frozen=True)
class _PreTokenizer:
    """How text is cut: `build` makes the splitter.

    `is_whole_word_first`: a piece that is in the vocabulary is taken whole, without merging.
    `is_composed`: text is brought into Unicode's composed form first.
    """

    build: Callable[[], Any]
    is_whole_word_first: bool = False
    is_composed: bool = False


def _digits_then_words() -> Any:
    """GPT-2's words, every digit on its own."""
    from tokenizers import pre_tokenizers

    return pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )


def _words_by(pattern: str) -> Callable[[], Any]:
    def build() -> Any:
        from tokenizers import Regex, pre_tokenizers

        return pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(pattern), behavior="isolated", invert=False),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )

    return build


# Contractions, words, `{digits}`, signs, line ends and runs of spaces.
_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
    r"{digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_PRE_TOKENIZERS: Mapping[str, _PreTokenizer] = {
    "smollm": _PreTokenizer(_digits_then_words),
    "llama-bpe": _PreTokenizer(
        _words_by(_WORDS.replace("{digits}", r"\p{N}{1,3}")), is_whole_word_first=True
    ),
    "qwen2": _PreTokenizer(_words_by(_WORDS.replace("{digits}", r"\p{N}")), is_composed=True),
}


def _named_token(file: GgufFile, tokens: list[str], role: str) -> str | None:
    key = f"tokenizer.ggml.{role}_token_id"
    if not file.has(key):
        return None
    index = file.value(key, int)
    if index >= len(tokens):
        raise ModelCorruptError(f"{file.name}: {key} is {index}, beyond {len(tokens)} tokens")
    return tokens[index]


def _ends_turn(token: str, kind: int) -> bool:
    return kind == _CONTROL and token in TURN_ENDS
