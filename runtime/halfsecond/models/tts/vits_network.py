"""The two networks of an exported VITS: text to latent frames, and frames to samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import MANIFEST_NAME, read_artifact
from halfsecond.engine_library import LIBRARIES
from halfsecond.errors import ModelCorruptError
from halfsecond.models.tts.vits_config import BACK_NAME, FRONT_NAME, VitsConfig
from halfsecond.models.tts.windows import Window
from halfsecond.sessions import Device, Session, open_session

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
    """The front on the CPU, the back where it runs best. One thread at a time."""

    def __init__(
        self,
        directory: Path,
        config: VitsConfig,
        *,
        threads: int = 1,
        device: Device = "cpu",
    ) -> None:
        """directory: of `halfsecond export tts`, or of the engine that was built from its back.

        Raises what `open_session` raises.
        """
        self._config = config
        self._front: Session = open_session(directory / FRONT_NAME, threads=threads)
        self._back: Session = open_session(
            back_path(directory), threads=threads, device=device, priority="high"
        )
        self._wanted = {each.name for each in self._front.inputs}
        given = {each.name for each in self._front.outputs}
        if ("speaker" in given) != ("speaker" in {each.name for each in self._back.inputs}):
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
        results = self._front.run(feeds)
        mean, spread = results["mean"], results["spread"]
        latent = mean + rng.standard_normal(mean.shape, np.float32) * spread
        speaker_vector = results["speaker"].copy() if "speaker" in results else None
        return Frames(latent, results["durations"].reshape(-1).copy(), speaker_vector)

    def sound(self, frames: Frames, window: Window | None = None) -> Samples:
        """The samples of a window, or of the whole utterance, at the voice's own rate."""
        window = window or Window(0, 0, frames.count, frames.count)
        part = frames.latent[:, :, window.start : window.end]
        feeds: dict[str, Any] = {"latent": np.ascontiguousarray(part)}
        if frames.speaker is not None:
            feeds["speaker"] = frames.speaker
        samples = self._back.run(feeds)["audio"].reshape(-1)
        hop = self._config.hop_samples
        wanted = slice((window.first - window.start) * hop, (window.last - window.start) * hop)
        return np.array(samples[wanted], np.float32)

    def close(self) -> None:
        """Frees both; nothing can be spoken afterwards."""
        self._front.close()
        self._back.close()


def back_path(directory: Path) -> Path:
    """What runs a voice's back: its file, or the directory itself where that is an engine's."""
    if not (directory / MANIFEST_NAME).is_file():
        return directory / BACK_NAME
    return directory if read_artifact(directory).runtime in LIBRARIES else directory / BACK_NAME
