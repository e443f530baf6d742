"""Running a portable pair of graphs: what their export is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.sessions import Session, open_session

Arrays = dict[str, NDArray[Any]]


class PortableWhisper:
    """An encoder and a decoder in ONNX's own operators, float32 or float16, on ONNX Runtime."""

    def __init__(self, encoder: Path, decoder: Path, *, threads: int = 1) -> None:
        self._encoder = open_session(encoder, threads=threads)
        self._decoder = open_session(decoder, threads=threads)
        self.dtype = np.dtype(self._encoder.inputs[0].dtype)
        self._caches: Arrays = {
            declared.name: np.zeros(
                (1, int(declared.shape[1]), 0, int(declared.shape[3])), self.dtype
            )
            for declared in self._decoder.inputs
            if declared.name.startswith("past_")
        }

    def hear(self, mel: NDArray[np.float32]) -> Arrays:
        """The cross-attention's keys and values of (mels, 100 a second)."""
        return _run(self._encoder, {"mel": mel[None].astype(self.dtype)})

    def write(
        self,
        heard: Arrays,
        prompt: Sequence[int],
        *,
        end: int,
        suppressed: Sequence[int] = (),
        most: int = 100,
    ) -> list[int]:
        """Greedy tokens after the prompt, one by one through the caches."""
        caches, given, at = self._caches, list(prompt), 0
        tokens: list[int] = []
        while len(tokens) < most:
            result = _run(self._decoder, heard | caches | _new(given, at=at))
            logits = result["logits"][0, -1].astype(np.float32)
            logits[list(suppressed)] = -np.inf
            token = int(logits.argmax())
            if token == end:
                break
            caches = {
                f"past_{name.removeprefix('present_')}": values
                for name, values in result.items()
                if name.startswith("present_")
            }
            at += len(given)
            tokens.append(token)
            given = [token]
        return tokens


def _new(tokens: Sequence[int], *, at: int) -> Arrays:
    count = len(tokens)
    return {
        "tokens": np.array([tokens], np.int64),
        "positions": np.arange(at, at + count, dtype=np.int64),
        "rows": np.arange(count, dtype=np.int64),
    }


def _run(session: Session, inputs: Arrays) -> Arrays:
    wanted = {declared.name for declared in session.inputs}
    return session.run({name: values for name, values in inputs.items() if name in wanted})
