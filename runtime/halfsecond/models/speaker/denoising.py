"""What takes the noise out of a reference recording before a voice is heard in it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import ConfigError
from halfsecond.models.echo.aec3 import import_rtc, is_installed

_FRAME_SAMPLES = 160
"""10 ms, the only length that WebRTC's module takes."""


class Denoiser(Protocol):
    """Cleans a whole recording."""

    @property
    def name(self) -> str:
        """What a voiceprint says of it; empty for none."""
        ...

    def clean(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """As many samples, mono 16 kHz, without steady noise."""
        ...


class RnNoiseDenoiser:
    """RNNoise (Valin 2018), a small recurrent network, from the package `pyrnnoise`.

    Raises:
        ConfigError: the package is not installed.
    """

    name = "rnnoise"

    def __init__(self) -> None:
        try:
            self._library: Any = importlib.import_module("pyrnnoise.rnnoise")
        except (ImportError, OSError) as error:
            raise ConfigError(
                f"RNNoise needs the package pyrnnoise ({error}); run "
                '`pip install "halfsecond[voice]"`, or give --denoiser none'
            ) from error

    def clean(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """RNNoise hears 48 kHz, 10 ms at a time."""
        rate_hz, size = self._library.SAMPLE_RATE, self._library.FRAME_SIZE
        sound = audio.resample(samples, from_hz=audio.RATE_HZ, to_hz=rate_hz)
        frames = np.clip(np.pad(sound, (0, -len(sound) % size)), -1.0, 1.0).reshape(-1, size)
        state = self._library.create()
        try:
            cleaned = [self._library.process_mono_frame(state, frame)[0] for frame in frames]
        finally:
            self._library.destroy(state)
        steps = np.concatenate(cleaned).astype("<i2").tobytes()
        heard = audio.resample(audio.pcm16_to_float(steps), from_hz=rate_hz, to_hz=audio.RATE_HZ)
        return np.pad(heard, (0, max(0, len(samples) - len(heard))))[: len(samples)]


class WebRtcDenoiser:
    """WebRTC's noise suppressor, from the package that cancels echoes, too.

    Raises:
        ConfigError: the `livekit` package is not installed.
    """

    name = "webrtc"

    def __init__(self) -> None:
        self._rtc = import_rtc()

    def clean(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The noise is learnt from the recording itself, which is heard twice for it."""
        module = self._rtc.AudioProcessingModule(noise_suppression=True, high_pass_filter=True)
        self._process(module, samples)
        return self._process(module, samples)

    def _process(self, module: Any, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        padded = np.pad(samples, (0, -len(samples) % _FRAME_SAMPLES))
        cleaned = []
        for frame in padded.reshape(-1, _FRAME_SAMPLES):
            pcm = bytearray(audio.float_to_pcm16(frame))
            heard = self._rtc.AudioFrame(pcm, audio.RATE_HZ, 1, _FRAME_SAMPLES)
            module.process_stream(heard)
            cleaned.append(audio.pcm16_to_float(bytes(heard.data)))
        return np.concatenate(cleaned)[: len(samples)]


class NoDenoiser:
    """Leaves a recording as it is."""

    name = ""

    def clean(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        return samples


DENOISERS: dict[str, Callable[[], Denoiser]] = {
    "rnnoise": RnNoiseDenoiser,
    "webrtc": WebRtcDenoiser,
    "none": NoDenoiser,
}


def open_denoiser(kind: str) -> Denoiser:
    """A denoiser by its name; "auto" takes the first of `DENOISERS` that is installed.

    Raises:
        ConfigError: no such denoiser, or its package is not installed.
    """
    name = _installed() if kind == "auto" else kind
    if name not in DENOISERS:
        raise ConfigError(f'there is no denoiser "{kind}"; there are auto, {", ".join(DENOISERS)}')
    return DENOISERS[name]()


def _installed() -> str:
    if importlib.util.find_spec("pyrnnoise") is not None:
        return "rnnoise"
    return "webrtc" if is_installed() else "none"
