"""TensorFlow Lite picture networks as ONNX: the operators that face detectors and meshes use.

The graph keeps the NHWC inputs and outputs of the original. Inside, pictures are NCHW as ONNX
wants them; weights become float32. Operator semantics: the TensorFlow Lite reference kernels
("SAME" padding puts the odd pixel at the bottom and right) and the ONNX operator set.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.tflite_file import (
    TfliteGraph,
    TfliteOperator,
    TfliteTensor,
    read_tflite,
)

# Opset 17 and IR 8 load in every ONNX Runtime since 1.12.
OPSET = 17
IR_VERSION = 8

_TO_NCHW = [0, 3, 1, 2]
_TO_NHWC = [0, 2, 3, 1]
# Where axis i of an NHWC tensor is found in NCHW.
_AXIS_IN_NCHW = (0, 2, 3, 1)

# Values of the schema's enumerations Padding and ActivationFunctionType.
_SAME_PADDING = 0
_NO_ACTIVATION, _RELU, _RELU6 = 0, 1, 3


def convert_tflite(source: Path, target: Path) -> None:
    """Writes the network in `source` to `target` as ONNX.

    Raises ModelCorruptError for a damaged file and UnsupportedModelError for an operator that is
    not in the list; nothing is written then.
    """
    import onnx

    graph = read_tflite(source)
    try:
        model = OnnxWriter(source.name).convert(graph)
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ModelCorruptError(
            f"{source.name}: the converted graph is not consistent ({error})"
        ) from error
    target.write_bytes(model.SerializeToString())


class OnnxWriter:
    """Turns one TensorFlow Lite graph into an ONNX model, operator by operator."""

    def __init__(self, source_name: str) -> None:
        self._source_name = source_name
        self._nodes: list[Any] = []
        self._initializers: list[Any] = []
        self._constants: dict[int, NDArray[Any]] = {}
        self._values: dict[int, str] = {}
        self._count = 0

    def convert(self, graph: TfliteGraph) -> Any:
        """Returns the `onnx.ModelProto` of a graph."""
        from onnx import TensorProto, helper

        inputs = []
        for tensor in graph.inputs:
            inputs.append(
                helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape)
            )
            self._values[tensor.index] = self._as_nchw(tensor, tensor.name)
        for operator in graph.operators:
            self._convert_operator(operator)
        outputs = []
        for tensor in graph.outputs:
            name = self._as_nhwc(tensor)
            self._nodes.append(helper.make_node("Identity", [name], [tensor.name]))
            outputs.append(
                helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, tensor.shape)
            )
        body = helper.make_graph(
            self._nodes, Path(self._source_name).stem, inputs, outputs, self._initializers
        )
        return helper.make_model(
            body,
            producer_name="halfsecond",
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
        )

    def _convert_operator(self, operator: TfliteOperator) -> None:
        convert = _OPERATORS.get(operator.kind)
        if convert is None:
            raise UnsupportedModelError(
                f"{self._source_name}: operator {operator.kind} is not supported; "
                f"supported: {', '.join(sorted(_OPERATORS))}"
            )
        convert(self, operator)

    def _emit(self, kind: str, inputs: list[str], **attributes: Any) -> str:
        from onnx import helper

        self._count += 1
        name = f"{kind}_{self._count}"
        self._nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        return name

    def _store(self, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._count += 1
        name = f"weights_{self._count}"
        stored = np.ascontiguousarray(values)
        self._initializers.append(numpy_helper.from_array(stored, name))
        return name

    def _as_nchw(self, tensor: TfliteTensor, name: str) -> str:
        if len(tensor.shape) != 4:
            return name
        return self._emit("Transpose", [name], perm=_TO_NCHW)

    def _as_nhwc(self, tensor: TfliteTensor) -> str:
        name = self._value(tensor)
        if len(tensor.shape) != 4:
            return name
        return self._emit("Transpose", [name], perm=_TO_NHWC)

    def _value(self, tensor: TfliteTensor) -> str:
        if tensor.index not in self._values:
            raise UnsupportedModelError(
                f"{self._source_name}: tensor {tensor.name!r} is used before it is computed"
            )
        return self._values[tensor.index]

    def _constant(self, tensor: TfliteTensor) -> NDArray[Any]:
        if tensor.constant is not None:
            return tensor.constant
        if tensor.index in self._constants:
            return self._constants[tensor.index]
        raise UnsupportedModelError(
            f"{self._source_name}: tensor {tensor.name!r} must be constant, but it is computed"
        )

    def _finish(self, operator: TfliteOperator, name: str) -> None:
        activation = operator.options.get("FusedActivationFunction", _NO_ACTIVATION)
        if activation == _RELU:
            name = self._emit("Relu", [name])
        elif activation == _RELU6:
            bounds = [self._store(np.array(bound, np.float32)) for bound in (0.0, 6.0)]
            name = self._emit("Clip", [name, *bounds])
        elif activation != _NO_ACTIVATION:
            raise UnsupportedModelError(
                f"{self._source_name}: fused activation {activation} is not supported"
            )
        self._values[operator.outputs[0].index] = name

    def dequantize(self, operator: TfliteOperator) -> None:
        """Float16 weights become float32 once, here."""
        stored = self._constant(operator.inputs[0])
        self._constants[operator.outputs[0].index] = stored.astype(np.float32)

    def conv(self, operator: TfliteOperator) -> None:
        """Weights (out, height, width, in)."""
        weights = self._constant(operator.inputs[1]).transpose(0, 3, 1, 2)
        self._convolve(operator, weights, group=1)

    def depthwise_conv(self, operator: TfliteOperator) -> None:
        """Weights (1, height, width, out), one group per input channel."""
        weights = self._constant(operator.inputs[1]).transpose(3, 0, 1, 2)
        self._convolve(operator, weights, group=operator.inputs[0].shape[3])

    def _convolve(self, operator: TfliteOperator, weights: NDArray[Any], *, group: int) -> None:
        options = operator.options
        kernel = (int(weights.shape[2]), int(weights.shape[3]))
        dilation = (options["DilationHFactor"], options["DilationWFactor"])
        reach = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
        inputs = [self._value(operator.inputs[0]), self._store(weights.astype(np.float32))]
        if len(operator.inputs) > 2:
            inputs.append(self._store(self._constant(operator.inputs[2]).astype(np.float32)))
        name = self._emit(
            "Conv",
            inputs,
            kernel_shape=list(kernel),
            strides=[options["StrideH"], options["StrideW"]],
            dilations=list(dilation),
            pads=_pads(operator, (reach[0], reach[1])),
            group=group,
        )
        self._finish(operator, name)

    def max_pool(self, operator: TfliteOperator) -> None:
        """Padding never wins: ONNX pads the maximum with minus infinity."""
        options = operator.options
        kernel = (options["FilterHeight"], options["FilterWidth"])
        name = self._emit(
            "MaxPool",
            [self._value(operator.inputs[0])],
            kernel_shape=list(kernel),
            strides=[options["StrideH"], options["StrideW"]],
            pads=_pads(operator, kernel),
        )
        self._finish(operator, name)

    def add(self, operator: TfliteOperator) -> None:
        """Both sides computed and of one shape, as in residual blocks."""
        left, right = operator.inputs
        if left.shape != right.shape:
            raise UnsupportedModelError(
                f"{self._source_name}: ADD of shapes {left.shape} and {right.shape} "
                "is not supported; expected equal shapes"
            )
        self._finish(operator, self._emit("Add", [self._value(left), self._value(right)]))

    def pad(self, operator: TfliteOperator) -> None:
        """Zeros before and after each axis."""
        amounts = self._constant(operator.inputs[1])
        if len(operator.inputs[0].shape) == 4:
            amounts = amounts[[0, 3, 1, 2]]
        pads = self._store(amounts.T.reshape(-1).astype(np.int64))
        name = self._emit("Pad", [self._value(operator.inputs[0]), pads], mode="constant")
        self._finish(operator, name)

    def prelu(self, operator: TfliteOperator) -> None:
        """Slopes (1, 1, channels)."""
        slopes = self._constant(operator.inputs[1]).astype(np.float32)
        if slopes.ndim != 3:
            raise UnsupportedModelError(
                f"{self._source_name}: PRELU slopes of shape {slopes.shape}; expected (1, 1, C)"
            )
        inputs = [self._value(operator.inputs[0]), self._store(slopes.transpose(2, 0, 1))]
        self._finish(operator, self._emit("PRelu", inputs))

    def relu(self, operator: TfliteOperator) -> None:
        """max(x, 0)."""
        self._finish(operator, self._emit("Relu", [self._value(operator.inputs[0])]))

    def reshape(self, operator: TfliteOperator) -> None:
        """In the order of the file's own layout, so a picture goes back to NHWC first."""
        output = operator.outputs[0]
        shape = self._store(np.array(output.shape, np.int64))
        name = self._emit("Reshape", [self._as_nhwc(operator.inputs[0]), shape])
        self._finish(operator, self._as_nchw(output, name))

    def concatenation(self, operator: TfliteOperator) -> None:
        """Along the axis that the options name."""
        rank = len(operator.outputs[0].shape)
        axis = operator.options["Axis"] % rank
        if rank == 4:
            axis = _AXIS_IN_NCHW[axis]
        names = [self._value(tensor) for tensor in operator.inputs]
        self._finish(operator, self._emit("Concat", names, axis=axis))

    def resize_bilinear(self, operator: TfliteOperator) -> None:
        """Three conventions for where a pixel lies, each with an ONNX name."""
        if operator.options["AlignCorners"]:
            mode = "align_corners"
        elif operator.options["HalfPixelCenters"]:
            mode = "half_pixel"
        else:
            mode = "asymmetric"
        batch, height, width, channels = operator.outputs[0].shape
        sizes = self._store(np.array([batch, channels, height, width], np.int64))
        name = self._emit(
            "Resize",
            [self._value(operator.inputs[0]), "", "", sizes],
            mode="linear",
            coordinate_transformation_mode=mode,
        )
        self._finish(operator, name)


