"""The part of a network between named tensors: what TensorRT cannot read stays outside."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from halfsecond.errors import ConfigError, UnsupportedModelError


def cut(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """A new model that computes `outputs` from `inputs`; the weights are shared with the old one.

    Empty `inputs` or `outputs` stand for the model's own.

    Raises:
        ConfigError: there is no such tensor; the message says which are spelt alike.
        UnsupportedModelError: the outputs depend on another input of the whole network, or the
            type of a tensor at the cut is not known.
    """
    import onnx
    from onnx.utils import Extractor

    known = {name for node in model.graph.node for name in node.output}
    known |= {value.name for value in model.graph.input}
    _check_names(known, [*inputs, *outputs])
    inputs = inputs or _own_inputs(model)
    outputs = outputs or [value.name for value in model.graph.output]
    typed = onnx.shape_inference.infer_shapes(model)
    _check_enclosed(typed, set(inputs), outputs)
    return Extractor(typed).extract_model(list(inputs), list(outputs))


def _own_inputs(model: Any) -> list[str]:
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value.name for value in model.graph.input if value.name not in weights]


def _check_names(known: set[str], wanted: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            hint = f"; spelt alike: {', '.join(near)}" if near else ""
            raise ConfigError(f"there is no tensor {name!r} in this network to cut at{hint}")


def _check_enclosed(model: Any, inputs: set[str], outputs: Sequence[str]) -> None:
    """The library would leave the other input dangling, and say nothing."""
    graph = model.graph
    typed = {value.name for value in (*graph.value_info, *graph.input, *graph.output)}
    for name in (*inputs, *outputs):
        if name not in typed:
            raise UnsupportedModelError(f"the type of {name!r} cannot be inferred; cut elsewhere")
    makers = {name: node for node in graph.node for name in node.output}
    own = set(_own_inputs(model)) - inputs
    waiting, seen = list(outputs), set(inputs)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in own:
            raise UnsupportedModelError(
                f"{', '.join(outputs)} cannot be computed from {', '.join(sorted(inputs))} alone: "
                f"the network's input {name!r} is needed too"
            )
        if name in makers:
            waiting.extend(makers[name].input)
