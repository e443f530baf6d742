"""The microphone of this machine, as blocks of 16 kHz audio.

The package that reads it (sounddevice) needs a system library, so both are looked for only when a
microphone is opened.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import LiveResampler
from halfsecond.errors import AudioError

BLOCK_MS = 32
"""One window of the voice activity detector; longer blocks add their length to every wait."""


def open_microphone(device: int | str | None = None) -> Iterator[NDArray[np.float32]]:
    """Blocks of 16 kHz mono samples, for as long as the caller takes them.

    device: a number or a part of a name, as sounddevice lists them; None is the system's default.
    Closing the generator closes the microphone.

    Raises:
        AudioError: no sounddevice, no PortAudio, no such device, or one that stopped.
    """
    sounddevice = _import_sounddevice()
    try:
        rate_hz = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        stream = sounddevice.RawInputStream(
            samplerate=rate_hz, device=device, channels=1, dtype="int16", latency="low"
        )
    except (sounddevice.PortAudioError, ValueError) as error:
        wanted = "default microphone" if device is None else f"microphone {device!r}"
        raise AudioError(
            f"the {wanted} cannot be opened ({error}); `python -m sounddevice` lists the devices"
        ) from error
    return _blocks(stream, rate_hz, sounddevice.PortAudioError)


def _blocks(stream: Any, rate_hz: int, failure: type[Exception]) -> Iterator[NDArray[np.float32]]:
    resampler = LiveResampler(rate_hz=rate_hz)
    frames = rate_hz * BLOCK_MS // 1000
    try:
        with stream:
            while True:
                pcm, _ = stream.read(frames)
                yield resampler.push(bytes(pcm))
    except failure as error:
        raise AudioError(
            f"the microphone stopped ({error}); check that it is still plugged in"
        ) from error


def _import_sounddevice() -> Any:
    try:
        return importlib.import_module("sounddevice")
    except ImportError as error:
        raise AudioError(
            "sounddevice is not installed, and a microphone needs it; "
            "run `pip install 'halfsecond[mic]'`"
        ) from error
    except OSError as error:
        raise AudioError(
            f"PortAudio is not there ({error}), and a microphone needs it; "
            "run `apt install libportaudio2`"
        ) from error
