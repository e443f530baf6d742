"""Labels for the clips: where the last speech is, by a written rule and to be looked at.

The rule: the noise floor is the level of the clip's quietest 100 ms, at least -75 dBFS; the last
10 ms window 15 dB above it or more ends the speech. It knows nothing of our own voice activity
detector, so that figures do not rest on the thing that they measure.

`python -m halfsecond_bench.label FILE... [--plot PNG]` prints a label per file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import RATE_HZ, load
from halfsecond.errors import AudioError

WINDOW_SAMPLES = RATE_HZ // 100
FLOOR_WINDOWS = 10
LOWEST_FLOOR_DBFS = -75.0
"""Digital silence has no floor; -75 dBFS is a quiet room through a good microphone."""
ABOVE_FLOOR_DB = 15.0


def window_levels_dbfs(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """The level of each whole 10 ms window of 16 kHz audio, at least -120 dBFS."""
    whole = len(samples) - len(samples) % WINDOW_SAMPLES
    windows = samples[:whole].reshape(-1, WINDOW_SAMPLES).astype(np.float64)
    power = np.maximum(np.mean(np.square(windows), axis=1), 1e-12)
    levels: NDArray[np.float64] = 10 * np.log10(power)
    return levels


def threshold_dbfs(samples: NDArray[np.float32]) -> float:
    """The level from which a window of this clip counts as speech."""
    levels = window_levels_dbfs(samples)
    stretches = np.convolve(10 ** (levels / 10), np.full(FLOOR_WINDOWS, 1 / FLOOR_WINDOWS), "valid")
    floor = 10 * float(np.log10(stretches.min()))
    return max(floor, LOWEST_FLOOR_DBFS) + ABOVE_FLOOR_DB


def first_speech_sample(samples: NDArray[np.float32]) -> int:
    """The first sample of the speech of a clip of 16 kHz audio, by the same rule.

    Raises:
        AudioError: no window stands out of the noise floor.
    """
    return int(_loud_windows(samples)[0]) * WINDOW_SAMPLES


def last_speech_sample(samples: NDArray[np.float32]) -> int:
    """The sample just after the last speech of a clip of 16 kHz audio.

    Raises:
        AudioError: no window stands out of the noise floor.
    """
    return int(_loud_windows(samples)[-1] + 1) * WINDOW_SAMPLES


def _loud_windows(samples: NDArray[np.float32]) -> NDArray[np.intp]:
    loud = np.flatnonzero(window_levels_dbfs(samples) >= threshold_dbfs(samples))
    if not loud.size:
        raise AudioError(
            f"no 10 ms window is {ABOVE_FLOOR_DB:.0f} dB above the noise floor; there is no speech "
            "to label, or the noise is as loud: label the clean recording instead"
        )
    return loud


def plot(paths: list[Path], picture: Path) -> None:
    """Draws each clip's levels, threshold and label, one under the other."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.6 * len(paths)), layout="constrained")
    for path, axes in zip(paths, np.atleast_1d(figure.subplots(len(paths), 1)), strict=True):
        samples = load(path).samples
        levels = window_levels_dbfs(samples)
        seconds = np.arange(len(levels)) * WINDOW_SAMPLES / RATE_HZ
        axes.plot(seconds, levels, linewidth=0.8)
        axes.axhline(threshold_dbfs(samples), color="tab:orange", linewidth=0.8)
        axes.axvline(last_speech_sample(samples) / RATE_HZ, color="tab:red", linewidth=0.8)
        axes.set(ylim=(-100, 0), ylabel=path.stem[:14])
        axes.minorticks_on()
        axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(picture, dpi=80)


def main() -> None:
    """Prints the label of each file, and draws them if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw the clips and their labels")
    arguments = parser.parse_args()
    for path in arguments.files:
        label = last_speech_sample(load(path).samples)
        print(f"{path.name}: last_speech_sample = {label}  # {label / RATE_HZ:.2f} s")
    if arguments.plot:
        plot(arguments.files, arguments.plot)


if __name__ == "__main__":
    main()
