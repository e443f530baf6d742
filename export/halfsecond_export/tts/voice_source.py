"""A voice as it was read: two networks, what it says of itself, and its source to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.tts.vits_config import VitsConfig

Array = NDArray[Any]
Samples = NDArray[np.float32]


class Reference(Protocol):
    """The source, whole and uncut."""

    def sound(self, feeds: dict[str, Array]) -> Samples:
        """The samples of an utterance.

        feeds: `symbols` (1, T), `scales` (3,), `duration_noise` (1, 2, T), `noise` (1, C, F), and
        `speaker_id`, `language_id` (1,) or `voiceprint` (1, n) where the voice takes them.
        """
        ...


@dataclass(frozen=True)
class VoiceSource:
    """What an exporter needs of a voice.

    config: its hop, channels and context are still 0. front, back: ONNX models in float32.
    files: what it was read from. family: for people.
    """

    config: VitsConfig
    front: Any
    back: Any
    reference: Reference
    files: tuple[Path, ...]
    family: str


class WholeGraph:
    """A voice that is an ONNX graph already, run as it is but for its random draws."""

    def __init__(self, model: Any) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.log_severity_level = 4
        self._session: Any = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._wanted = {each.name for each in self._session.get_inputs()}

    def sound(self, feeds: dict[str, Array]) -> Samples:
        """See `Reference`."""
        taken = {name: value for name, value in feeds.items() if name in self._wanted}
        samples: Samples = self._session.run(["audio"], taken)[0].reshape(-1)
        return samples