_OPERATORS: Mapping[str, Callable[[OnnxWriter, TfliteOperator], None]] = {
    "ADD": OnnxWriter.add,
    "CONCATENATION": OnnxWriter.concatenation,
    "CONV_2D": OnnxWriter.conv,
    "DEPTHWISE_CONV_2D": OnnxWriter.depthwise_conv,
    "DEQUANTIZE": OnnxWriter.dequantize,
    "MAX_POOL_2D": OnnxWriter.max_pool,
    "PAD": OnnxWriter.pad,
    "PRELU": OnnxWriter.prelu,
    "RELU": OnnxWriter.relu,
    "RESHAPE": OnnxWriter.reshape,
    "RESIZE_BILINEAR": OnnxWriter.resize_bilinear,
}


def _pads(operator: TfliteOperator, reach: tuple[int, int]) -> list[int]:
    """Rows and columns before, then after; the odd one goes after."""
    if operator.options["Padding"] != _SAME_PADDING:
        return [0, 0, 0, 0]
    before, after = [], []
    strides = (operator.options["StrideH"], operator.options["StrideW"])
    sizes = operator.inputs[0].shape[1:3]
    for size, stride, span in zip(sizes, strides, reach, strict=True):
        missing = max((-(-size // stride) - 1) * stride + span - size, 0)
        before.append(missing // 2)
        after.append(missing - missing // 2)
    return before + after
