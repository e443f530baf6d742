"""Wav2Lip in INT8 for ONNX Runtime's CPU kernels: no transposed convolutions, then static QDQ.

ONNX Runtime has no INT8 kernel for ConvTranspose: left as it is, its six layers stay in fp32 and
take more than half of an INT8 frame. Each is the same sum as an ordinary convolution whose
outputs are interleaved, and that one has a kernel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from halfsecond_bench.wav2lip_file import random_inputs

CALIBRATION_BATCHES = 3
CALIBRATION_FRAMES = 4


class CalibrationReader(Protocol):
    """onnxruntime's CalibrationDataReader by its method."""

    def get_next(self) -> dict[str, NDArray[np.float32]] | None: ...


class RandomReader:
    """Random batches in the ranges of real ones, for files with random weights."""

    def __init__(self) -> None:
        self._left = CALIBRATION_BATCHES

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        if not self._left:
            return None
        self._left -= 1
        return random_inputs(CALIBRATION_FRAMES, seed=self._left)


def write_int8(source: Path, target: Path, *, reader: CalibrationReader | None = None) -> None:
    """Quantises the fp32 generator at `source` to a static QDQ file at `target`.

    Weights are int8 per channel, activations uint8 (int8 activations are several times slower
    than fp32 on x86 with VNNI), inputs and output stay float32. A trained network should be
    calibrated with a `reader` of real crops and speech, and its pictures compared.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    rewritten = target.with_suffix(".rewritten.onnx")
    model = fold_batch_norm(onnx.load(str(source)))
    onnx.save(replace_transposed_convolutions(model), str(rewritten))
    try:
        quantize_static(
            rewritten,
            target,
            cast(Any, reader or RandomReader()),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        rewritten.unlink()


def fold_batch_norm(model: Any) -> Any:
    """The same ONNX model with normalisation inside the convolutions before it; in place.

    Exporters fold it into Conv but leave it behind ConvTranspose.
    """
    from onnx import numpy_helper

    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    makers = {n.output[0]: n for n in graph.node if n.op_type in ("Conv", "ConvTranspose")}
    for norm in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        maker = makers.get(norm.input[0])
        if maker is None or len(maker.input) < 3:
            continue
        gamma, beta, mean, variance, kernel, bias = (
            numpy_helper.to_array(weights[name]) for name in (*norm.input[1:5], *maker.input[1:3])
        )
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        factor = gamma / np.sqrt(variance + np.float32(epsilon))
        outputs = (1, -1, 1, 1) if maker.op_type == "ConvTranspose" else (-1, 1, 1, 1)
        folded = kernel * factor.reshape(outputs), (bias - mean) * factor + beta
        for name, values in zip(maker.input[1:3], folded, strict=True):
            weights[name].CopyFrom(numpy_helper.from_array(values.astype(np.float32), name))
        maker.output[0] = norm.output[0]
        graph.node.remove(norm)
    used = {name for node in graph.node for name in node.input}
    for weight in [w for w in graph.initializer if w.name not in used]:
        graph.initializer.remove(weight)
    return model


def replace_transposed_convolutions(model: Any) -> Any:
    """The same ONNX model with every 3×3 ConvTranspose as an ordinary convolution; in place.

    Stride 1 becomes a convolution with the kernel turned around. Stride 2 (padding and output
    padding 1) becomes a 2×2 convolution with four times the channels, one set for each corner of
    the 2×2 block that an input pixel turns into, and a shuffle that puts the corners in place.
    """
    import onnx

    graph = model.graph
    known = onnx.shape_inference.infer_shapes(model).graph.value_info
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in known}
    weights = {w.name: w for w in graph.initializer}
    relus = {n.input[0]: n for n in graph.node if n.op_type == "Relu"}
    moved: set[str] = set()
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type != "ConvTranspose":
            nodes += [] if node.output[0] in moved else [node]
            continue
        settings = _settings(node, weights)
        if settings["strides"] == [1, 1]:
            nodes.append(_plain(node, weights, settings))
            continue
        relu = relus.get(node.output[0])
        result = node.output[0] if relu is None else relu.output[0]
        moved.add("" if relu is None else result)
        nodes.append(_blocks_convolution(node, weights))
        nodes += _shuffle(graph, node.name, result, shapes[node.output[0]], relu is not None)
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _settings(node: Any, weights: dict[str, Any]) -> dict[str, list[int]]:
    """Strides, padding and output padding of a ConvTranspose that the rewriting knows."""
    found = {"output_padding": [0, 0]} | {a.name: list(a.ints) for a in node.attribute if a.ints}
    kernel = list(weights[node.input[1]].dims)[2:]
    doubling = ([2, 2], [1, 1, 1, 1], [1, 1], [3, 3])
    plain = ([1, 1], [0, 0, 0, 0], [0, 0], [3, 3])
    layout = (found["strides"], found["pads"], found["output_padding"], kernel)
    if layout not in (doubling, plain):
        raise ValueError(
            f"{node.name} has (strides, padding, output padding, kernel) {layout}; "
            f"Wav2Lip's transposed convolutions have {doubling} or {plain}"
        )
    return found


def _plain(node: Any, weights: dict[str, Any], settings: dict[str, list[int]]) -> Any:
    """Stride 1: the kernel turned around, padded so that every output sees all its inputs."""
    from onnx import helper, numpy_helper

    kernel = numpy_helper.to_array(weights[node.input[1]])
    turned = np.ascontiguousarray(kernel.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])
    weights[node.input[1]].CopyFrom(numpy_helper.from_array(turned, node.input[1]))
    return helper.make_node(
        "Conv",
        node.input,
        node.output,
        name=node.name,
        kernel_shape=[3, 3],
        pads=[2 - p for p in settings["pads"]],
    )


def _blocks_convolution(node: Any, weights: dict[str, Any]) -> Any:
    """Stride 2: all four corners of every 2×2 block at once, as 4 × the channels."""
    from onnx import helper, numpy_helper

    for name, change in ((node.input[1], _blocks), (node.input[2], lambda b: np.tile(b, 4))):
        values = change(numpy_helper.to_array(weights[name]))
        weights[name].CopyFrom(numpy_helper.from_array(values, name))
    output = f"{node.name}.blocks"
    return helper.make_node(
        "Conv", node.input, [output], name=output, kernel_shape=[2, 2], pads=[0, 0, 1, 1]
    )


def _shuffle(graph: Any, name: str, result: str, shape: list[int], has_relu: bool) -> list[Any]:
    """Corners to their places: DepthToSpace with channels last, where pixels move as whole runs.

    ONNX Runtime's own DepthToSpace moves single numbers and takes a third of an INT8 frame. The
    ReLU goes first, where it melts into the convolution.
    """
    from onnx import helper, numpy_helper

    _, channels, height, width = shape
    steps: list[tuple[str, dict[str, Any]]] = [
        ("Transpose", {"perm": [0, 2, 3, 1]}),
        ("Reshape", {"shape": [-1, width // 2, 2, 2 * channels]}),
        ("Transpose", {"perm": [0, 2, 1, 3]}),
        ("Reshape", {"shape": [-1, height, width, channels]}),
        ("Transpose", {"perm": [0, 3, 1, 2]}),
    ]
    nodes: list[Any] = []
    last = f"{name}.blocks"
    for i, (kind, attributes) in enumerate([("Relu", {}), *steps] if has_relu else steps):
        inputs = [last]
        if kind == "Reshape":
            inputs.append(f"{name}.shape{i}")
            target = np.array(attributes["shape"], np.int64)
            graph.initializer.append(numpy_helper.from_array(target, inputs[1]))
            attributes = {}
        last = f"{name}.shuffle{i}"
        nodes.append(helper.make_node(kind, inputs, [last], name=last, **attributes))
    nodes[-1].output[0] = result
    return nodes


def _blocks(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """(4 outputs, inputs, 2, 2): output rows 2m see input m by tap 1, rows 2m+1 see m and m+1 by
    taps 2 and 0, columns likewise."""
    inputs, outputs = kernel.shape[:2]
    taps = {0: ((0, 1),), 1: ((0, 2), (1, 0))}
    result = np.zeros((2, 2, outputs, inputs, 2, 2), kernel.dtype)
    for row in (0, 1):
        for column in (0, 1):
            for y, tap_y in taps[row]:
                for x, tap_x in taps[column]:
                    result[row, column, :, :, y, x] = kernel[:, :, tap_y, tap_x].T
    return result.reshape(4 * outputs, inputs, 2, 2)
