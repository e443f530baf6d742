"""Audio in the one form that the models hear: 16 kHz, mono, float32 in [-1, 1].

Files of any kind become a `Recording`; live PCM of any rate goes through a `LiveResampler`.
"""

from __future__ import annotations

import math
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import AudioError

RATE_HZ = 16_000
"""What Whisper, Silero VAD, Smart Turn and Wav2Lip were trained on."""
FLOOR_DBFS = -120.0
"""What `dbfs` gives for digital silence, so that reports hold no infinities."""
SILENT_DBFS = -60.0
"""A loudest sample below this is a closed microphone: speech across a room peaks above -45."""
CLIPPED_AT = 0.999
CLIPPED_FRACTION = 0.001
"""One sample in a thousand at full scale is heard as distortion; a normalised file has a few."""


@dataclass(frozen=True)
class Level:
    """How loud audio is, measured before it was mixed and resampled."""

    peak_dbfs: float
    rms_dbfs: float
    clipped_fraction: float
    """Samples at full scale, of all samples."""

    @property
    def is_silent(self) -> bool:
        return self.peak_dbfs < SILENT_DBFS

    @property
    def is_clipped(self) -> bool:
        return self.clipped_fraction > CLIPPED_FRACTION


@dataclass(frozen=True)
class Recording:
    """What a file holds, ready for the models, and what it was before."""

    samples: NDArray[np.float32]
    """(n,) mono, 16 kHz, in [-1, 1]."""
    source_rate_hz: int
    source_channels: int
    level: Level

    @property
    def duration_s(self) -> float:
        return len(self.samples) / RATE_HZ

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know before trusting what is heard in it; empty if all is well."""
        found = []
        if self.level.is_silent:
            found.append(
                f"silent: the loudest sample is {self.level.peak_dbfs:.0f} dBFS, and speech is "
                f"above {SILENT_DBFS:.0f}; check that the right microphone is open and not muted"
            )
        if self.level.is_clipped:
            found.append(
                f"clipped: {self.level.clipped_fraction:.1%} of the samples are at full scale; "
                "lower the microphone's gain, words may be misheard"
            )
        return tuple(found)


def load(path: Path) -> Recording:
    """The first audio track of any file that FFmpeg reads (wav, flac, mp3, ogg, m4a, mp4 …).

    Raises:
        AudioError: no such file, not audio, or no samples in it. Silence is no error: see `level`.
    """
    if not path.is_file():
        raise AudioError(f"no audio file at {path}; check the path")
    return decode(str(path), str(path))


def decode(
    source: str | BinaryIO, name: str, *, reader: str | None = None, most_s: float | None = None
) -> Recording:
    """As `load`, of a path or of a file that is open; `name` is what messages call it.

    reader: FFmpeg's name of the format; None lets it find out. most_s: no more is decoded, but for
        a block.
    """
    channels, rate_hz = _decode(source, name, reader, most_s)
    mono = channels.mean(axis=0, dtype=np.float32)
    return Recording(
        samples=resample(mono, from_hz=rate_hz, to_hz=RATE_HZ),
        source_rate_hz=rate_hz,
        source_channels=len(channels),
        level=measure(channels),
    )


def measure(samples: NDArray[np.float32]) -> Level:
    """The level of samples of any shape, full scale being 1.

    Raises:
        AudioError: there are no samples.
    """
    if not samples.size:
        raise AudioError("there are no samples to measure; at least one is needed")
    magnitude = np.abs(samples)
    return Level(
        peak_dbfs=dbfs(float(magnitude.max())),
        rms_dbfs=dbfs(math.sqrt(float(np.mean(np.square(magnitude, dtype=np.float64))))),
        clipped_fraction=float(np.mean(magnitude >= CLIPPED_AT)),
    )


def dbfs(amplitude: float) -> float:
    """Decibels below full scale (1.0) of an amplitude, at least -120."""
    return max(FLOOR_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else FLOOR_DBFS


def resample(samples: NDArray[np.float32], *, from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """The same (n,) signal at another rate, whole; use `LiveResampler` for a stream."""
    import soxr

    if from_hz == to_hz:
        return samples
    resampled: NDArray[np.float32] = soxr.resample(samples, from_hz, to_hz).astype(np.float32)
    return resampled


def pcm16_to_float(pcm: bytes) -> NDArray[np.float32]:
    """Samples in [-1, 1) of little-endian 16-bit PCM; `float_to_pcm16` gives the bytes back.

    Raises:
        AudioError: an odd number of bytes.
    """
    if len(pcm) % 2:
        raise AudioError(f"{len(pcm)} bytes are not 16-bit PCM: an even number is expected")
    samples: NDArray[np.float32] = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    samples /= 32768
    return samples


def float_to_pcm16(samples: NDArray[np.float32]) -> bytes:
    """Little-endian 16-bit PCM, rounded to the nearest step; what is beyond full scale is cut."""
    steps = np.rint(np.asarray(samples, dtype=np.float32) * np.float32(32768))
    pcm: NDArray[np.int16] = np.clip(steps, -32768, 32767).astype("<i2")
    return pcm.tobytes()


def save_wav(path: Path, samples: NDArray[np.float32], *, rate_hz: int = RATE_HZ) -> None:
    """Writes (n,) samples as a 16-bit mono WAV file."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(float_to_pcm16(samples))


