"""Small ONNX networks with what the graph passes look for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Shape = Sequence[int | str]


def network(
    nodes: Sequence[Any],
    inputs: dict[str, Shape],
    outputs: dict[str, Shape],
    constants: dict[str, NDArray[Any]] | None = None,
    *,
    opset: int = 17,
) -> Any:
    """A checked model; inputs and outputs are float32."""
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        list(nodes),
        "small",
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, kind, list(shape)) for name, shape in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in (constants or {}).items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def node(kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> Any:
    """A node that is called like its first output."""
    return helper.make_node(kind, list(inputs), list(outputs), name=outputs[0], **attributes)


def run(model: Any, **feeds: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What ONNX Runtime computes, by output, without its own rewriting."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [each.name for each in session.get_outputs()]
    results: Any = session.run(None, feeds)
    return dict(zip(names, results, strict=True))


def operators(model: Any) -> list[str]:
    """The operators of a graph, sorted."""
    return sorted(each.op_type for each in model.graph.node)


def two_layers(path: Path, *, operator: str = "Relu", seed: int = 0) -> Path:
    """Writes y = (relu(x A)) B with x (batch, 8)."""
    rng = np.random.default_rng(seed)
    first, second = (rng.normal(size=(8, 8)).astype(np.float32) for _ in range(2))
    nodes = [
        node("MatMul", ["x", "A"], "hidden"),
        node(operator, ["hidden"], "active"),
        node("MatMul", ["active", "B"], "y"),
    ]
    model = network(nodes, {"x": ("batch", 8)}, {"y": ("batch", 8)}, {"A": first, "B": second})
    onnx.save(model, str(path))
    return path
