"""Whisper's networks on CTranslate2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, ModelMissingError
from halfsecond.models.asr.network import Decoded, ShouldStop, StoppedError, never
from halfsecond.models.ctranslate2_device import ctranslate2_device
from halfsecond.sessions import Device


class Ctranslate2Network:
    """A `WhisperNetwork` from `model.bin` and its config.

    A call cannot be stopped once it runs.

    Raises ModelMissingError, ModelCorruptError or NoGpuError.
    """

    def __init__(
        self, directory: Path, *, threads: int, compute_type: str, device: Device, beam_size: int
    ) -> None:
        self._model = _open_model(
            directory, threads=threads, compute_type=compute_type, device=device
        )
        self._beam_size = beam_size
        self._silence = np.zeros((1, 0, 0), np.float32)
        self._heard: Any = None

    @property
    def mels(self) -> int:
        return int(self._model.n_mels)

    @property
    def is_multilingual(self) -> bool:
        return bool(self._model.is_multilingual)

    def learn_silence(self, mel: NDArray[np.float32]) -> None:
        self._silence = self._encode(mel)

    def listen(self, mel: NDArray[np.float32]) -> None:
        import ctranslate2

        heard = self._encode(mel)
        whole = np.concatenate([heard, self._silence[:, heard.shape[1] :]], axis=1)
        self._heard = ctranslate2.StorageView.from_array(np.ascontiguousarray(whole))

    def detect(self) -> str:
        token, _ = self._model.detect_language(self._heard)[0][0]
        return str(token).strip("<|>")

    def decode(
        self,
        prompt: Sequence[int],
        known: Sequence[int] = (),
        *,
        most_tokens: int,
        should_stop: ShouldStop = never,
    ) -> Decoded:
        if should_stop():
            raise StoppedError
        start = [*prompt, *known]
        result = self._model.generate(
            self._heard,
            [start],
            beam_size=self._beam_size,
            # CTranslate2 decodes at most half of max_length, as Whisper does of its 448 positions,
            # and takes what it starts from off it.
            max_length=min(448, max(2 * most_tokens, len(start) + most_tokens)),
            suppress_blank=not known,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        heard = list(result.sequences_ids[0])  # the known tokens come first
        return Decoded(
            tokens=heard[len(known) :],
            # The score is the mean over these tokens, though the end of text counts in the sum.
            log_probability=float(result.scores[0]) * len(heard),
            no_speech_probability=float(result.no_speech_prob),
        )

    def align(self, start: Sequence[int], tokens: Sequence[int], positions: int) -> list[int]:
        path = self._model.align(self._heard, list(start), [list(tokens)], 2 * positions)
        begins = dict(reversed(path[0].alignments))
        return [begins.get(token, 0) for token in range(len(tokens))]

    def close(self) -> None:
        self._model.unload_model()

    def _encode(self, mel: NDArray[np.float32]) -> NDArray[Any]:
        """The encoder's output, (1, 50 a second, width)."""
        import ctranslate2

        features = ctranslate2.StorageView.from_array(np.ascontiguousarray(mel[None]))
        return np.array(self._model.encode(features, to_cpu=True))


def _open_model(directory: Path, *, threads: int, compute_type: str, device: Device) -> Any:
    import ctranslate2

    for name in ("model.bin", "config.json", "tokenizer.json"):
        if not (directory / name).is_file():
            raise ModelMissingError(f"no {name} in {directory}; run `halfsecond models fetch`")
    where, arithmetic = ctranslate2_device(
        directory, device, compute_type=compute_type, on_cpu="int8"
    )
    try:
        return ctranslate2.models.Whisper(
            str(directory), device=where, compute_type=arithmetic, intra_threads=threads
        )
    except (RuntimeError, ValueError) as error:
        raise ModelCorruptError(
            f"{directory} cannot be read as a Whisper model ({error}); "
            "run `halfsecond models verify`, then `halfsecond models fetch`"
        ) from error
