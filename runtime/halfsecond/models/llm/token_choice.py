"""Which token comes next, from the logits of all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.llm.answerer import Sampling

# Enough for most top_p; finding these is ten times faster than sorting a whole vocabulary.
_FEW = 256


class TokenChooser:
    """Chooses the tokens of one answer, one after another; the same seed chooses the same."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._random = np.random.default_rng(sampling.seed)
        self._chosen: set[int] = set()

    def choose(self, logits: NDArray[np.float32]) -> int:
        """The next token, for logits (vocabulary,), which may be changed by this."""
        if self._sampling.repetition_penalty != 1 and self._chosen:
            self._penalize(logits)
        token = int(logits.argmax()) if self._sampling.temperature <= 0 else self._draw(logits)
        self._chosen.add(token)
        return token

    def _penalize(self, logits: NDArray[np.float32]) -> None:
        """CTRL (Keskar et al. 2019), formula 5, on the tokens of this answer."""
        seen = np.fromiter(self._chosen, np.int64)
        penalty = np.float32(self._sampling.repetition_penalty)
        logits[seen] = np.where(logits[seen] > 0, logits[seen] / penalty, logits[seen] * penalty)

    def _draw(self, logits: NDArray[np.float32]) -> int:
        scaled = logits.astype(np.float64) / self._sampling.temperature
        chances = np.exp(scaled - scaled.max())
        chances /= chances.sum()
        if self._sampling.top_p < 1:
            chances = _likeliest(chances, self._sampling.top_p)
        ends = np.cumsum(chances)
        at = int(np.searchsorted(ends, self._random.random() * ends[-1], side="right"))
        return min(at, int(np.flatnonzero(chances)[-1]))


def _likeliest(chances: NDArray[np.float64], top_p: float) -> NDArray[np.float64]:
    """Keeps the fewest tokens that together have at least `top_p`; the others become 0."""
    few = min(_FEW, len(chances))
    order = np.argpartition(chances, -few)[-few:]
    if chances[order].sum() < top_p:
        order = np.arange(len(chances))
    order = order[np.argsort(-chances[order], kind="stable")]
    count = int(np.searchsorted(np.cumsum(chances[order]), top_p)) + 1
    kept = np.zeros_like(chances)
    kept[order[:count]] = chances[order[:count]]
    return kept
