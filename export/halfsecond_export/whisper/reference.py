"""What an exported Whisper is compared with, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.asr.words import bare
from halfsecond_export.prepare.onnx_whisper import write_pair
from halfsecond_export.prepare.whisper_network import WhisperNetwork
from halfsecond_export.whisper.ctranslate2_model import write_ctranslate2
from halfsecond_export.whisper.parity import Hear, control_check, damaged
from halfsecond_export.whisper.source import WhisperSource

CONTROL_RECORDINGS = 4
LEAST_WORDS = 3
"""A recording of fewer is a cough or a hum, of which every precision makes what it likes."""
MARGIN_S = 1.25
"""Of silence behind an utterance, as the runtime's config has it."""


@dataclass(frozen=True)
class Request:
    """What to export, and where to."""

    source: WhisperSource
    out: Path
    recordings: Sequence[NDArray[np.float32]]
    """Speech to compare on, (n,) mono 16 kHz each."""
    formats: Sequence[str]
    rebuild: str
    """The command that does this again."""
    threads: int = 2


class ReferenceFiles:
    """The exact weights and damaged ones, each written once however many references read them."""

    def __init__(self, request: Request, work: Path) -> None:
        """work: an empty directory."""
        self._request = request
        self._work = work
        self._heard_damaged: dict[int, str] = {}

    @cached_property
    def exact(self) -> Path:
        """The weights for CTranslate2, in float32."""
        directory = self._work / "float32"
        directory.mkdir()
        write_ctranslate2(self._request.source, directory, quantization="float32")
        return directory

    @cached_property
    def _damaged(self) -> Path:
        directory = self._work / "damaged"
        directory.mkdir()
        source = self._request.source
        write_onnx(source, damaged(source.network), directory, "float32")
        return directory

    def heard_damaged(self, recordings: Sequence[NDArray[np.float32]]) -> Hear:
        """What the damaged weights make of these recordings; each is heard once."""
        if new := [samples for samples in recordings if id(samples) not in self._heard_damaged]:
            whisper = Whisper(self._damaged, threads=self._request.threads)
            hear = words_of(whisper)
            self._heard_damaged |= {id(samples): hear(samples) for samples in new}
            whisper.close()
        return lambda samples: self._heard_damaged[id(samples)]


class Reference:
    """What the weights say: CTranslate2 in float32, which is none of our own graphs."""

    def __init__(
        self, request: Request, files: ReferenceFiles, *, margin_s: float = MARGIN_S
    ) -> None:
        """margin_s: of silence behind an utterance; 30 is Whisper's own.

        Raises ConfigError where no recording holds speech.
        """
        self._whisper = Whisper(
            files.exact, compute_type="float32", threads=request.threads, margin_s=margin_s
        )
        self._heard: dict[int, str] = {}
        self.recordings = [r for r in request.recordings if self._is_speech(r)]
        """Of the request's, those in which a sentence is heard."""
        if not self.recordings:
            raise ConfigError(
                f"in none of {len(request.recordings)} recordings are {LEAST_WORDS} words heard; "
                "give a folder of speech in the model's language with --speech"
            )
        # A few will do: a damaged decoder runs on and on.
        few = self.recordings[:CONTROL_RECORDINGS]
        self.control = control_check(self.hear, files.heard_damaged(few), few)

    def hear(self, samples: NDArray[np.float32]) -> str:
        """The words, asked for once a recording."""
        key = id(samples)
        if key not in self._heard:
            self._heard[key] = words_of(self._whisper)(samples)
        return self._heard[key]

    def _is_speech(self, samples: NDArray[np.float32]) -> bool:
        return len(bare(self.hear(samples)).split()) >= LEAST_WORDS

    def close(self) -> None:
        self._whisper.close()


def details(network: WhisperNetwork) -> dict[str, str | int | float]:
    """The sizes of the network, for a manifest."""
    return {
        "width": network.width,
        "heads": network.heads,
        "encoder_layers": len(network.encoder_layers),
        "decoder_layers": len(network.decoder_layers),
        "vocabulary": len(network.embeddings),
        "mels": network.mels,
    }


def write_onnx(
    source: WhisperSource, network: WhisperNetwork, directory: Path, quantization: str
) -> None:
    """Leaves a pair for ONNX Runtime in an empty directory."""
    config = source.decoding.as_config()
    write_pair(network, config, source.tokenizer, directory, quantization=quantization)


def words_of(whisper: Whisper) -> Hear:
    """Its words, in the language that it detects."""
    return lambda samples: whisper.transcribe(samples).text
