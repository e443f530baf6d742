"""A decoder-only network on ONNX Runtime: new tokens in, logits out, the rest remembered."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, StageError
from halfsecond.sessions import Session, open_session

MODEL_NAME = "model.onnx"

Logits = NDArray[np.float32]


class OnnxDecoder:
    """The network of a model directory with a key/value cache of fixed size.

    The cache's buffers are both the past and the present of every pass, so that attention appends
    to them in place: nothing is copied and nothing grows. What lies behind `length` is never
    looked at, so going back costs nothing. For one thread at a time.
    """

    def __init__(self, model_path: Path, *, threads: int, capacity: int) -> None:
        """Opens the network; `capacity` is how many tokens the cache holds.

        Raises ModelMissingError or ModelCorruptError.
        """
        self._session: Session = open_session(model_path / MODEL_NAME, threads=threads)
        self._is_open = True
        self.capacity = capacity
        self._tokens: list[int] = []
        self._longest = 0  # tokens that the buffers ever held, those behind `length` included
        self._caches = self._bind_caches(model_path)
        self._vocabulary = int(self._session.outputs[0].shape[-1])
        self._logits = np.empty((0, self._vocabulary), np.float32)

    @property
    def length(self) -> int:
        """How many tokens the cache holds."""
        return len(self._tokens)

    def rewind(self, tokens: Sequence[int]) -> int:
        """Keeps what the cache and `tokens` begin with alike; returns how many tokens that is."""
        pairs = zip(self._tokens, tokens, strict=False)
        kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        del self._tokens[kept:]
        return kept

    def append(self, tokens: Sequence[int], *, rows: int) -> Logits:
        """Takes tokens in; logits (rows, vocabulary) after each of the last `rows` of them.

        The array is the decoder's own and is overwritten by the next call.

        Raises StageError for more tokens than there is room for.
        """
        if not self._is_open:
            raise StageError("the decoder is closed; open a new one")
        total = self.length + len(tokens)
        if total > self.capacity:
            raise StageError(
                f"{total} tokens do not fit a context of {self.capacity}; shorten the prompt"
            )
        if len(self._logits) < rows:
            self._logits = np.empty((rows, self._vocabulary), np.float32)
        logits = self._logits[:rows]
        wanted = np.arange(len(tokens) - max(rows, 1), len(tokens))
        unread = np.empty((1, self._vocabulary), np.float32) if not rows else logits
        inputs: dict[str, NDArray[Any]] = {
            "tokens": np.array([tokens], np.int64),
            "rows": wanted.astype(np.int64),
            "last": np.array([total - 1], np.int32),
            "total": np.array([total], np.int32),
        }
        self._session.run_into(inputs, {"logits": unread[np.newaxis]})
        self._tokens += tokens
        self._longest = max(self._longest, total)
        return logits

    def clear(self) -> None:
        """Wipes what the cache holds and held."""
        for cache in self._caches:
            cache[:, :, : self._longest] = 0
        self._tokens.clear()
        self._longest = 0

    def close(self) -> None:
        """Frees the network and the cache."""
        self._is_open = False
        self._session.close()
        self._caches = []
        self._tokens.clear()

    def _bind_caches(self, model_path: Path) -> list[Logits]:
        """Buffers (1, key heads, capacity, head size); pages that are not used take no memory."""
        caches = []
        for declared in self._session.inputs:
            kind, _, name = declared.name.partition("_")
            if kind != "past":
                continue
            heads, size = int(declared.shape[1]), int(declared.shape[3])
            cache = np.zeros((1, heads, self.capacity, size), np.float32)
            self._session.bind({f"past_{name}": cache, f"present_{name}": cache})
            caches.append(cache)
        if not caches:
            raise ModelCorruptError(
                f"{model_path / MODEL_NAME} has no key/value cache; "
                "run `halfsecond models fetch` to prepare it again"
            )
        return caches
