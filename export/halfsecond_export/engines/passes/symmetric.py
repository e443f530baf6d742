"""A static INT8 (QDQ) network in TensorRT's terms: int8 with zero points of zero, float biases.

ONNX Runtime's CPU kernels like uint8 activations with a zero point; TensorRT reads neither these
nor int32 biases.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.engines.passes.graph import GraphIndex, add_constant, drop_unused

_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")


def is_static_int8(model: Any) -> bool:
    """Whether the network holds QuantizeLinear nodes, which decide its precision."""
    return any(node.op_type == "QuantizeLinear" for node in model.graph.node)


def fold_biases(model: Any) -> int:
    """Replaces dequantised int32 constants by float ones in place; returns how many."""
    index = GraphIndex(model)
    folded = 0
    for node in [each for each in model.graph.node if each.op_type == "DequantizeLinear"]:
        values, scale = index.constant(node.input[0]), index.constant(node.input[1])
        if values is None or scale is None or values.dtype != np.int32:
            continue
        add_constant(model, node.output[0], values.astype(np.float32) * scale)
        model.graph.node.remove(node)
        folded += 1
    drop_unused(model)
    return folded


def make_symmetric(model: Any) -> int:
    """Turns uint8 activations into int8 around zero in place; returns how many scales changed.

    The new scale spans the old range, so one that began at zero loses a bit. There a ReLU is put
    in front: the quantiser may have left it out, as uint8 with a zero point of 0 cuts at 0.

    Raises UnsupportedModelError for uint8 weights.
    """
    index = GraphIndex(model)
    renamed: dict[tuple[str, str], tuple[str, str]] = {}
    for node in [each for each in model.graph.node if each.op_type in _QUANTIZERS]:
        zero = index.constant(node.input[2]) if len(node.input) > 2 else None
        if zero is None or zero.dtype != np.uint8:
            continue
        if index.constant(node.input[0]) is not None:
            raise UnsupportedModelError(
                f"{node.name}: weights in uint8; quantise them to int8 (`weight_type=QInt8`)"
            )
        if node.op_type == "QuantizeLinear" and not zero.any():
            _put_relu_before(model, node)
        pair = (node.input[1], node.input[2])
        if pair not in renamed:
            renamed[pair] = _symmetric_pair(model, index, pair[0], zero)
        del node.input[1:]
        node.input.extend(renamed[pair])
    drop_unused(model)
    return len(renamed)


def _put_relu_before(model: Any, quantize: Any) -> None:
    from onnx import helper

    relu = f"{quantize.output[0]}.relu"
    position = list(model.graph.node).index(quantize)
    model.graph.node.insert(
        position, helper.make_node("Relu", [quantize.input[0]], [relu], name=relu)
    )
    quantize.input[0] = relu


def _symmetric_pair(model: Any, index: GraphIndex, scale_name: str, zero: Any) -> tuple[str, str]:
    scale = index.constant(scale_name)
    if scale is None:
        raise UnsupportedModelError(f"the scale {scale_name!r} is computed, not constant")
    reach = np.maximum(zero.astype(np.float32), 255 - zero.astype(np.float32))
    wider = (scale * reach / 127).astype(np.float32)
    number = len(model.graph.initializer)
    return (
        add_constant(model, f"{scale_name}.symmetric{number}", wider),
        add_constant(model, f"{scale_name}.zero{number}", np.zeros(zero.shape, np.int8)),
    )
