"""The generator as an ONNX file: normalisation folded into the weights, nodes named as its layers.

Written layer by layer instead of traced, so that the same network gives the same file, and so that
the six transposed convolutions can be left as they are or given in a form that INT8 kernels exist
for: an ordinary convolution with four times the channels, whose outputs are interleaved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.mel import MEL_BANDS, WINDOW_STEPS
from halfsecond_export.wav2lip.layout import Layer, Layout

SOUND = "audio_sequences"
FACE = "face_sequences"
PICTURES = "faces"
OPSET = 20
"""From 19 on, quantisation has scales in fp16."""
_IR_VERSION = 10
_NORM_EPSILON = 1e-5
"""torch's, which no checkpoint stores."""

Weights = Mapping[str, NDArray[np.float32]]
"""A state dict of the generator as arrays."""


def write_onnx(layout: Layout, weights: Weights, path: Path, *, is_interleaved: bool) -> None:
    """Writes the fp32 generator to `path`.

    Inputs `audio_sequences` (N, 1, 80, 16) and `face_sequences` (N, 6, S, S), output `faces`
    (N, 3, S, S); N is open.

    is_interleaved: every transposed convolution as an ordinary one with its outputs interleaved.
    """
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph(layout, weights, is_interleaved)
    graph.generator()
    side = layout.patch_px
    shapes = {
        SOUND: (1, MEL_BANDS, WINDOW_STEPS),
        FACE: (6, side, side),
        PICTURES: (3, side, side),
    }
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in shapes.items()
    ]
    proto = helper.make_graph(graph.nodes, "wav2lip", values[:2], values[2:], graph.weights)
    opset = helper.make_opsetid("", OPSET)
    model = helper.make_model(proto, opset_imports=[opset], ir_version=_IR_VERSION)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


