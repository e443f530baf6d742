"""The microphone, with a stand-in for the package that reads it."""

from __future__ import annotations

import builtins
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from halfsecond.errors import AudioError
from halfsecond.microphone import open_microphone


class PortAudioError(Exception):
    """What sounddevice raises."""


class FakeStream:
    def __init__(self, **_: Any) -> None:
        self.reads = 0
        self.is_open = False

    def __enter__(self) -> FakeStream:
        self.is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open = False

    def read(self, frames: int) -> tuple[bytes, bool]:
        self.reads += 1
        if self.reads > 3:
            raise PortAudioError("unplugged")
        return np.full(frames, 16384, "<i2").tobytes(), False


def fake_sounddevice(rate_hz: float, stream: FakeStream) -> SimpleNamespace:
    def query_devices(device: object, _: str) -> dict[str, float]:
        if device == "nowhere":
            raise ValueError("No input device matching 'nowhere'")
        return {"default_samplerate": rate_hz}

    return SimpleNamespace(
        query_devices=query_devices,
        PortAudioError=PortAudioError,
        RawInputStream=lambda **_: stream,
    )


def test_blocks_of_a_48_khz_microphone_are_16_khz(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = FakeStream()
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(48_000.0, stream))
    blocks = open_microphone()
    heard = np.concatenate([next(blocks) for _ in range(3)])
    assert 0.6 * 3 * 512 < len(heard) <= 3 * 512
    assert heard[len(heard) // 2] == pytest.approx(0.5, abs=0.01)
    assert stream.is_open
    with pytest.raises(AudioError, match=r"stopped \(unplugged\)"):
        next(blocks)
    assert not stream.is_open


def test_an_unknown_device_is_refused_with_the_command_that_lists_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", fake_sounddevice(16_000.0, FakeStream()))
    with pytest.raises(AudioError, match=r"'nowhere'.*python -m sounddevice"):
        open_microphone("nowhere")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ImportError("no module"), r"pip install 'halfsecond\[mic\]'"),
        (OSError("PortAudio library not found"), "apt install libportaudio2"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    genuine = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name == "sounddevice":
            raise error
        return genuine(name, *rest, **more)

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr("halfsecond.microphone.importlib.import_module", refuse)
    with pytest.raises(AudioError, match=remedy):
        open_microphone()
