"""An internal tensor of an ONNX network as one more output, with everything else untouched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, UnsupportedModelError


def add_onnx_output(source: Path, target: Path, *, tensor: str, name: str) -> None:
    """Writes the network in `source` to `target` with the tensor `tensor` as output `name`.

    The output comes last, so callers that count outputs keep working. Raises ModelCorruptError
    for a damaged file and UnsupportedModelError where there is no such tensor or the name is
    taken; nothing is written then.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(source.read_bytes())
        onnx.checker.check_model(model)
    except Exception as error:  # protobuf's own error has no public, typed name
        raise ModelCorruptError(
            f"{source.name}: no valid ONNX file, it is cut off or damaged ({error}). "
            "Fetch it again."
        ) from error
    graph = model.graph
    computed = {output for node in graph.node for output in node.output}
    if tensor not in computed:
        raise UnsupportedModelError(
            f"{source.name}: no tensor {tensor!r} in this network; another version of the model "
            "than the one that the catalog pins?"
        )
    if name in computed or name in {value.name for value in (*graph.input, *graph.output)}:
        raise UnsupportedModelError(f"{source.name}: there is already a tensor named {name!r}")
    graph.node.append(onnx.helper.make_node("Identity", [tensor], [name], name=f"output_{name}"))
    graph.output.append(_value_info(model, tensor, name))
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString())


def _value_info(model: Any, tensor: str, name: str) -> Any:
    """Element type and rank come from shape inference; every size stays free."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model)
    for value in inferred.graph.value_info:
        kind = value.type.tensor_type
        if value.name == tensor and kind.elem_type and kind.HasField("shape"):
            sizes = [f"{name}_size_{axis}" for axis in range(len(kind.shape.dim))]
            return onnx.helper.make_tensor_value_info(name, kind.elem_type, sizes)
    raise UnsupportedModelError(f"the type of {tensor!r} cannot be inferred from the network")
