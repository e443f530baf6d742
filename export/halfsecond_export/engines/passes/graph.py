"""What the passes ask of an ONNX graph, and how they tidy up behind themselves."""

from __future__ import annotations

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from typing import Any

from numpy.typing import NDArray

from halfsecond.errors import UnsupportedModelError


class GraphIndex:
    """Who makes and who reads each tensor of a graph as it was; the index follows no edits."""

    def __init__(self, model: Any) -> None:
        self.graph = model.graph
        self.makers: dict[str, Any] = {}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        self._tensors = {tensor.name: tensor for tensor in self.graph.initializer}
        for node in self.graph.node:
            for name in node.output:
                self.makers[name] = node
            for name in node.input:
                self.readers[name].append(node)
            if node.op_type == "Constant":
                value = next((a.t for a in node.attribute if a.name == "value"), None)
                if value is not None:
                    self._tensors[node.output[0]] = value
        self.outputs = {value.name for value in self.graph.output}

    def tensor(self, name: str) -> Any | None:
        """The constant of this name, an initializer or a Constant node's, as a TensorProto."""
        return self._tensors.get(name)

    def constant(self, name: str) -> NDArray[Any] | None:
        """Its values; None for a tensor that is computed."""
        from onnx import numpy_helper

        tensor = self._tensors.get(name)
        return None if tensor is None else numpy_helper.to_array(tensor)

    def only_reader(self, name: str) -> Any | None:
        """The one node that reads a tensor; None where several do or the graph gives it out."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


def add_constant(model: Any, name: str, values: NDArray[Any]) -> str:
    """Adds an initializer; returns its name."""
    from onnx import numpy_helper

    model.graph.initializer.append(numpy_helper.from_array(values, name))
    return name


def redirect(model: Any, old: str, new: str) -> None:
    """Makes every reader of `old` read `new`; an output called `old` is made by an Identity."""
    from onnx import helper

    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == old:
                node.input[index] = new
    if old in {value.name for value in model.graph.output}:
        model.graph.node.append(helper.make_node("Identity", [new], [old], name=f"{old}.identity"))


def drop_unused(model: Any) -> int:
    """Removes what no output depends on; returns the number of nodes that went."""
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [value.name for value in graph.output]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in makers:
            waiting.extend(_reads(makers[name]))
    kept = [node for node in graph.node if any(name in needed for name in node.output)]
    removed = len(graph.node) - len(kept)
    del graph.node[:]
    graph.node.extend(kept)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(tensors)
    return removed


def drop_unread_inputs(model: Any) -> None:
    """Removes inputs of the graph that no node reads."""
    read = {name for node in model.graph.node for name in _reads(node)}
    for value in [value for value in model.graph.input if value.name not in read]:
        model.graph.input.remove(value)


def in_order(model: Any) -> Any:
    """The same model, sorted in place so that every node comes after those that it reads.

    Raises:
        UnsupportedModelError: nodes wait for one another.
    """
    nodes = list(model.graph.node)
    makers = {name: index for index, node in enumerate(nodes) for name in node.output}
    needed = {
        index: [makers[name] for name in _reads(node) if name in makers]
        for index, node in enumerate(nodes)
    }
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        names = ", ".join(nodes[index].name or nodes[index].op_type for index in error.args[1])
        raise UnsupportedModelError(
            f"the graph cannot be put in order: {names} wait for one another; "
            "export the model again"
        ) from error
    copies = [type(nodes[index]).FromString(nodes[index].SerializeToString()) for index in order]
    del model.graph.node[:]
    model.graph.node.extend(copies)
    return model


def _reads(node: Any) -> list[str]:
    """The inputs of a node, and what the graphs inside it take from outside."""
    names = list(node.input)
    for attribute in node.attribute:
        for inner in attribute.g.node:
            names.extend(_reads(inner))
    return names
