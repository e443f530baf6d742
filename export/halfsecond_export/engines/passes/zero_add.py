"""Removal of `Add(x, ConstantOfShape(0))`, which the exporter writes for `x + zeros_like(x)`.

TensorRT-RTX does not build the VITS flow and decoder with them.
"""

from __future__ import annotations

from typing import Any

from halfsecond_export.engines.passes.graph import GraphIndex, drop_unused, redirect


def remove_zero_adds(model: Any) -> int:
    """Removes additions of computed zeros in place; returns how many.

    One stays where the zeros would enlarge `x`, as far as the shapes are known.
    """
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: _sizes(value)
        for value in (*inferred.value_info, *inferred.input, *inferred.output)
    }
    index = GraphIndex(model)
    removed = 0
    for node in [each for each in model.graph.node if each.op_type == "Add"]:
        for zeros, other in (tuple(node.input), tuple(reversed(node.input))):
            if _is_zeros(index, zeros) and _keeps_shape(shapes, zeros, other):
                model.graph.node.remove(node)
                redirect(model, node.output[0], other)
                removed += 1
                break
    drop_unused(model)
    return removed


def _is_zeros(index: GraphIndex, name: str) -> bool:
    maker = index.makers.get(name)
    if maker is None or maker.op_type != "ConstantOfShape":
        return False
    value = next((a.t for a in maker.attribute if a.name == "value"), None)
    if value is None:
        return True
    from onnx import numpy_helper

    return not numpy_helper.to_array(value).any()


def _sizes(value: Any) -> list[int | str] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    return [size.dim_value or size.dim_param for size in kind.shape.dim]


def _keeps_shape(shapes: dict[str, Any], zeros: str, other: str) -> bool:
    """Whether x + zeros has the shape of x; a size that is not known is taken to fit."""
    small, large = shapes.get(zeros), shapes.get(other)
    if large is None:
        return False
    if small is None:
        return True
    if len(small) > len(large):
        return False
    pairs = zip(reversed(small), reversed(large), strict=False)
    return not any(isinstance(s, int) and s > 1 and isinstance(b, int) and s != b for s, b in pairs)
