"""Whisper's pair in ONNX's own operators, or as TensorRT engines: on a GPU, or to compare with.

Nothing but tokens, logits and the spectrogram passes between host and GPU: what was heard and what
was written stays in fixed buffers where the networks run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Tensor
from halfsecond.errors import UnsupportedModelError
from halfsecond.models.asr.network import CAPACITY, FULL_CONTEXT_POSITIONS
from halfsecond.models.asr.pair import Logits
from halfsecond.sessions import Device, Session, open_session
from halfsecond.sessions.onnx_runtime import CPU
from halfsecond.sessions.session import AnyArray, Array, Buffer

PIECE_TOKENS = 8
"""The most new tokens of one pass: the exporter's shapes, for which engines are built."""

_Past = dict[str, Buffer]


class PortablePair:
    """A `WhisperPair` from the directories `encoder` and `decoder`, whichever library they are for.

    Float32 or float16, as the networks have it; keys and values stay in their type.

    Raises ModelError, or ConfigError for an engine and a device that does not run it.
    """

    def __init__(self, directory: Path, *, threads: int, device: Device) -> None:
        self._encoder: Session = open_session(directory / "encoder", threads=threads, device=device)
        try:
            self._decoder: Session = open_session(
                directory / "decoder", threads=threads, device=device
            )
        except BaseException:
            self._encoder.close()
            raise
        self._check_places(directory)
        self.mels = int(self._encoder.inputs[0].shape[1])
        outputs = {tensor.name: tensor for tensor in self._decoder.outputs}
        self.vocabulary = int(outputs["logits"].shape[-1])
        self._alignment_heads = int(outputs["attention"].shape[1])
        self._types = {t.name: t.dtype for t in (*self._encoder.inputs, *outputs.values())}
        self._heard: dict[str, Buffer] = {}
        self._cross: dict[str, Buffer] = {}
        self._silence: dict[str, Buffer] = {}
        # The past of a pass is the present of the one before: two sets, in turns.
        self._past: _Past = {}
        self._present: _Past = {}
        for declared in self._decoder.inputs:
            self._make_buffers(declared)
        self._decoder.bind(
            {name: buffer.view(buffer.shape) for name, buffer in self._cross.items()}
        )
        self._heard_positions = 0

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        """See `WhisperPair.learn_silence`."""
        positions = self._encode(mel)
        for name in self._cross:
            shape, axis = self._shape(name, positions), _axis(name)
            for into in (self._silence[name], self._cross[name]):
                into.paste(self._heard[name], shape=shape, axis=axis, begin=0, end=positions)

    def listen(self, mel: NDArray[np.float32]) -> None:
        """See `WhisperPair.listen`."""
        positions = self._encode(mel)
        for name, into in self._cross.items():
            shape, axis = self._shape(name, positions), _axis(name)
            into.paste(self._heard[name], shape=shape, axis=axis, begin=0, end=positions)
            silence = self._silence[name]
            into.paste(
                silence, shape=silence.shape, axis=axis, begin=positions, end=self._heard_positions
            )
        self._heard_positions = positions

    def write(self, tokens: Sequence[int], *, at: int, rows: Sequence[int]) -> Logits:
        """See `WhisperPair.write`."""
        found: dict[int, Array] = {}
        for begin in range(0, len(tokens), PIECE_TOKENS):
            piece = tokens[begin : begin + PIECE_TOKENS]
            wanted = [row for row in dict.fromkeys(rows) if 0 <= row - begin < len(piece)]
            asked = [row - begin for row in wanted] or [0]
            logits = self._empty("logits", (1, len(asked), self.vocabulary))
            self._pass(piece, at + begin, asked, {"logits": logits})
            found |= dict(zip(wanted, logits[0], strict=False))
        return np.array([found[row] for row in rows], np.float32)

    def looks(self, tokens: Sequence[int], positions: int) -> NDArray[np.float32]:
        """See `WhisperPair.looks`."""
        parts: list[Array] = []
        for begin in range(0, len(tokens), PIECE_TOKENS):
            piece = tokens[begin : begin + PIECE_TOKENS]
            shape = (1, self._alignment_heads, len(piece), FULL_CONTEXT_POSITIONS)
            looks = self._empty("attention", shape)
            self._pass(piece, begin, [0], {"attention": looks})
            parts.append(looks[0, :, :, :positions])
        return np.concatenate(parts, axis=1).astype(np.float32)

    def close(self) -> None:
        """See `WhisperPair.close`."""
        self._encoder.close()
        self._decoder.close()

    def _check_places(self, directory: Path) -> None:
        """What the encoder leaves must lie where the decoder looks."""
        encoder, decoder = self._encoder.runs_on, self._decoder.runs_on
        if (encoder == CPU) != (decoder == CPU):
            self.close()
            raise UnsupportedModelError(
                f"the encoder of {directory} runs on {encoder} and its decoder on {decoder}; "
                'they must run in one place: set device = "cpu", or see `halfsecond doctor`'
            )

    def _encode(self, mel: NDArray[np.float32]) -> int:
        """Leaves what is heard in its buffers; how many positions that is."""
        positions = int(mel.shape[1]) // 2
        given = np.ascontiguousarray(mel[np.newaxis], self._types["mel"])
        places = {n: b.view(self._shape(n, positions)) for n, b in self._heard.items()}
        self._encoder.run_into({"mel": given}, places)
        return positions

    def _pass(
        self, tokens: Sequence[int], at: int, rows: Sequence[int], results: Mapping[str, Array]
    ) -> None:
        total = at + len(tokens)
        inputs: dict[str, AnyArray] = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(at, total, dtype=np.int64),
            "rows": np.array(rows, np.int64),
        }
        for name, buffer in self._past.items():
            inputs[f"past_{name}"] = buffer.view(_cut(buffer, at))
        outputs: dict[str, AnyArray] = dict(results)
        for name, buffer in self._present.items():
            outputs[f"present_{name}"] = buffer.view(_cut(buffer, total))
        self._decoder.run_into(inputs, outputs)
        self._past, self._present = self._present, self._past

    def _make_buffers(self, declared: Tensor) -> None:
        kind, _, name = declared.name.partition("_")
        if kind not in ("cross", "past"):
            return
        length = FULL_CONTEXT_POSITIONS if kind == "cross" else CAPACITY
        shape = [size if isinstance(size, int) else length for size in declared.shape]
        if kind == "cross":
            self._cross[declared.name] = self._decoder.buffer(shape, declared.dtype)
            self._silence[declared.name] = self._decoder.buffer(shape, declared.dtype)
            self._heard[declared.name] = self._encoder.buffer(shape, declared.dtype)
        else:
            self._past[name] = self._decoder.buffer(shape, declared.dtype)
            self._present[name] = self._decoder.buffer(shape, declared.dtype)

    def _shape(self, name: str, positions: int) -> tuple[int, ...]:
        full, axis = self._cross[name].shape, _axis(name)
        return (*full[:axis], positions, *full[axis + 1 :])

    def _empty(self, name: str, shape: Sequence[int]) -> NDArray[Any]:
        return np.empty(shape, self._types[name])


def _axis(name: str) -> int:
    """Of the positions: keys have them last, to be multiplied as they lie; values before that."""
    return 3 if name.startswith("cross_key") else 2


def _cut(buffer: Buffer, length: int) -> tuple[int, ...]:
    return (*buffer.shape[:2], length, buffer.shape[3])
