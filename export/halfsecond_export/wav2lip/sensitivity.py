"""Which convolutions lose the pictures most when they alone are in INT8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from halfsecond_export.wav2lip.footage import Windows
from halfsecond_export.wav2lip.inference import outputs
from halfsecond_export.wav2lip.network import Generator


def sensitivities(
    network: Generator,
    windows: Windows,
    face: NDArray[np.float32],
    *,
    progress: Callable[[float], None] = lambda _done: None,
) -> dict[str, float]:
    """By layer: the relative error of the pictures when only this layer is in INT8."""
    exact = outputs(network, windows, face)
    size = float(np.linalg.norm(exact))
    found: dict[str, float] = {}
    names = [name for name, _ in network.layout.layers()]
    for at, name in enumerate(names):
        with _in_int8(network, name):
            error = outputs(network, windows, face) - exact
        found[name] = float(np.linalg.norm(error)) / size
        progress((at + 1) / len(names))
    return found


@contextmanager
def _in_int8(network: Generator, name: str) -> Iterator[None]:
    """One convolution with the weights and inputs that symmetric INT8 leaves of them.

    Normalisation comes after it and scales whole channels, as the weights' steps do: folded or
    not, the weights lose the same.
    """
    module = network.get_submodule(name)
    convolution = module.conv_block[0] if hasattr(module, "conv_block") else module
    weight = convolution.weight.data
    channel = 1 if isinstance(convolution, torch.nn.ConvTranspose2d) else 0
    others = [axis for axis in range(weight.dim()) if axis != channel]
    scale = weight.abs().amax(others, keepdim=True).clamp(min=1e-12) / 127.0

    def rounded(_module: Any, inputs: tuple[Any]) -> Any:
        step = max(float(inputs[0].abs().max()), 1e-12) / 127.0
        return (torch.round(inputs[0] / step) * step,)

    hook = convolution.register_forward_pre_hook(rounded)
    convolution.weight.data = torch.round(weight / scale) * scale
    try:
        yield
    finally:
        convolution.weight.data = weight
        hook.remove()
