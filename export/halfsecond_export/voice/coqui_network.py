"""Coqui's speaker encoder from its checkpoint to ONNX: the ResNet that YourTTS was trained with.

Layout: coqui-ai/TTS, `TTS/encoder/models/resnet.py` (H/ASP of Heo et al. 2020, without its last
normalisation): residual blocks with squeeze and excitation, then attentive statistics over time.
Depth, width and bands are read off the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.checkpoint_file import read_checkpoint
from halfsecond_export.prepare.onnx_graph import GraphBuilder

Weights = Mapping[str, NDArray[np.float32]]

_STAGES = ("layer1", "layer2", "layer3", "layer4")
_EPSILON = 1e-5
"""Of torch's normalisations, and Coqui's floor of a variance."""
_SMALLEST_NORM = 1e-12
_SHRINKS = 8
"""Three stages halve bands and frames."""


def read_weights(checkpoint: Path) -> Weights:
    """The encoder's tensors by name.

    Raises:
        ModelMissingError, ModelCorruptError: see `read_checkpoint`.
        UnsupportedModelError: another network, or more than weights.
    """
    saved = read_checkpoint(checkpoint)
    state = saved.get("model") if isinstance(saved, Mapping) else None
    needed = ("conv1.weight", "layer4.0.se.fc.0.weight", "attention.0.weight", "fc.weight")
    if not isinstance(state, Mapping) or any(name not in state for name in needed):
        raise UnsupportedModelError(
            f"{checkpoint} is not Coqui's ResNet speaker encoder: under 'model' it must have "
            f"{', '.join(needed)}; take model_se.pth of YourTTS"
        )
    weights = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    for name, values in weights.items():
        if not np.isfinite(values).all():
            raise ModelCorruptError(f"{checkpoint}: {name} has numbers that are not finite")
    channels = weights["layer4.0.conv1.weight"].shape[0]
    width = weights["attention.0.weight"].shape[1]
    if width % channels or weights["fc.weight"].shape[1] != 2 * width:
        raise UnsupportedModelError(
            f"{checkpoint} pools over time in another way than attentive statistics (ASP)"
        )
    return {name: values.astype(np.float32) for name, values in weights.items()}


def bands_of(weights: Weights) -> int:
    """How many mel bands the encoder hears."""
    channels = weights["layer4.0.conv1.weight"].shape[0]
    return int(_SHRINKS * weights["attention.0.weight"].shape[1] // channels)


def write_network(weights: Weights, path: Path) -> None:
    """Writes what takes mels (n, bands, frames) and gives voices (n, size) of unit length."""
    _Writer(weights).save(path)


class _Writer:
    """Adds the layers one after another; each method gives the name of its output."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._graph = GraphBuilder()
        self._count = 0

    def save(self, path: Path) -> None:
        bands = bands_of(self._weights)
        name = self._graph.input("mels", "float32", ["windows", bands, "frames"])
        ones = self._graph.tensor("ones", np.ones(bands, np.float32))
        zeros = self._graph.tensor("zeros", np.zeros(bands, np.float32))
        name = self._node("InstanceNormalization", name, ones, zeros, epsilon=_EPSILON)
        name = self._node("Unsqueeze", name, self._graph.shape((1,)))
        name = self._norm("bn1", self._relu(self._conv("conv1", name, pads=[1, 1, 1, 1])))
        for stage in _STAGES:
            for block in range(self._blocks(stage)):
                stride = 2 if block == 0 and stage != "layer1" else 1
                name = self._block(f"{stage}.{block}", name, stride)
        voices = self._unit(self._linear("fc", self._statistics(name)))
        self._graph.node("Identity", [voices], "voices")
        self._graph.output("voices", "float32", ["windows", self._weights["fc.weight"].shape[0]])
        self._graph.save(path)

    def _blocks(self, stage: str) -> int:
        block = 0
        while f"{stage}.{block}.conv1.weight" in self._weights:
            block += 1
        return block

    def _block(self, at: str, name: str, stride: int) -> str:
        around = [1, 1, 1, 1]
        inner = self._conv(f"{at}.conv1", name, pads=around, strides=[stride, stride])
        inner = self._norm(f"{at}.bn1", self._relu(inner))
        inner = self._norm(f"{at}.bn2", self._conv(f"{at}.conv2", inner, pads=around))
        inner = self._excited(f"{at}.se.fc", inner)
        if f"{at}.downsample.0.weight" in self._weights:
            name = self._conv(f"{at}.downsample.0", name, strides=[stride, stride])
            name = self._norm(f"{at}.downsample.1", name)
        return self._relu(self._node("Add", inner, name))

    def _excited(self, at: str, name: str) -> str:
        """Each channel times what the whole picture says of it."""
        mean = self._node("Flatten", self._node("GlobalAveragePool", name))
        hidden = self._relu(self._linear(f"{at}.0", mean))
        gates = self._node("Sigmoid", self._linear(f"{at}.2", hidden))
        return self._node("Mul", name, self._node("Unsqueeze", gates, self._graph.shape((2, 3))))

    def _statistics(self, name: str) -> str:
        """Mean and deviation over time, weighted by attention: (n, 2 x width)."""
        width = self._weights["attention.0.weight"].shape[1]
        name = self._node("Reshape", name, self._graph.shape((0, width, -1)))
        hidden = self._norm("attention.2", self._relu(self._conv("attention.0", name)))
        weight = self._node("Softmax", self._conv("attention.3", hidden), axis=2)
        mean = self._over_time(self._node("Mul", name, weight))
        square = self._over_time(self._node("Mul", self._node("Mul", name, name), weight))
        variance = self._node("Sub", square, self._node("Mul", mean, mean))
        floor = self._graph.shared_tensor("floor", np.array(_EPSILON, np.float32))
        deviation = self._node("Sqrt", self._node("Max", variance, floor))
        return self._node("Concat", mean, deviation, axis=1)

    def _over_time(self, name: str) -> str:
        return self._node("ReduceSum", name, self._graph.shape((2,)), keepdims=0)

    def _unit(self, name: str) -> str:
        length = self._node("ReduceL2", name, axes=[1], keepdims=1)
        smallest = self._graph.tensor("smallest", np.array(_SMALLEST_NORM, np.float32))
        return self._node("Div", name, self._node("Max", length, smallest))

    def _conv(self, at: str, name: str, **attributes: Any) -> str:
        tensors = [self._tensor(f"{at}.weight")]
        if f"{at}.bias" in self._weights:
            tensors.append(self._tensor(f"{at}.bias"))
        return self._node("Conv", name, *tensors, **attributes)

    def _linear(self, at: str, name: str) -> str:
        tensors = (self._tensor(f"{at}.weight"), self._tensor(f"{at}.bias"))
        return self._node("Gemm", name, *tensors, transB=1)

    def _norm(self, at: str, name: str) -> str:
        parts = ("weight", "bias", "running_mean", "running_var")
        tensors = [self._tensor(f"{at}.{part}") for part in parts]
        return self._node("BatchNormalization", name, *tensors, epsilon=_EPSILON)

    def _relu(self, name: str) -> str:
        return self._node("Relu", name)

    def _tensor(self, name: str) -> str:
        if name not in self._weights:
            raise UnsupportedModelError(f"the speaker encoder has no {name}; is it whole?")
        return self._graph.tensor(name, self._weights[name])

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        self._count += 1
        return self._graph.node(kind, list(inputs), f"{kind}_{self._count}", **attributes)
