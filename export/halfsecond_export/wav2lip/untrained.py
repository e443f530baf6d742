"""The published generator with random weights: to measure and to test with, without torch.

Its published weights may not be passed on, so none are here. Speed, memory, quantisation and the
runtime's driver behave as with the real file; the mouth does not.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.mel import MEL_BANDS, WINDOW_STEPS
from halfsecond_export.wav2lip.footage import Windows
from halfsecond_export.wav2lip.graph import Weights, write_onnx
from halfsecond_export.wav2lip.layout import PUBLISHED, Layer, Layout
from halfsecond_export.wav2lip.quantisation import write_int8

CALIBRATION_FRAMES = 12
_COARSE = 8
"""Random pictures are smooth: noise at this part of their side, enlarged."""
_RELU_GAIN = 2.0
"""He et al. 2015, equation 10: keeps the variance where half of the signal is cut off."""
_RESIDUAL_SCALE = 0.4
"""A shortcut adds a second signal, so its branch is weaker."""


def random_weights(layout: Layout = PUBLISHED, *, seed: int = 0) -> Weights:
    """A state dict of `layout` whose signals keep their size from layer to layer."""
    random = np.random.default_rng(seed)
    layers = dict(layout.layers())
    weights: dict[str, NDArray[np.float32]] = {}
    for name, shape in layout.shapes().items():
        if len(shape) == 4:
            owner = name.removesuffix(".weight").removesuffix(".conv_block.0")
            values = random.normal(0.0, _deviation(layers[owner]), shape)
        elif name.endswith(("running_var", "1.weight")):
            values = random.uniform(0.8, 1.2, shape)
        elif name.endswith("act.weight"):
            values = random.uniform(0.1, 0.4, shape)
        else:
            values = random.normal(0.0, 0.02, shape)
        weights[name] = values.astype(np.float32)
    return weights


def _deviation(layer: Layer) -> float:
    fan_in = layer.inputs * layer.kernel**2
    if layer.is_transposed:
        fan_in //= layer.stride[0] * layer.stride[1]
    gain = _RELU_GAIN if layer.has_norm else 1.0
    scale = _RESIDUAL_SCALE if layer.is_residual else 1.0
    return scale * math.sqrt(gain / fan_in)


def random_inputs(
    frames: int, *, layout: Layout = PUBLISHED, seed: int = 0
) -> tuple[Windows, NDArray[np.float32]]:
    """Inputs in the ranges of real ones.

    Gives sound (frames, 1, 80, 16), -4 to 4, and one face (6, S, S), 0 to 1: first with its lower
    half masked, then whole.
    """
    random = np.random.default_rng(seed)
    sound = random.normal(-1.5, 1.5, (frames, 1, MEL_BANDS, WINDOW_STEPS)).clip(-4, 4)
    side = layout.patch_px
    small = random.random((3, side // _COARSE, side // _COARSE))
    whole = small.repeat(_COARSE, axis=1).repeat(_COARSE, axis=2)
    masked = whole.copy()
    masked[:, side // 2 :] = 0
    return sound.astype(np.float32), np.concatenate((masked, whole)).astype(np.float32)


def write_untrained(
    path: Path, *, width: float = 1.0, seed: int = 0, is_interleaved: bool = False
) -> None:
    """Writes the generator with seeded random weights to `path` as fp32 ONNX.

    width: factor of every layer's channels, in sixteenths; 1 is the published network.
    is_interleaved: as INT8 wants it, see `write_onnx`.
    """
    layout = PUBLISHED.narrowed(width)
    write_onnx(layout, random_weights(layout, seed=seed), path, is_interleaved=is_interleaved)


def write_untrained_int8(path: Path, *, width: float = 1.0, seed: int = 0) -> None:
    """Writes what `write_untrained` does, quantised as `export wav2lip` quantises."""
    source = path.with_suffix(".fp32.onnx")
    write_untrained(source, width=width, seed=seed, is_interleaved=True)
    try:
        write_int8(source, path, *random_inputs(CALIBRATION_FRAMES))
    finally:
        source.unlink()
