"""How near an exported Whisper is to its weights: numbers, and words that differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Check
from halfsecond.models.asr.words import bare
from halfsecond_export.prepare.whisper_network import Linear, WhisperNetwork

Hear = Callable[[NDArray[np.float32]], str]
"""The words of (n,) mono 16 kHz."""
Recordings = Sequence[NDArray[np.float32]]


@dataclass(frozen=True)
class Tolerance:
    """What an export of one precision may differ by."""

    words: float
    """Of the reference's words, the part that may be others."""


# In float32 and float16 two libraries round differently, and a word in a hundred may fall the other
# way. INT8 changes some 3 of 100 of tiny.en's ("8" and "eight" are two), for better as often as for
# worse: against what was said the word error rate stays.
TOLERANCES = {
    "fp32": Tolerance(words=0.01),
    "fp16": Tolerance(words=0.01),
    "int8": Tolerance(words=0.06),
    "int8_fp16": Tolerance(words=0.06),
}
DAMAGED_AT_LEAST = 0.1
"""Words that a damaged network must get wrong, else the comparison could not fail."""


def compare_words(reference: Hear, candidate: Hear, recordings: Recordings) -> tuple[float, int]:
    """The part of the reference's words that the candidate does not write, and how many there are.

    Changes, omissions and additions count, as in a word error rate.
    """
    errors = words = 0
    for samples in recordings:
        expected, found = bare(reference(samples)).split(), bare(candidate(samples)).split()
        errors += edits(expected, found)
        words += len(expected)
    return errors / max(words, 1), words


def edits(expected: Sequence[str], found: Sequence[str]) -> int:
    """The least number of words to change, leave out or add (Levenshtein 1966)."""
    row = list(range(len(found) + 1))
    for at, word in enumerate(expected, 1):
        before, row[0] = row[0], at
        for column, other in enumerate(found, 1):
            best = min(row[column] + 1, row[column - 1] + 1, before + (word != other))
            before, row[column] = row[column], best
    return row[-1]


def words_check(
    reference: Hear, candidate: Hear, recordings: Recordings, *, at_most: float
) -> Check:
    """Words that differ from the reference's."""
    rate, words = compare_words(reference, candidate, recordings)
    return Check(
        what="words that differ from float32", value=round(rate, 4), n=words, at_most=at_most
    )


def control_check(reference: Hear, damaged: Hear, recordings: Recordings) -> Check:
    """That the comparison can fail: words that differ after one layer was damaged."""
    rate, words = compare_words(reference, damaged, recordings)
    return Check(
        what="control: words that differ with a damaged layer",
        value=round(rate, 4),
        n=words,
        at_least=DAMAGED_AT_LEAST,
    )


def damaged(network: WhisperNetwork) -> WhisperNetwork:
    """The network with the values of every cross-attention given to the wrong heads."""
    width = network.width
    order = np.r_[np.arange(width), width + np.roll(np.arange(width), network.head_size)]
    layers = []
    for layer in network.decoder_layers:
        packed = Linear(layer.cross.packed.weight[order], layer.cross.packed.bias[order])
        cross = dataclasses.replace(layer.cross, packed=packed)
        layers.append(dataclasses.replace(layer, cross=cross))
    return dataclasses.replace(network, decoder_layers=tuple(layers))


def output_checks(
    what: str,
    expected: NDArray[np.floating],
    found: NDArray[np.floating],
    *,
    relative_at_most: float | None = None,
) -> tuple[Check, Check]:
    """The largest error, and the length of the errors by that of the values."""
    error = found.astype(np.float64) - expected.astype(np.float64)
    relative = np.linalg.norm(error) / max(np.linalg.norm(expected.astype(np.float64)), 1e-12)
    count = int(expected.size)
    return (
        Check(what=f"{what}: largest error", value=float(np.abs(error).max()), n=count),
        Check(
            what=f"{what}: relative error",
            value=float(relative),
            n=count,
            at_most=relative_at_most,
        ),
    )
