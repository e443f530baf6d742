"""Coqui's speaker encoder: the voice of a recording as YourTTS understands it.

Front end and windows: coqui-ai/TTS, `TTS/encoder/models/base_encoder.py`, with torchaudio's
MelSpectrogram (HTK bands without normalisation, power, mirrored ends, a periodic Hamming window).
"""

from __future__ import annotations

import json
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.sessions import Session, open_session
from halfsecond_export.voice.coqui_network import bands_of, read_weights, write_network

NAME = "coqui-resnet"
"""What voiceprints call it."""
_WINDOW_FRAMES = 250
_WINDOWS = 10
_LOG_FLOOR = 1e-6


class _Audio(msgspec.Struct, frozen=True):
    """What of `audio` in the config decides how the encoder hears."""

    sample_rate: int = 16_000
    fft_size: int = 512
    win_length: int = 400
    hop_length: int = 160
    num_mels: int = 64
    preemphasis: float = 0.97


class CoquiEncoder:
    """Turns speech into what a YourTTS takes. One thread at a time."""

    def __init__(self, checkpoint: Path, config: Path) -> None:
        """Reads the checkpoint, `weights_only`, and the config that was published with it.

        Raises:
            ModelMissingError, ModelCorruptError: a file is not there, or cannot be read.
            UnsupportedModelError: another network or another front end than YourTTS's.
        """
        self._audio = _read_config(config)
        weights = read_weights(checkpoint)
        if bands_of(weights) != self._audio.num_mels:
            raise UnsupportedModelError(
                f"{checkpoint} hears {bands_of(weights)} bands and {config} says "
                f"{self._audio.num_mels}; give the config that belongs to it"
            )
        with tempfile.TemporaryDirectory(prefix="halfsecond-") as directory:
            write_network(weights, Path(directory) / "encoder.onnx")
            self._session: Session = open_session(Path(directory) / "encoder.onnx")

    def embed(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """The voice of (n,) mono 16 kHz: the mean over ten windows of 2.5 s, as Coqui takes it."""
        length = min(len(samples), _WINDOW_FRAMES * self._audio.hop_length)
        starts = np.linspace(0, len(samples) - length, num=_WINDOWS).astype(int)
        mels = np.stack([self.mels(samples[start : start + length]) for start in starts])
        (voices,) = self._session.run({"mels": mels}).values()
        return np.asarray(voices.mean(axis=0), np.float32)

    def mels(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """(bands, 1 + n // hop): the logarithm of mel power."""
        made = self._audio
        emphasised = samples - made.preemphasis * np.concatenate([samples[1:2], samples[:-1]])
        padded = np.pad(emphasised, made.fft_size // 2, mode="reflect")
        frames = np.lib.stride_tricks.sliding_window_view(padded, made.fft_size)
        frames = frames[:: made.hop_length] * _window(made.win_length, made.fft_size)
        power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
        bands = power @ _htk_filters(made.num_mels, made.fft_size, made.sample_rate)
        return np.asarray(np.log(bands + _LOG_FLOOR).T, np.float32)


def _read_config(path: Path) -> _Audio:
    if not path.is_file():
        raise ModelMissingError(
            f"no config at {path}; put config_se.json of the checkpoint beside it, or name it "
            "with --encoder-config"
        )
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        network: dict[str, Any] = config["model_params"]
        heard = msgspec.convert(config["audio"], _Audio)
    except (ValueError, KeyError, msgspec.ValidationError) as error:
        raise ModelCorruptError(f"{path} is no config of a speaker encoder ({error})") from error
    wanted = {"model_name": "resnet", "use_torch_spec": True, "log_input": True}
    other = {key: network.get(key) for key, value in wanted.items() if network.get(key) != value}
    if other or heard.sample_rate != audio.RATE_HZ or network.get("encoder_type", "ASP") != "ASP":
        raise UnsupportedModelError(
            f"{path} is of another speaker encoder ({other or heard}); what is read is YourTTS's: "
            f"{wanted}, 16 kHz"
        )
    return heard


@lru_cache(maxsize=2)
def _window(length: int, size: int) -> NDArray[np.float64]:
    """The periodic Hamming window in the middle of `size` samples."""
    phase = 2.0 * np.pi * np.arange(length) / length
    before = (size - length) // 2
    return np.pad(0.54 - 0.46 * np.cos(phase), (before, size - length - before))


@lru_cache(maxsize=2)
def _htk_filters(bands: int, size: int, rate_hz: int) -> NDArray[np.float64]:
    """(size // 2 + 1, bands): triangles of height 1 on HTK's mel scale."""
    highest_mel = 2595.0 * np.log10(1.0 + rate_hz / 2 / 700.0)
    edges_hz = 700.0 * (10.0 ** (np.linspace(0.0, highest_mel, bands + 2) / 2595.0) - 1.0)
    bins_hz = np.linspace(0.0, rate_hz // 2, size // 2 + 1)
    widths_hz = np.diff(edges_hz)
    slopes = edges_hz[None, :] - bins_hz[:, None]
    rising, falling = -slopes[:, :-2] / widths_hz[:-1], slopes[:, 2:] / widths_hz[1:]
    return np.maximum(0.0, np.minimum(rising, falling))
