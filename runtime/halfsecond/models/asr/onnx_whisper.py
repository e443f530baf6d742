"""Whisper's networks on ONNX Runtime: half the time that CTranslate2 takes for a short question.

The encoder gives the keys and values of the decoder's cross-attention, so that those of the silence
behind an utterance are computed once and for all, and those of the utterance once and not by token.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, ModelMissingError
from halfsecond.models.asr.alignment import token_starts
from halfsecond.models.asr.network import (
    FULL_CONTEXT_POSITIONS,
    MULTILINGUAL_VOCABULARY,
    Decoded,
    ShouldStop,
    StoppedError,
    never,
)
from halfsecond.models.sessions import open_session

ENCODER_NAME, DECODER_NAME = "encoder.onnx", "decoder.onnx"
DETAILS_NAME = "whisper.json"
CAPACITY = 448
"""Positions of Whisper's decoder."""

Buffer = NDArray[np.float32]


class OnnxNetwork:
    """A `WhisperNetwork` from an encoder and a decoder, as `halfsecond_export` writes them.

    All buffers are made once and bound by address: a call allocates nothing that grows.

    Raises ModelMissingError or ModelCorruptError.
    """

    def __init__(self, directory: Path, *, threads: int) -> None:
        details = _read_details(directory)
        self._tokens = _read_tokens(directory)
        self._languages = {number: code for code, number in self._tokens.items()}
        self._language_tokens = [int(token) for token in details["lang_ids"]]
        self._start = self._token("<|startoftranscript|>")
        self._end = self._token("<|endoftext|>")
        self._no_times = self._token("<|notimestamps|>")
        self._no_speech = self._no_times - 1  # its name differs between models, its place does not
        self._encoder: Any = open_session(directory / ENCODER_NAME, threads=threads)
        self._decoder = _Decoder(directory / DECODER_NAME, threads=threads)
        self._suppressed = np.array(details["suppress_ids"], np.int64)
        self._suppressed_first = np.array(details["suppress_ids_begin"], np.int64)
        self._silence: dict[str, Buffer] = {}
        self._heard_positions = 0

    @property
    def mels(self) -> int:
        return int(self._encoder.get_inputs()[0].shape[1])

    @property
    def is_multilingual(self) -> bool:
        return self._decoder.vocabulary >= MULTILINGUAL_VOCABULARY

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        self._silence = self._encode(mel)
        for name, values in self._silence.items():
            self._decoder.cross[name][...] = values

    def listen(self, mel: NDArray[np.float32]) -> None:
        heard = self._encode(mel)
        positions = mel.shape[1] // 2
        for name, values in heard.items():
            into, silence = self._decoder.cross[name], self._silence[name]
            # Keys have the positions last, to be multiplied as they lie; values before the last.
            if name.startswith("cross_key"):
                into[..., :positions] = values
                rest = slice(positions, self._heard_positions)
                into[..., rest] = silence[..., rest]
            else:
                into[:, :, :positions] = values
                rest = slice(positions, self._heard_positions)
                into[:, :, rest] = silence[:, :, rest]
        self._heard_positions = positions

    def detect(self) -> str:
        logits = self._decoder.run([self._start], at=0, rows=[0])[0]
        token = self._language_tokens[int(np.argmax(logits[self._language_tokens]))]
        return self._languages[token].strip("<|>")

    def decode(
        self,
        prompt: Sequence[int],
        known: Sequence[int] = (),
        *,
        most_tokens: int,
        should_stop: ShouldStop = never,
    ) -> Decoded:
        start = [*prompt, *known]
        rows = [list(prompt).index(self._start), len(start) - 1]
        first, logits = self._decoder.run(start, at=0, rows=rows)
        no_speech = float(np.exp(_log_probability(first, self._no_speech)))
        if not known:
            logits[self._suppressed_first] = -np.inf
        tokens: list[int] = []
        total = 0.0
        while True:
            if should_stop():
                raise StoppedError
            logits[self._suppressed] = -np.inf
            token = int(np.argmax(logits))
            total += _log_probability(logits, token)
            if token == self._end:
                break
            tokens.append(token)
            if len(tokens) >= most_tokens or len(start) + len(tokens) >= CAPACITY:
                break
            (logits,) = self._decoder.run([token], at=len(start) + len(tokens) - 1, rows=[0])
        return Decoded(tokens, total, no_speech)

    def align(self, start: Sequence[int], tokens: Sequence[int], positions: int) -> list[int]:
        whole = [*start, self._no_times, *tokens][:CAPACITY]
        looks = self._decoder.looks(whole, positions)
        # Where the decoder looked to write a token is a matter of the one before it.
        starts = token_starts(looks[:, len(start) :])
        return (starts + [max(positions - 1, 0)] * len(tokens))[: len(tokens)]

    def close(self) -> None:
        self._encoder = None
        self._decoder.close()
        self._silence.clear()

    def _encode(self, mel: NDArray[np.float32]) -> dict[str, Buffer]:
        names = [output.name for output in self._encoder.get_outputs()]
        values: list[Buffer] = self._encoder.run(names, {"mel": mel[None]})
        return dict(zip(names, values, strict=True))

    def _token(self, text: str) -> int:
        number = self._tokens.get(text)
        if number is None:
            raise ModelCorruptError(f"the tokenizer has no {text}: this is not a Whisper model")
        return number