class LiveResampler:
    """Turns a stream of 16-bit PCM at any rate into 16 kHz mono, block by block.

    The filter's memory is kept between blocks, and so is half a frame that a block may end with.
    The output lags by a few milliseconds until `flush`.

    Raises:
        AudioError: a rate or a number of channels that no microphone has.
    """

    def __init__(self, *, rate_hz: int, channels: int = 1) -> None:
        import soxr

        if not (4_000 <= rate_hz <= 384_000 and 1 <= channels <= 32):
            raise AudioError(
                f"{rate_hz} Hz with {channels} channels cannot be heard; "
                "4000 to 384000 Hz with 1 to 32 channels can"
            )
        self._channels = channels
        self._rest = b""
        self._stream: Any = None
        if rate_hz != RATE_HZ:
            self._stream = soxr.ResampleStream(rate_hz, RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, pcm: bytes) -> NDArray[np.float32]:
        """The (n,) samples that are complete with this block of interleaved s16le; may be none."""
        pcm = self._rest + pcm
        whole = len(pcm) - len(pcm) % (2 * self._channels)
        self._rest = pcm[whole:]
        frames = pcm16_to_float(pcm[:whole]).reshape(-1, self._channels)
        mono = np.ascontiguousarray(frames.mean(axis=1, dtype=np.float32))
        return self._resample(mono, last=False)

    def flush(self) -> NDArray[np.float32]:
        """What the filter still holds; the stream ends here."""
        return self._resample(np.zeros(0, dtype=np.float32), last=True)

    def _resample(self, mono: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        if self._stream is None:
            return mono
        resampled: NDArray[np.float32] = self._stream.resample_chunk(mono, last)
        return resampled


def _decode(
    source: str | BinaryIO, name: str, reader: str | None, most_s: float | None
) -> tuple[NDArray[np.float32], int]:
    """All samples of the first audio track, (channels, n) float32, and their rate."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(source, format=reader) as container:
            if not container.streams.audio:
                raise AudioError(f"{name} holds no audio track; give a file that does")
            rate_hz = container.streams.audio[0].rate
            blocks = list(_first(_planes(container), rate_hz, most_s))
    except FFmpegError as error:
        raise AudioError(
            f"{name} cannot be read as audio ({error.strerror}); give a whole file in a format "
            "that FFmpeg knows, such as wav, flac, mp3 or ogg"
        ) from error
    if not blocks:
        raise AudioError(f"{name} holds no samples; record it again")
    return np.concatenate(blocks, axis=1), rate_hz


def _first(
    blocks: Iterator[NDArray[np.float32]], rate_hz: int, most_s: float | None
) -> Iterator[NDArray[np.float32]]:
    """The blocks until there are `most_s` of them."""
    count = 0
    for block in blocks:
        yield block
        count += block.shape[1]
        if most_s is not None and count > most_s * rate_hz:
            return


def _planes(container: Any) -> Iterator[NDArray[np.float32]]:
    """The track's samples as blocks of (channels, n) float32."""
    import av

    as_float = av.AudioResampler(format="fltp")
    for frame in container.decode(audio=0):
        for block in as_float.resample(frame):
            yield block.to_ndarray().astype(np.float32, copy=False)
    for block in as_float.resample(None):
        yield block.to_ndarray().astype(np.float32, copy=False)
