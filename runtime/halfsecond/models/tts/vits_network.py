"""The two networks of an exported VITS: text to latent frames, and frames to samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError
from halfsecond.models.sessions import Session, open_session
from halfsecond.models.tts.vits_config import BACK_NAME, FRONT_NAME, VitsConfig
from halfsecond.models.tts.windows import Window

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """An utterance before it is sound."""

    latent: NDArray[np.float32]
    """(1, C, F), its noise drawn: windows of it give what the whole gives."""
    durations: NDArray[np.float32]
    """(T,) frames of each number that was spelled."""
    speaker: NDArray[np.float32] | None
    """(1, S, 1), what the back wants to know of the speaker."""

    @property
    def count(self) -> int:
        return int(self.latent.shape[2])


class VitsNetwork:
    """Both halves on ONNX Runtime's CPU kernels. One thread at a time."""

    def __init__(self, directory: Path, config: VitsConfig, *, threads: int = 1) -> None:
        """Raises ModelMissingError or ModelCorruptError."""
        self._config = config
        self._front: Session = open_session(directory / FRONT_NAME, threads=threads)
        self._back: Session = open_session(directory / BACK_NAME, threads=threads)
        self._wanted = {each.name for each in self._front.get_inputs()}
        self._given = [each.name for each in self._front.get_outputs()]
        self._takes_speaker = "speaker" in {each.name for each in self._back.get_inputs()}
        if self._takes_speaker != ("speaker" in self._given):
            raise ModelCorruptError(
                f"{FRONT_NAME} and {BACK_NAME} in {directory} do not belong together; export the "
                "voice anew"
            )

    def frames(
        self,
        ids: tuple[int, ...],
        *,
        rng: np.random.Generator,
        speed: float = 1.0,
        speaker: int = 0,
        language: int = 0,
        voiceprint: NDArray[np.float32] | None = None,
    ) -> Frames:
        """The latent frames of an utterance.

        rng: of the noise in durations and sound; the same gives the same.
        voiceprint: (n,) numbers, for a voice that wants one.
        """
        config = self._config
        scales = (config.noise_scale, config.length_scale / speed, config.duration_noise_scale)
        noise = rng.standard_normal((1, 2, len(ids)), np.float32)
        feeds: dict[str, Any] = {
            "symbols": np.array([ids], np.int64),
            "scales": np.array(scales, np.float32),
            "duration_noise": noise,
            "speaker_id": np.array([speaker], np.int64),
            "language_id": np.array([language], np.int64),
        }
        if voiceprint is not None:
            feeds["voiceprint"] = voiceprint[None].astype(np.float32)
        feeds = {name: value for name, value in feeds.items() if name in self._wanted}
        results = dict(zip(self._given, self._front.run(None, feeds), strict=True))
        mean, spread = results["mean"], results["spread"]
        latent = mean + rng.standard_normal(mean.shape, np.float32) * spread
        return Frames(latent, results["durations"].reshape(-1), results.get("speaker"))

    def sound(self, frames: Frames, window: Window | None = None) -> Samples:
        """The samples of a window, or of the whole utterance, at the voice's own rate."""
        window = window or Window(0, 0, frames.count, frames.count)
        feeds: dict[str, Any] = {"latent": frames.latent[:, :, window.start : window.end]}
        if frames.speaker is not None:
            feeds["speaker"] = frames.speaker
        samples: Samples = self._back.run(None, feeds)[0].reshape(-1)
        hop = self._config.hop_samples
        return samples[(window.first - window.start) * hop : (window.last - window.start) * hop]
