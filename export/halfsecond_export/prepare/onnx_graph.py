"""Putting an ONNX graph together: nodes and tensors by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MICROSOFT = "com.microsoft"
"""The domain of ONNX Runtime's own operators."""

_OPSET, _IR_VERSION = 17, 9

# Tensors from this size on lie in the data file, which is mapped and not read.
_EXTERNAL_BYTES = 1024


class GraphBuilder:
    """Nodes and tensors in the order that they are added."""

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, kind: str, shape: list[int | str]) -> str:
        """Declares an input; `kind` is a name of numpy's, a text in `shape` a size that varies."""
        self._inputs.append(_declared(name, kind, shape))
        return name

    def output(self, name: str, kind: str, shape: list[int | str]) -> None:
        """Declares what a node of this name gives as an output of the graph."""
        self._outputs.append(_declared(name, kind, shape))

    def tensor(self, name: str, values: NDArray[Any]) -> str:
        """Adds a constant."""
        from onnx import numpy_helper

        self._tensors.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def shared_tensor(self, name: str, values: NDArray[Any]) -> str:
        """Adds a small constant that several nodes may ask for by the same name."""
        if all(tensor.name != name for tensor in self._tensors):
            self.tensor(name, values)
        return name

    def shape(self, sizes: tuple[int, ...]) -> str:
        """A constant of sizes, or of axes, int64 (n,)."""
        name = "shape." + ".".join(map(str, sizes))
        return self.shared_tensor(name, np.array(sizes, np.int64))

    def node(
        self, kind: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any
    ) -> str:
        """Adds a node; returns the name of its first output. "" leaves out an input or output."""
        from onnx import helper

        first = next(filter(None, outputs))
        node = helper.make_node(
            kind, inputs, outputs, name=first, domain=domain or None, **attributes
        )
        self._nodes.append(node)
        return first

    def save(self, path: Path) -> None:
        """Writes the model to `path`, and its large tensors to `path` + ".data"."""
        import onnx
        from onnx import helper

        graph = helper.make_graph(
            self._nodes, path.stem, self._inputs, self._outputs, self._tensors
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)]
        data = path.with_name(path.name + ".data")
        onnx.save_model(
            helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION),
            str(path),
            save_as_external_data=True,
            location=data.name,
            size_threshold=_EXTERNAL_BYTES,
        )
        # The library closes its data to other users; a store may be shared by several.
        data.chmod(0o644)


def _declared(name: str, kind: str, shape: list[int | str]) -> Any:
    from onnx import helper

    element = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    return helper.make_tensor_value_info(name, element, shape)
