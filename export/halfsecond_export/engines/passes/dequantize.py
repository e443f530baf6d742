"""Float weights again in a network that was quantised dynamically: TensorRT reads no such INT8.

`DynamicQuantizeLinear → MatMulInteger → Cast → Mul(scales)` becomes one `MatMul` on the same
rounded weights, and the like for convolutions. What the activations lost by rounding comes back.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.engines.passes.graph import GraphIndex, add_constant, drop_unused

_FLOAT_OPERATORS = {"MatMulInteger": "MatMul", "ConvInteger": "Conv"}


def dequantize(model: Any) -> int:
    """Replaces integer products by float ones in place; returns how many.

    Raises UnsupportedModelError, with the node, where the pattern is another.
    """
    from onnx import helper

    index = GraphIndex(model)
    found = [node for node in model.graph.node if node.op_type in _FLOAT_OPERATORS]
    for node in found:
        source, scale, product = _pattern(index, node)
        weights = add_constant(model, f"{product.output[0]}.weights", _weights(index, node, scale))
        position = list(model.graph.node).index(product)
        model.graph.node.remove(product)
        replacement = helper.make_node(
            _FLOAT_OPERATORS[node.op_type], [source, weights], list(product.output), name=node.name
        )
        replacement.attribute.extend(node.attribute)
        model.graph.node.insert(position, replacement)
    drop_unused(model)
    return len(found)


def _pattern(index: GraphIndex, node: Any) -> tuple[str, str, Any]:
    """The float input of a product, the scale of its weights, and the Mul by both scales."""
    quantize = index.makers.get(node.input[0])
    cast = index.only_reader(node.output[0])
    product = None if cast is None else index.only_reader(cast.output[0])
    if (
        quantize is None
        or quantize.op_type != "DynamicQuantizeLinear"
        or cast is None
        or product is None
        or (cast.op_type, product.op_type) != ("Cast", "Mul")
    ):
        raise _unknown(node)
    both = next(name for name in product.input if name != cast.output[0])
    scales = index.makers.get(both)
    if scales is None or scales.op_type != "Mul" or quantize.output[1] not in scales.input:
        raise _unknown(node)
    scale = next(name for name in scales.input if name != quantize.output[1])
    return quantize.input[0], scale, product


def _weights(index: GraphIndex, node: Any, scale_name: str) -> NDArray[np.float32]:
    values, scale = index.constant(node.input[1]), index.constant(scale_name)
    zero = index.constant(node.input[3]) if len(node.input) > 3 else np.zeros((), np.float32)
    if values is None or scale is None or zero is None:
        raise _unknown(node)
    if node.op_type == "ConvInteger" and max(scale.size, zero.size) > 1:
        shape = (-1, *[1] * (values.ndim - 1))
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    result: NDArray[np.float32] = (values.astype(np.float32) - zero.astype(np.float32)) * scale
    return result


def _unknown(node: Any) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{node.name} ({node.op_type}) is not quantised in the way that ONNX Runtime's dynamic "
        "quantisation writes; export the network in float32 instead"
    )
