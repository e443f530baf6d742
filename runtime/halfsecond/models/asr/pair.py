"""Whisper's encoder and decoder as two networks: what greedy decoding needs of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import MANIFEST_NAME, artifact_of_kind

PARTS = ("encoder", "decoder")
"""Directories of a pair that was exported or built part by part, an artifact each."""

Logits = NDArray[np.float32]


class WhisperPair(Protocol):
    """Listens first; the decoder then writes about what was heard last."""

    @property
    def mels(self) -> int:
        """Bands of the spectrogram."""
        ...

    @property
    def vocabulary(self) -> int: ...

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        """See `WhisperNetwork.learn_silence`."""
        ...

    def listen(self, mel: NDArray[np.float32]) -> None:
        """See `WhisperNetwork.listen`."""
        ...

    def write(self, tokens: Sequence[int], *, at: int, rows: Sequence[int]) -> Logits:
        """Logits (rows, vocabulary) after these of the tokens, which stand at `at` and behind.

        What stands before `at` is what was written last. The caller may change the array, and the
        next call overwrites it.
        """
        ...

    def looks(self, tokens: Sequence[int], positions: int) -> NDArray[np.float32]:
        """(alignment heads, tokens, positions): how much each token looked at each position."""
        ...

    def close(self) -> None: ...


def is_in_parts(directory: Path) -> bool:
    """Whether encoder and decoder are artifacts of their own, `portable-fp16` or engines."""
    return all((directory / part / MANIFEST_NAME).is_file() for part in PARTS)


def text_directory(directory: Path) -> Path:
    """Where the tokenizer of a model lies, and what is written about its tokens."""
    return directory / "decoder" if is_in_parts(directory) else directory


def checked_parts(directory: Path) -> Path:
    """The directory, if both parts may be used as what they are wanted for.

    Raises what `artifact_of_kind` does.
    """
    for part in PARTS:
        artifact_of_kind(str(directory / part), f"whisper-{part}")
    return directory