class _Decoder:
    """The session of a decoder, with its caches: `cross` is what was heard, by input name."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self._session: Any = open_session(path, threads=threads)
        self._binding: Any = self._session.io_binding()
        self.vocabulary = int(self._session.get_outputs()[0].shape[-1])
        self.cross: dict[str, Buffer] = {}
        self._present: dict[str, Buffer] = {}
        self._logits = np.empty((1, 2, self.vocabulary), np.float32)
        self._alignment_heads = 0
        for declared in self._session.get_outputs():
            if declared.name == "attention":
                self._alignment_heads = int(declared.shape[1])
        for declared in self._session.get_inputs():
            self._bind_cache(declared.name, declared.shape)

    def run(self, tokens: Sequence[int], *, at: int, rows: Sequence[int]) -> Buffer:
        """Logits (rows, vocabulary) after these of the tokens, which stand at `at` and behind.

        The array is the decoder's own and is overwritten by the next call.
        """
        logits = self._logits[:, : len(rows)]
        self._run(tokens, at, rows, {"logits": logits})
        result: Buffer = logits[0]
        return result

    def looks(self, tokens: Sequence[int], positions: int) -> Buffer:
        """(alignment heads, tokens, positions): how much each token looked at each position."""
        shape = (1, self._alignment_heads, len(tokens), FULL_CONTEXT_POSITIONS)
        looks = np.empty(shape, np.float32)
        self._run(tokens, 0, [0], {"attention": looks})
        seen: Buffer = looks[0, :, :, :positions]
        return seen

    def close(self) -> None:
        self._binding = self._session = None
        self.cross.clear()
        self._present.clear()

    def _run(
        self, tokens: Sequence[int], at: int, rows: Sequence[int], results: dict[str, Buffer]
    ) -> None:
        total = at + len(tokens)
        # Numpy arrays, bound by address: they must live until the pass is over.
        inputs: dict[str, NDArray[Any]] = {
            "tokens": np.array([tokens], np.int64),
            "positions": np.arange(at, total, dtype=np.int64),
            "rows": np.array(rows, np.int64),
            "last": np.array([total - 1], np.int32),
            "total": np.array([total], np.int32),
        }
        for name, values in inputs.items():
            self._binding.bind_input(name, "cpu", 0, values.dtype, values.shape, values.ctypes.data)
        self._binding.clear_binding_outputs()
        for name, values in (self._present | results).items():
            self._binding.bind_output(
                name, "cpu", 0, values.dtype, values.shape, values.ctypes.data
            )
        self._session.run_with_iobinding(self._binding)

    def _bind_cache(self, name: str, shape: Sequence[int | str]) -> None:
        kind, _, rest = name.partition("_")
        if kind not in ("cross", "past"):
            return
        length = FULL_CONTEXT_POSITIONS if kind == "cross" else CAPACITY
        buffer = np.zeros([size if isinstance(size, int) else length for size in shape], np.float32)
        if kind == "cross":
            self.cross[name] = buffer
        else:
            # The past and the present are one buffer: attention appends to it in place.
            self._present[f"present_{rest}"] = buffer
        self._binding.bind_input(name, "cpu", 0, np.float32, buffer.shape, buffer.ctypes.data)


def _log_probability(logits: Buffer, token: int) -> float:
    """Of one token under the softmax of `logits`."""
    largest = logits.max()
    return float(logits[token] - largest - np.log(np.exp(logits - largest).sum()))


def _read_details(directory: Path) -> dict[str, Any]:
    path = directory / DETAILS_NAME
    if not path.is_file():
        raise ModelMissingError(f"no {DETAILS_NAME} in {directory}; run `halfsecond models fetch`")
    try:
        details: dict[str, Any] = json.loads(path.read_bytes())
        return {key: details[key] for key in ("lang_ids", "suppress_ids", "suppress_ids_begin")}
    except (ValueError, KeyError) as error:
        raise ModelCorruptError(f"{path} cannot be read ({error!r})") from error


def _read_tokens(directory: Path) -> dict[str, int]:
    """The special tokens of the tokenizer, by their text."""
    path = directory / "tokenizer.json"
    if not path.is_file():
        raise ModelMissingError(f"no tokenizer.json in {directory}; run `halfsecond models fetch`")
    try:
        added = json.loads(path.read_bytes())["added_tokens"]
        return {token["content"]: int(token["id"]) for token in added}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelCorruptError(f"{path} cannot be read as a tokenizer ({error!r})") from error
