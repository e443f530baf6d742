"""Greedy decoding over Whisper's encoder and decoder as two networks.

On ONNX Runtime's CPU it takes half the time of CTranslate2 for a short question.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.models.asr.alignment import token_starts
from halfsecond.models.asr.network import (
    CAPACITY,
    MULTILINGUAL_VOCABULARY,
    Decoded,
    ShouldStop,
    StoppedError,
    never,
)
from halfsecond.models.asr.pair import Logits, WhisperPair, is_in_parts, text_directory
from halfsecond.models.asr.portable_pair import PortablePair
from halfsecond.models.asr.runtime_pair import RuntimePair
from halfsecond.sessions import Device

DETAILS_NAME = "whisper.json"


class OnnxNetwork:
    """A `WhisperNetwork` from an encoder and a decoder, as `halfsecond_export` writes them.

    Raises ModelError, and ConfigError for a device that does not run these networks.
    """

    def __init__(self, directory: Path, *, threads: int, device: Device = "cpu") -> None:
        """directory: two files and `whisper.json` for the CPU, or a pair in parts for any device
        (see `is_in_parts`)."""
        details = _read_details(text_directory(directory))
        self._tokens = _read_tokens(text_directory(directory))
        self._languages = {number: code for code, number in self._tokens.items()}
        self._language_tokens = [int(token) for token in details["lang_ids"]]
        self._start = self._token("<|startoftranscript|>")
        self._end = self._token("<|endoftext|>")
        self._no_times = self._token("<|notimestamps|>")
        self._no_speech = self._no_times - 1  # its name differs between models, its place does not
        self._pair = _open_pair(directory, threads=threads, device=device)
        self._suppressed = np.array(details["suppress_ids"], np.int64)
        self._suppressed_first = np.array(details["suppress_ids_begin"], np.int64)

    @property
    def mels(self) -> int:
        return self._pair.mels

    @property
    def is_multilingual(self) -> bool:
        return self._pair.vocabulary >= MULTILINGUAL_VOCABULARY

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        self._pair.learn_silence(mel)

    def listen(self, mel: NDArray[np.float32]) -> None:
        self._pair.listen(mel)

    def detect(self) -> str:
        logits = self._pair.write([self._start], at=0, rows=[0])[0]
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
        first, logits = self._pair.write(start, at=0, rows=rows)
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
            (logits,) = self._pair.write([token], at=len(start) + len(tokens) - 1, rows=[0])
        return Decoded(tokens, total, no_speech)

    def align(self, start: Sequence[int], tokens: Sequence[int], positions: int) -> list[int]:
        whole = [*start, self._no_times, *tokens][:CAPACITY]
        looks = self._pair.looks(whole, positions)
        # Where the decoder looked to write a token is a matter of the one before it.
        starts = token_starts(looks[:, len(start) :])
        return (starts + [max(positions - 1, 0)] * len(tokens))[: len(tokens)]

    def close(self) -> None:
        self._pair.close()

    def _token(self, text: str) -> int:
        number = self._tokens.get(text)
        if number is None:
            raise ModelCorruptError(f"the tokenizer has no {text}: this is not a Whisper model")
        return number


def _open_pair(directory: Path, *, threads: int, device: Device) -> WhisperPair:
    if is_in_parts(directory):
        return PortablePair(directory, threads=threads, device=device)
    if device == "cuda":
        raise ConfigError(
            f"{directory.name} is written in INT8 operators of the CPU and does not run on a GPU; "
            "take a Whisper for CTranslate2, or the portable-fp16 of `halfsecond export whisper`"
        )
    return RuntimePair(directory, threads=threads)


def _log_probability(logits: Logits, token: int) -> float:
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
