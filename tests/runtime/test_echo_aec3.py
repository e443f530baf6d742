"""WebRTC's canceller as the session uses it; needs its package, no model."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.errors import AudioError, ConfigError
from halfsecond.models.echo.aec3 import Aec3, open_aec3
from halfsecond.models.echo.canceller import EchoCanceller, NoCanceller
from halfsecond.models.echo.registry import chosen, open_canceller

RATE_HZ = 16_000

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("livekit") is None, reason="pip install 'halfsecond[aec]'"
)


def syllables(length_s: float, *, seed: int, level: float = 0.1) -> NDArray[np.float32]:
    """Noise that comes and goes four times a second."""
    at_s = np.arange(int(length_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(seed).normal(0, level, len(at_s))
    return (noise * (0.5 + 0.5 * np.sin(2 * np.pi * 4 * at_s))).astype(np.float32)


def run(
    canceller: EchoCanceller,
    microphone: NDArray[np.float32],
    played: NDArray[np.float32],
    *,
    block: int = 320,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    samples, audible = [], []
    for start in range(0, len(played), block):
        piece = slice(start, start + block)
        cleaned = canceller.process(microphone[piece], played[piece])
        assert len(cleaned.samples) == len(cleaned.audible) == len(played[piece])
        samples.append(cleaned.samples)
        audible.append(cleaned.audible)
    return np.concatenate(samples), np.concatenate(audible)


def level_db(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12))


@needs_package
@pytest.mark.parametrize(
    ("block", "latency"), [(160, 128), (320, 128), (512, 287), (333, 287), (1600, 128)]
)
def test_a_quiet_loudspeaker_leaves_the_microphone_as_it_is_but_later(
    block: int, latency: int
) -> None:
    canceller = open_aec3()
    visitor = syllables(3.0, seed=1)
    heard, audible = run(canceller, visitor, np.zeros_like(visitor), block=block)
    assert canceller.latency_samples == latency
    late = heard[RATE_HZ + latency :]
    alike = np.corrcoef(late, visitor[RATE_HZ : RATE_HZ + len(late)])[0, 1]
    assert alike > 0.9
    np.testing.assert_array_equal(heard, audible)


@needs_package
def test_an_echo_is_taken_out_by_more_than_20_db_and_none_of_it_is_audible() -> None:
    played = syllables(6.0, seed=1)
    echo = np.float32(0.3) * np.concatenate([np.zeros(640, np.float32), played])[: len(played)]
    heard, audible = run(open_aec3(), echo, played)
    last = slice(4 * RATE_HZ, None)
    assert level_db(echo[last]) - level_db(heard[last]) > 20
    assert not audible.any()


@needs_package
def test_a_visitor_over_the_answer_stays() -> None:
    played = syllables(6.0, seed=1)
    echo = np.float32(0.3) * np.concatenate([np.zeros(640, np.float32), played])[: len(played)]
    visitor = syllables(6.0, seed=2)
    visitor[: 4 * RATE_HZ] = 0
    heard, audible = run(open_aec3(), echo + visitor, played)
    assert not audible[: 4 * RATE_HZ].any()
    late = slice(4 * RATE_HZ + 128, None)
    alike = np.corrcoef(heard[late], visitor[4 * RATE_HZ : -128])[0, 1]
    assert alike > 0.8
    assert np.mean(audible[late] != 0) > 0.9


@needs_package
def test_without_a_reference_the_echo_stays() -> None:
    """Seeds the fault that the tests above guard against."""
    played = syllables(6.0, seed=1)
    heard, audible = run(open_aec3(), 0.3 * played, np.zeros_like(played))
    assert level_db(0.3 * played) - level_db(heard) < 1
    assert audible.any()


@needs_package
def test_blocks_that_do_not_fit_are_refused_before_they_reach_the_package() -> None:
    canceller = open_aec3()
    with pytest.raises(AudioError, match="same length"):
        canceller.process(np.zeros(320, np.float32), np.zeros(160, np.float32))
    with pytest.raises(AudioError, match="one channel"):
        canceller.process(np.zeros((2, 160), np.float32), np.zeros((2, 160), np.float32))
    with pytest.raises(AudioError, match="160"):  # over which the package would end the process
        Aec3().process(np.zeros(159, np.float32), np.zeros(159, np.float32))


@needs_package
def test_the_package_opens_no_connection_and_says_nothing() -> None:
    program = """
import os, numpy as np
from halfsecond.models.echo.aec3 import open_aec3
canceller = open_aec3()
for _ in range(50):
    canceller.process(np.zeros(320, np.float32), np.zeros(320, np.float32))
links = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")
         if os.path.islink(f"/proc/self/fd/{name}")]
sockets = {link[8:-1] for link in links if link.startswith("socket:")}
for table in ("tcp", "tcp6", "udp", "udp6"):
    for line in open(f"/proc/self/net/{table}").readlines()[1:]:
        assert line.split()[9] not in sockets, line
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_package
def test_no_record_of_the_librarys_log_reaches_python() -> None:
    """One on its way while the interpreter ends would abort the process."""
    program = """
import ctypes, logging, time
from halfsecond.models.echo.aec3 import open_aec3
open_aec3()
from livekit.rtc._ffi_client import FfiClient
time.sleep(0.5)  # the records of the start, which only appear where a program asks for them
logging.basicConfig(level=0, format="PYTHON %(message)s")
answer, length = ctypes.POINTER(ctypes.c_ubyte)(), ctypes.c_size_t()
FfiClient.instance._ffi_lib.livekit_ffi_request(
    (ctypes.c_ubyte * 2)(255, 255), 2, ctypes.byref(answer), ctypes.byref(length))
time.sleep(0.5)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0
    assert "failed to decode request" in done.stderr
    assert "PYTHON" not in done.stderr


def test_importing_the_cancellers_loads_no_package() -> None:
    program = "import sys, halfsecond.models.echo.registry; print('livekit.rtc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False"


def test_without_the_package_auto_takes_none_and_aec3_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_nothing(name: str, *_: Any) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(importlib.util, "find_spec", find_nothing)
    monkeypatch.setattr(importlib, "import_module", find_nothing)
    assert chosen("auto") == "none"
    assert isinstance(open_canceller("auto"), NoCanceller)
    with pytest.raises(ConfigError, match=r"pip install .*halfsecond\[aec\]"):
        open_canceller("aec3")


def test_none_hands_the_microphone_on() -> None:
    block = syllables(0.02, seed=1)
    cleaned = open_canceller("none").process(block, np.ones_like(block))
    np.testing.assert_array_equal(cleaned.samples, block)
    np.testing.assert_array_equal(cleaned.audible, block)


def test_a_canceller_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match="auto, aec3, none"):
        open_canceller("speex")
