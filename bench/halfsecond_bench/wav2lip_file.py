"""Wav2Lip files to measure and test with: the published generator's graph with random weights.

Its published weights may not be passed on, so none are here. Every layer, shape and skip is that
of `models/wav2lip.py` in Rudrabha/Wav2Lip; speed, memory, quantisation and the runtime's driver
behave as with the real file, and the mouth does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PUBLISHED_PARAMETERS = 36_298_035
"""Parameters of the published generator (width 1), batch normalisation included."""

_OPSET = 17


@dataclass(frozen=True)
class Layer:
    """One convolution with its batch normalisation and activation."""

    inputs: int
    outputs: int
    kernel: int = 3
    stride: tuple[int, int] = (1, 1)
    padding: int = 1
    is_residual: bool = False
    is_transposed: bool = False


def _same(channels: int, count: int) -> list[Layer]:
    return [Layer(channels, channels, is_residual=True)] * count


def _down(inputs: int, outputs: int, residuals: int) -> list[Layer]:
    return [Layer(inputs, outputs, stride=(2, 2)), *_same(outputs, residuals)]


def _up(inputs: int, outputs: int, residuals: int = 2) -> list[Layer]:
    up = Layer(inputs, outputs, stride=(2, 2), is_transposed=True)
    return [up, *_same(outputs, residuals)]


FACE_ENCODER: tuple[list[Layer], ...] = (
    [Layer(6, 16, kernel=7, padding=3)],
    _down(16, 32, 2),
    _down(32, 64, 3),
    _down(64, 128, 2),
    _down(128, 256, 2),
    _down(256, 512, 1),
    [Layer(512, 512, padding=0), Layer(512, 512, kernel=1, padding=0)],
)
AUDIO_ENCODER: tuple[Layer, ...] = (
    Layer(1, 32),
    *_same(32, 2),
    Layer(32, 64, stride=(3, 1)),
    *_same(64, 2),
    Layer(64, 128, stride=(3, 3)),
    *_same(128, 2),
    Layer(128, 256, stride=(3, 2)),
    *_same(256, 1),
    Layer(256, 512, padding=0),
    Layer(512, 512, kernel=1, padding=0),
)
FACE_DECODER: tuple[list[Layer], ...] = (
    [Layer(512, 512, kernel=1, padding=0)],
    [Layer(1024, 512, padding=0, is_transposed=True), *_same(512, 1)],
    _up(1024, 512),
    _up(768, 384),
    _up(512, 256),
    _up(320, 128),
    _up(160, 64),
)
OUTPUT: tuple[Layer, ...] = (Layer(80, 32), Layer(32, 3, kernel=1, padding=0))


@dataclass
class _Graph:
    """An ONNX graph under construction."""

    rng: np.random.Generator
    keeps_batch_norm: bool
    width: float
    nodes: list[Any] = field(default_factory=list[Any])
    weights: list[Any] = field(default_factory=list[Any])

    def channels(self, published: int) -> int:
        """A layer's width; the picture's and the sound's own channels stay as they are."""
        return published if published in (1, 3, 6) else max(1, round(published * self.width))

    def constant(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def integers(self, name: str, values: list[int]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def layer(self, name: str, layer: Layer, source: str) -> str:
        """Convolution, normalisation, shortcut, ReLU; returns the name of the result."""
        last = self.convolution(name, layer, source)
        if layer.is_residual:
            last = self.node("Add", [last, source], f"{name}.sum")
        return self.node("Relu", [last], f"{name}.relu")

    def convolution(self, name: str, layer: Layer, source: str, *, gain: float = 2.0) -> str:
        inputs, outputs = self.channels(layer.inputs), self.channels(layer.outputs)
        # Variance is kept along the way; a shortcut adds a second signal, so its branch is weaker.
        fan_in = inputs * layer.kernel**2
        if layer.is_transposed:
            fan_in //= layer.stride[0] * layer.stride[1]
        scale = np.sqrt(gain / fan_in) * (0.4 if layer.is_residual else 1.0)
        shape = (inputs, outputs) if layer.is_transposed else (outputs, inputs)
        weight = self.rng.normal(0.0, scale, (*shape, layer.kernel, layer.kernel))
        bias = self.rng.normal(0.0, 0.02, outputs)
        attributes: dict[str, Any] = {
            "kernel_shape": [layer.kernel] * 2,
            "strides": list(layer.stride),
            "pads": [layer.padding] * 4,
        }
        if layer.is_transposed and layer.stride != (1, 1):
            attributes["output_padding"] = [1, 1]
        result = self.node(
            "ConvTranspose" if layer.is_transposed else "Conv",
            [source, self.constant(f"{name}.weight", weight), self.constant(f"{name}.bias", bias)],
            f"{name}.conv",
            **attributes,
        )
        return self.batch_norm(name, result, outputs) if self.keeps_batch_norm else result

    def batch_norm(self, name: str, source: str, channels: int) -> str:
        spread = self.rng.uniform(0.8, 1.2, channels)
        shift = self.rng.normal(0.0, 0.05, channels)
        return self.node(
            "BatchNormalization",
            [
                source,
                self.constant(f"{name}.gamma", spread),
                self.constant(f"{name}.beta", shift),
                self.constant(f"{name}.mean", shift),
                self.constant(f"{name}.variance", spread**2),
            ],
            f"{name}.norm",
        )


def write_wav2lip(
    path: Path, *, width: float = 1.0, seed: int = 0, keeps_batch_norm: bool = False
) -> None:
    """Writes the generator with seeded random weights to `path` as fp32 ONNX.

    Inputs `audio_sequences` (N, 1, 80, 16) and `face_sequences` (N, 6, 96, 96), output `faces`
    (N, 3, 96, 96).

    width: factor of every layer's channels (1 is the published network).
    keeps_batch_norm: writes the normalisation as nodes instead of folded into the weights.
    """
    graph = _Graph(np.random.default_rng(seed), keeps_batch_norm, width)
    result = _generator(graph)
    shapes = {"audio_sequences": (1, 80, 16), "face_sequences": (6, 96, 96), result: (3, 96, 96)}
    _save(graph, path, shapes, "N")


def _save(
    graph: _Graph, path: Path, shapes: dict[str, tuple[int, int, int]], batch: int | str
) -> None:
    """shapes: of the two inputs and of the output, without the batch."""
    import onnx
    from onnx import TensorProto, helper

    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
        for name, shape in shapes.items()
    ]
    proto = helper.make_graph(graph.nodes, "wav2lip", values[:2], values[2:], graph.weights)
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _generator(graph: _Graph) -> str:
    """The published forward pass: two encoders, a decoder fed with the face's features."""
    features = ["face_sequences"]
    for b, block in enumerate(FACE_ENCODER):
        last = features[-1]
        for i, layer in enumerate(block):
            last = graph.layer(f"face_encoder.{b}.{i}", layer, last)
        features.append(last)
    last = "audio_sequences"
    for i, layer in enumerate(AUDIO_ENCODER):
        last = graph.layer(f"audio_encoder.{i}", layer, last)
    for b, block in enumerate(FACE_DECODER):
        for i, layer in enumerate(block):
            last = graph.layer(f"face_decoder.{b}.{i}", layer, last)
        last = graph.node("Concat", [last, features.pop()], f"face_decoder.{b}.skip", axis=1)
    last = graph.layer("output.0", OUTPUT[0], last)
    graph.keeps_batch_norm = False
    last = graph.convolution("output.1", OUTPUT[1], last, gain=1.0)
    return graph.node("Sigmoid", [last], "faces")


def count_parameters(path: Path) -> int:
    """Trainable numbers in an ONNX file: all weights but the running means and variances."""
    import onnx

    model = onnx.load(str(path))
    trainable = [w for w in model.graph.initializer if not w.name.endswith((".mean", ".variance"))]
    return sum(int(np.prod(w.dims)) for w in trainable)


def random_inputs(frames: int, *, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """A batch of inputs in the ranges of real ones: mel -4..4, pictures 0..1, lower half masked."""
    rng = np.random.default_rng(seed)
    mel = rng.normal(-1.5, 1.5, (frames, 1, 80, 16)).clip(-4, 4).astype(np.float32)
    # Smooth pictures: noise at 1/8 of the size, enlarged.
    small = rng.random((frames, 3, 12, 12))
    reference = small.repeat(8, axis=2).repeat(8, axis=3).astype(np.float32)
    masked = reference.copy()
    masked[:, :, 48:] = 0
    return {"audio_sequences": mel, "face_sequences": np.concatenate((masked, reference), axis=1)}


def write_echo(
    path: Path, *, patch_px: int = 96, steps: int = 16, batch: int | str = "N", depth: float = 0.0
) -> None:
    """Writes a stand-in with Wav2Lip's inputs and output whose pictures can be told by eye.

    It returns the reference face, so that a frame must look like the portrait; with `depth` an
    oval where the mouth is gets darker with the sound, by up to that part.
    """
    graph = _Graph(np.random.default_rng(0), keeps_batch_norm=False, width=1.0)
    row, column = np.mgrid[0:patch_px, 0:patch_px] / patch_px
    oval = ((row - 0.67) / 0.09) ** 2 + ((column - 0.5) / 0.14) ** 2 < 1.0
    for name, values in (
        ("oval", depth / 8.0 * oval[None, None]),
        ("floor", np.array(4.0)),
        ("one", np.array(1.0)),
    ):
        graph.constant(name, np.asarray(values))
    for name, channel in (("first", 3), ("last", 6), ("axis", 1)):
        graph.integers(name, [channel])
    graph.node("Slice", ["face_sequences", "first", "last", "axis"], "reference")
    graph.node("ReduceMean", ["audio_sequences"], "mean", axes=[1, 2, 3], keepdims=1)
    graph.node("Add", ["mean", "floor"], "loudness")
    graph.node("Mul", ["loudness", "oval"], "shade")
    graph.node("Sub", ["one", "shade"], "light")
    graph.node("Mul", ["reference", "light"], "faces")
    shapes = {
        "audio_sequences": (1, 80, steps),
        "face_sequences": (6, patch_px, patch_px),
        "faces": (3, patch_px, patch_px),
    }
    _save(graph, path, shapes, batch)
