"""WebRTC's echo canceller (AEC3), from the `livekit` package, with a guard behind it.

The package is a whole WebRTC; of it only the audio processing module is used. That opens no socket
and no device, and works without a network.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import float_to_pcm16, pcm16_to_float
from halfsecond.errors import AudioError, ConfigError
from halfsecond.models.echo.canceller import RATE_HZ, Cleaned
from halfsecond.models.echo.guard import EchoGuard

FRAME_SAMPLES = 160
"""10 ms, the only length that the module takes; it ends the process over any other."""
LATENCY_SAMPLES = 128
"""What the module is behind by: two of its blocks of 64."""


class Aec3:
    """10 ms of microphone and loudspeaker in, 10 ms without echo out, 8 ms later.

    Noise suppression and gain control are off: they change what the recogniser hears. The module
    takes away what lies below some 50 Hz.

    Raises:
        ConfigError: the `livekit` package is not installed.
    """

    def __init__(self) -> None:
        self._rtc = import_rtc()
        self._module = self._rtc.AudioProcessingModule(echo_cancellation=True)

    def process(
        self, microphone: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(160,) each."""
        self._module.process_reverse_stream(self._frame(reference))
        heard = self._frame(microphone)
        self._module.process_stream(heard)
        return pcm16_to_float(bytes(heard.data))

    def _frame(self, samples: NDArray[np.float32]) -> Any:
        if samples.shape != (FRAME_SAMPLES,):
            raise AudioError(f"a frame has {FRAME_SAMPLES} samples, this one {samples.shape}")
        pcm = bytearray(float_to_pcm16(samples))
        return self._rtc.AudioFrame(pcm, RATE_HZ, 1, FRAME_SAMPLES)


class Aec3Canceller:
    """AEC3 for blocks of any length, its rests of echo kept from whatever decides who speaks.

    guard: takes every frame before and after AEC3; see `EchoGuard`.
    """

    name = "aec3"

    def __init__(self, aec3: Aec3, guard: EchoGuard) -> None:
        self._aec3 = aec3
        self._guard = guard
        self._delayed = np.zeros(LATENCY_SAMPLES, np.float32)
        self._waiting = np.zeros((2, 0), np.float32)
        self._ready = np.zeros((2, 0), np.float32)
        self._filled = 0

    @property
    def latency_samples(self) -> int:
        """8 ms, and 10 ms more for blocks that are no multiple of 10 ms."""
        return LATENCY_SAMPLES + self._filled

    def process(self, microphone: NDArray[np.float32], reference: NDArray[np.float32]) -> Cleaned:
        if microphone.shape != reference.shape or microphone.ndim != 1:
            raise AudioError(
                f"microphone {microphone.shape} and reference {reference.shape}: "
                "one channel of the same length is expected"
            )
        both = np.concatenate([self._waiting, np.stack([microphone, reference])], axis=1)
        whole = both.shape[1] // FRAME_SAMPLES * FRAME_SAMPLES
        self._waiting = both[:, whole:]
        cleaned = [self._ready]
        cleaned += [
            self._process_frame(*both[:, start : start + FRAME_SAMPLES])
            for start in range(0, whole, FRAME_SAMPLES)
        ]
        return self._hand_out(np.concatenate(cleaned, axis=1), len(microphone))

    def _process_frame(
        self, microphone: NDArray[np.float32], reference: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(2, 160): for the recogniser, and for the decision who speaks."""
        delayed = np.concatenate([self._delayed, microphone])
        self._delayed = delayed[FRAME_SAMPLES:]
        cleaned = self._aec3.process(microphone, reference)
        self._guard.push(microphone, reference)
        return np.stack(self._guard.judge(delayed[:FRAME_SAMPLES], cleaned))

    def _hand_out(self, ready: NDArray[np.float32], n_samples: int) -> Cleaned:
        """As many as came in. Where a frame is not full in time, all are put off by one, once."""
        if ready.shape[1] < n_samples:
            self._filled = FRAME_SAMPLES - 1
            ready = np.concatenate([np.zeros((2, self._filled), np.float32), ready], axis=1)
        self._ready = ready[:, n_samples:]
        return Cleaned(ready[0, :n_samples], ready[1, :n_samples])


def open_aec3() -> Aec3Canceller:
    """The canceller of one microphone stream; raises ConfigError without the package."""
    return Aec3Canceller(Aec3(), EchoGuard())


def is_installed() -> bool:
    """Whether the package is there; loads nothing of it."""
    try:
        return importlib.util.find_spec("livekit.rtc") is not None
    except ModuleNotFoundError:  # not even `livekit`, which other packages share
        return False


def import_rtc() -> Any:
    """The package's module with the audio processing; raises ConfigError where it is not there."""
    try:
        rtc = importlib.import_module("livekit.rtc")
    except (ImportError, OSError) as error:
        raise ConfigError(
            f"echo cancellation needs the livekit package ({error}); run "
            '`pip install "halfsecond[aec]"`, or set [echo] kind = "none"'
        ) from error
    _keep_log_in_library(importlib.import_module("livekit.rtc._ffi_client"))
    return rtc


@functools.cache  # once, not for every visitor
def _keep_log_in_library(ffi_client: Any) -> None:
    """The library's log goes to stderr (errors only), not through Python.

    As the package starts it, each record comes to Python on a thread of the library, the one that
    is written while the process ends too. Where that one finds the interpreter gone, the thread is
    ended in the middle of Rust code, and that aborts the process: once in some hundred exits.
    """
    client = ffi_client.FfiClient.instance
    client._ffi_lib.livekit_ffi_initialize(
        ffi_client.ffi_event_callback, False, b"python", ffi_client.__version__.encode("ascii")
    )
