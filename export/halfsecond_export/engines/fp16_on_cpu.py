"""An fp16 network as a GPU computes it, on kernels that have no fp16: every tensor is rounded.

ONNX Runtime's CPU kernels compute an fp16 network in float32 from end to end, so that what
overflows on the GPU looks well there. Here every fp16 tensor becomes a float32 one that goes
through fp16 behind the node that makes it; sums inside a node stay float32, as on tensor cores.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def emulate_fp16(model: Any) -> Any:
    """A float32 model with the fp16 model's rounding; `model` is used up.

    Inputs and outputs that were float16 are float32.
    """
    import onnx

    del model.graph.value_info[:]
    typed = onnx.shape_inference.infer_shapes(model).graph
    half = onnx.TensorProto.FLOAT16
    halves = {
        value.name
        for value in (*typed.value_info, *typed.input, *typed.output)
        if value.type.tensor_type.elem_type == half
    }
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == half:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    for tensor in model.graph.initializer:
        _widen(tensor)
    nodes: list[Any] = []
    for node in model.graph.node:
        _widen_attributes(node)
        nodes.append(node)
        for index, name in enumerate(node.output):
            if name in halves:
                nodes += _rounded(node, index, name)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def _rounded(node: Any, index: int, name: str) -> list[Any]:
    """The node gives `name`.wide, which goes through fp16 and comes out as `name`."""
    from onnx import TensorProto, helper

    node.output[index] = f"{name}.wide"
    return [
        helper.make_node("Cast", [f"{name}.wide"], [f"{name}.half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT),
    ]


def _widen(tensor: Any) -> None:
    from onnx import TensorProto, numpy_helper

    if tensor.data_type == TensorProto.FLOAT16:
        values = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))


def _widen_attributes(node: Any) -> None:
    from onnx import TensorProto

    for attribute in node.attribute:
        if attribute.HasField("t"):
            _widen(attribute.t)
        if attribute.name in ("to", "dtype") and attribute.i == TensorProto.FLOAT16:
            attribute.i = TensorProto.FLOAT
