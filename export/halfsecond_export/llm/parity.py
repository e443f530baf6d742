"""How near an exported language model is to its weights: perplexity, and the tokens it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Check, Precision
from halfsecond.errors import ConfigError
from halfsecond.models.llm.onnx_decoder import OnnxDecoder
from halfsecond_export.prepare import decoder_pass
from halfsecond_export.prepare.decoder_network import Architecture, Network
from halfsecond_export.prepare.language_model import LanguageModel

TEXT = Path(__file__).parent / "passages.txt"
"""What is compared on where nothing else is given."""

# A passage is read on its own: long enough for attention to matter, short enough for any window.
PASSAGE_TOKENS = 256
LEAST_TOKENS = 100
"""Below this the perplexity of a text is that of its few rarest words."""

Forward = Callable[[list[int]], NDArray[Any]]
"""Logits (tokens, vocabulary) after each token of a text."""


@dataclass(frozen=True)
class Tolerance:
    """What an export of one precision may differ by."""

    perplexity_percent: float
    matching: float
    """Of the tokens that the source finds likeliest, the part that the export must, too."""


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(perplexity_percent=0.1, matching=0.99),
    "fp16": Tolerance(perplexity_percent=0.5, matching=0.98),
    "int8": Tolerance(perplexity_percent=3.0, matching=0.85),
    "int8_fp16": Tolerance(perplexity_percent=3.0, matching=0.85),
}
CONTROL_MATCHING = 0.5
"""A damaged network must match less, else the comparison could not fail."""


@dataclass(frozen=True)
class Reading:
    """What a network makes of a text: of each token but a passage's first, how unlikely it was
    (nats), and which one was likeliest instead."""

    surprise: NDArray[np.float64]
    likeliest: NDArray[np.int64]

    @property
    def perplexity(self) -> float:
        """Between how many tokens the network wavers, on average."""
        return float(np.exp(self.surprise.mean()))

    def first(self, count: int) -> Reading:
        """Of the first `count` tokens."""
        return Reading(self.surprise[:count], self.likeliest[:count])


def read_passages(forward: Forward, passages: Sequence[list[int]]) -> Reading:
    """What a network makes of passages, each on its own."""
    surprise, likeliest = [], []
    for tokens in passages:
        logits = np.asarray(forward(tokens), np.float32)[:-1]
        largest = logits.max(-1, keepdims=True)
        total = np.log(np.exp(logits - largest).sum(-1, dtype=np.float64)) + largest[:, 0]
        surprise.append(total - logits[np.arange(len(logits)), tokens[1:]])
        likeliest.append(logits.argmax(-1))
    return Reading(np.concatenate(surprise), np.concatenate(likeliest))


def passages_of(model: LanguageModel, text: str) -> list[list[int]]:
    """The paragraphs of a text in tokens, those of more than `PASSAGE_TOKENS` cut.

    Raises ConfigError for a text of fewer than `LEAST_TOKENS`.
    """
    longest = min(PASSAGE_TOKENS, model.architecture.exact_tokens)
    tokens = [model.text_tokens(each.strip()) for each in text.split("\n\n") if each.strip()]
    cut = [each[at : at + longest] for each in tokens for at in range(0, len(each), longest)]
    passages = [each for each in cut if len(each) > 1]
    if (found := sum(map(len, passages))) < LEAST_TOKENS:
        raise ConfigError(
            f"the text to compare on has {found} tokens, expected {LEAST_TOKENS} or more; give a "
            "longer one with --text"
        )
    return passages


def of_network(network: Network, architecture: Architecture) -> Forward:
    """The weights themselves, in numpy and float32: none of the engines."""
    return lambda tokens: decoder_pass.logits(network, architecture, tokens)


def of_ctranslate2(directory: Path, *, compute_type: str, threads: int) -> Forward:
    """A model directory on CTranslate2."""
    import ctranslate2

    generator = ctranslate2.Generator(
        str(directory), compute_type=compute_type, intra_threads=threads
    )
    return lambda tokens: np.array(generator.forward_batch([tokens]))[0]


def of_onnx(directory: Path, *, threads: int) -> Forward:
    """A model directory on the runtime's own decoder."""
    decoder = OnnxDecoder(directory, threads=threads, capacity=PASSAGE_TOKENS)

    def forward(tokens: list[int]) -> NDArray[Any]:
        decoder.rewind([])
        return decoder.append(tokens, rows=len(tokens))

    return forward


def compare(reference: Reading, found: Reading, precision: Precision) -> tuple[Check, Check]:
    """How much the perplexity changed, and the greedy tokens that match."""
    tolerance = TOLERANCES[precision]
    change = abs(found.perplexity / reference.perplexity - 1) * 100
    return (
        Check(
            what="change of perplexity",
            value=round(change, 3),
            unit=" %",
            n=len(reference.surprise),
            at_most=tolerance.perplexity_percent,
        ),
        Check(
            what="greedy tokens that match",
            value=round(_matching(reference, found), 4),
            n=len(reference.likeliest),
            at_least=tolerance.matching,
        ),
    )


def control_check(reference: Reading, damaged: Reading) -> Check:
    """That the comparison can fail."""
    return Check(
        what="control: greedy tokens that match with heads swapped",
        value=round(_matching(reference, damaged), 4),
        n=len(reference.likeliest),
        at_most=CONTROL_MATCHING,
    )


def damaged(network: Network, architecture: Architecture) -> Network:
    """The network with what each head found given to the next one."""
    broken = network.copy()
    for layer in broken.layers:
        layer.attention_out = np.roll(layer.attention_out, architecture.head_size, axis=1)
    return broken


def _matching(reference: Reading, found: Reading) -> float:
    return float(np.mean(reference.likeliest == found.likeliest))
