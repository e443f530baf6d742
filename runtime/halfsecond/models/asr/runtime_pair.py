"""Whisper's pair in the operators of ONNX Runtime's CPU: caches that are appended to in place.

The encoder gives the keys and values of the decoder's cross-attention, so that those of the silence
behind an utterance are computed once and for all, and those of the utterance once and not by token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Tensor
from halfsecond.models.asr.network import CAPACITY, FULL_CONTEXT_POSITIONS
from halfsecond.sessions import Session, open_session

ENCODER_NAME, DECODER_NAME = "encoder.onnx", "decoder.onnx"

Buffer = NDArray[np.float32]


class RuntimePair:
    """A `WhisperPair` from the files that `halfsecond_export.prepare` writes, on the CPU.

    All buffers are made once and bound by address: a call allocates nothing that grows.

    Raises ModelMissingError or ModelCorruptError.
    """

    def __init__(self, directory: Path, *, threads: int) -> None:
        self._encoder: Session = open_session(directory / ENCODER_NAME, threads=threads)
        self._decoder: Session = open_session(directory / DECODER_NAME, threads=threads)
        self.mels = int(self._encoder.inputs[0].shape[1])
        self.vocabulary = int(self._decoder.outputs[0].shape[-1])
        self.cross: dict[str, Buffer] = {}
        self._logits = np.empty((1, 2, self.vocabulary), np.float32)
        self._alignment_heads = _alignment_heads(self._decoder)
        self._silence: dict[str, Buffer] = {}
        self._heard_positions = 0
        for declared in self._decoder.inputs:
            self._bind_cache(declared)

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        """See `WhisperPair.learn_silence`."""
        self._silence = self._encode(mel)
        for name, values in self._silence.items():
            self.cross[name][...] = values

    def listen(self, mel: NDArray[np.float32]) -> None:
        """See `WhisperPair.listen`."""
        heard = self._encode(mel)
        positions = mel.shape[1] // 2
        rest = slice(positions, self._heard_positions)
        for name, values in heard.items():
            into, silence = self.cross[name], self._silence[name]
            # Keys have the positions last, to be multiplied as they lie; values before the last.
            if name.startswith("cross_key"):
                into[..., :positions] = values
                into[..., rest] = silence[..., rest]
            else:
                into[:, :, :positions] = values
                into[:, :, rest] = silence[:, :, rest]
        self._heard_positions = positions

    def write(self, tokens: Sequence[int], *, at: int, rows: Sequence[int]) -> Buffer:
        """See `WhisperPair.write`."""
        logits = self._logits[:, : len(rows)]
        self._run(tokens, at, rows, {"logits": logits})
        result: Buffer = logits[0]
        return result

    def looks(self, tokens: Sequence[int], positions: int) -> Buffer:
        """See `WhisperPair.looks`."""
        shape = (1, self._alignment_heads, len(tokens), FULL_CONTEXT_POSITIONS)
        looks = np.empty(shape, np.float32)
        self._run(tokens, 0, [0], {"attention": looks})
        seen: Buffer = looks[0, :, :, :positions]
        return seen

    def close(self) -> None:
        """See `WhisperPair.close`."""
        self._encoder.close()
        self._decoder.close()
        self.cross.clear()
        self._silence.clear()

    def _encode(self, mel: NDArray[np.float32]) -> dict[str, Buffer]:
        return self._encoder.run({"mel": mel[None]})

    def _run(
        self, tokens: Sequence[int], at: int, rows: Sequence[int], results: Mapping[str, Buffer]
    ) -> None:
        total = at + len(tokens)
        inputs: dict[str, NDArray[Any]] = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(at, total, dtype=np.int64),
            "rows": np.array(rows, np.int64),
            "last": np.array([total - 1], np.int32),
            "total": np.array([total], np.int32),
        }
        self._decoder.run_into(inputs, results)

    def _bind_cache(self, declared: Tensor) -> None:
        kind, _, rest = declared.name.partition("_")
        if kind not in ("cross", "past"):
            return
        length = FULL_CONTEXT_POSITIONS if kind == "cross" else CAPACITY
        shape = [size if isinstance(size, int) else length for size in declared.shape]
        buffer = np.zeros(shape, np.float32)
        bound = {declared.name: buffer}
        if kind == "cross":
            self.cross[declared.name] = buffer
        else:
            # The past and the present are one buffer: attention appends to it in place.
            bound[f"present_{rest}"] = buffer
        self._decoder.bind(bound)


def _alignment_heads(decoder: Session) -> int:
    shapes = [tensor.shape for tensor in decoder.outputs if tensor.name == "attention"]
    return int(shapes[0][1]) if shapes else 0