@dataclass
class _Graph:
    """An ONNX graph under construction."""

    layout: Layout
    source: Weights
    is_interleaved: bool
    nodes: list[Any] = field(default_factory=list[Any])
    weights: list[Any] = field(default_factory=list[Any])

    def generator(self) -> None:
        """The forward pass: two encoders, a decoder fed with the face's features."""
        layers = dict(self.layout.layers())
        features = [(FACE, self.layout.patch_px)]
        for b, block in enumerate(self.layout.face_encoder):
            last, side = features[-1]
            for i in range(len(block)):
                last, side = self.layer(f"face_encoder_blocks.{b}.{i}", layers, last, side)
            features.append((last, side))
        last = SOUND
        for i in range(len(self.layout.audio_encoder)):
            last, _ = self.layer(f"audio_encoder.{i}", layers, last, 0)
        side = 1
        for b, block in enumerate(self.layout.face_decoder):
            for i in range(len(block)):
                last, side = self.layer(f"face_decoder_blocks.{b}.{i}", layers, last, side)
            skip, _ = features.pop()
            last = self.node("Concat", [last, skip], f"face_decoder_blocks.{b}.skip", axis=1)
        last, side = self.layer("output_block.0", layers, last, side)
        last, side = self.layer("output_block.1", layers, last, side)
        self.node("Sigmoid", [last], PICTURES)

    def layer(
        self, name: str, layers: Mapping[str, Layer], source: str, side_px: int
    ) -> tuple[str, int]:
        """A layer's result and its side in pixels (of use for pictures only)."""
        layer = layers[name]
        kernel, bias = self.folded(name, layer)
        if layer.is_transposed and self.is_interleaved and layer.stride == (2, 2):
            return self.interleaved(name, layer, source, (kernel, bias), side_px)
        last = self.convolution(name, layer, source, kernel, bias)
        if layer.is_residual:
            last = self.node("Add", [last, source], f"{name}.sum")
        last = self.activation(name, layer, last)
        return last, _side_after(layer, side_px)

    def folded(self, name: str, layer: Layer) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Kernel and bias with the normalisation of inference in them."""
        if not layer.has_norm:
            return self.source[f"{name}.weight"], self.source[f"{name}.bias"]
        kernel, bias = (self.source[f"{name}.conv_block.0.{p}"] for p in ("weight", "bias"))
        gamma, beta, mean, variance = (
            self.source[f"{name}.conv_block.1.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        factor = gamma / np.sqrt(variance + _NORM_EPSILON)
        outputs = (1, -1, 1, 1) if layer.is_transposed else (-1, 1, 1, 1)
        return (
            np.asarray(kernel * factor.reshape(outputs), np.float32),
            np.asarray((bias - mean) * factor + beta, np.float32),
        )

    def convolution(
        self,
        name: str,
        layer: Layer,
        source: str,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
    ) -> str:
        kind, padding = "Conv", layer.padding
        attributes: dict[str, Any] = {"kernel_shape": [layer.kernel] * 2}
        if layer.is_transposed and self.is_interleaved:
            # Stride 1: the kernel turned around, padded so that every output sees all its inputs.
            kernel = np.ascontiguousarray(kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
            padding = layer.kernel - 1 - layer.padding
        else:
            attributes["strides"] = list(layer.stride)
        if layer.is_transposed and not self.is_interleaved:
            kind = "ConvTranspose"
            attributes["output_padding"] = [layer.output_padding] * 2
        inputs = [
            source,
            self.constant(f"{name}.weight", kernel),
            self.constant(f"{name}.bias", bias),
        ]
        return self.node(kind, inputs, name, pads=[padding] * 4, **attributes)

    def activation(self, name: str, layer: Layer, source: str) -> str:
        if not layer.has_norm:
            return source
        if not self.layout.has_prelu:
            return self.node("Relu", [source], f"{name}.relu")
        slope = self.constant(f"{name}.slope", self.source[f"{name}.act.weight"].reshape(1, 1, 1))
        return self.node("PRelu", [source, slope], f"{name}.prelu")

    def interleaved(
        self,
        name: str,
        layer: Layer,
        source: str,
        weights: tuple[NDArray[np.float32], NDArray[np.float32]],
        side_px: int,
    ) -> tuple[str, int]:
        """Stride 2: all four corners of every 2×2 block at once, then each to its place.

        Channels last, where pixels move as whole runs: ONNX Runtime's DepthToSpace moves single
        numbers and takes a third of an INT8 frame. The activation goes first, where it melts into
        the convolution.
        """
        kernel, bias = weights
        inputs = [
            source,
            self.constant(f"{name}.weight", _corners(kernel)),
            self.constant(f"{name}.bias", np.tile(bias, 4)),
        ]
        last = self.node("Conv", inputs, name, kernel_shape=[2, 2], pads=[0, 0, 1, 1])
        last = self.activation(name, layer, last)
        channels, doubled = layer.outputs, 2 * side_px
        last = self.node("Transpose", [last], f"{name}.pixels", perm=[0, 2, 3, 1])
        last = self.reshape(f"{name}.rows", last, [-1, side_px, 2, 2 * channels])
        last = self.node("Transpose", [last], f"{name}.interleaved", perm=[0, 2, 1, 3])
        last = self.reshape(f"{name}.whole", last, [-1, doubled, doubled, channels])
        last = self.node("Transpose", [last], f"{name}.channels", perm=[0, 3, 1, 2])
        side = _side_after(layer, side_px)
        if side < doubled:
            # Without output padding the last row and column are not there.
            ends = [
                self.integers(f"{name}.{part}", v)
                for part, v in (("from", [0, 0]), ("to", [side, side]), ("axes", [2, 3]))
            ]
            last = self.node("Slice", [last, *ends], f"{name}.cropped")
        return last, side

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def reshape(self, name: str, source: str, shape: list[int]) -> str:
        return self.node("Reshape", [source, self.integers(f"{name}.shape", shape)], name)

    def constant(self, name: str, values: NDArray[np.float32]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def integers(self, name: str, values: list[int]) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name


def _side_after(layer: Layer, side_px: int) -> int:
    stride, reach = layer.stride[0], layer.kernel - 2 * layer.padding
    if layer.is_transposed:
        return (side_px - 1) * stride + reach + layer.output_padding
    return (side_px - reach) // stride + 1


def _corners(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4 × outputs, inputs, 2, 2) from (inputs, outputs, 3, 3) with stride 2 and padding 1.

    Output rows 2m see input m by tap 1, rows 2m + 1 see m and m + 1 by taps 2 and 0; columns
    likewise.
    """
    inputs, outputs = kernel.shape[:2]
    taps = {0: ((0, 1),), 1: ((0, 2), (1, 0))}
    result = np.zeros((2, 2, outputs, inputs, 2, 2), kernel.dtype)
    for row in (0, 1):
        for column in (0, 1):
            for y, tap_y in taps[row]:
                for x, tap_x in taps[column]:
                    result[row, column, :, :, y, x] = kernel[:, :, tap_y, tap_x].T
    return result.reshape(4 * outputs, inputs, 2, 2)
