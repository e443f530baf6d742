"""An ear and a learned mouth as one ONNX file: sound in, pictures out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from halfsecond.models.lipsync.compiled_mouth import PICTURES
from halfsecond_export.mouth.ear import Ear
from halfsecond_export.mouth.learning import LearnedMouth


def write_mouth(ear: Ear, mouth: LearnedMouth, path: Path) -> None:
    """Writes the file; its output is as a generator's, (N, 3, S, S) BGR from 0 to 1."""
    model = onnx.ModelProto()
    model.CopyFrom(ear.model)
    layers = _Layers()
    layers.add_all(ear.heard, mouth)
    graph = model.graph
    graph.node.extend(layers.nodes)
    graph.initializer.extend(layers.weights)
    del graph.output[:]
    shape = ["N", *mouth.mean.shape]
    graph.output.append(helper.make_tensor_value_info(PICTURES, TensorProto.FLOAT, shape))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


@dataclass
class _Layers:
    """What comes after the ear."""

    nodes: list[Any] = field(default_factory=list[Any])
    weights: list[Any] = field(default_factory=list[Any])

    def add_all(self, heard: str, mouth: LearnedMouth) -> None:
        """From `heard` to the pictures."""
        side = mouth.mean.shape[1]
        top, bottom, left, right = mouth.box
        self._node("Flatten", [heard], "flat", axis=1)
        # A generator in fp16 hears in fp16.
        self._node("Cast", ["flat"], "x", to=TensorProto.FLOAT)
        self._product("x", "inward", mouth.inward, mouth.shift)
        self._node("Relu", ["inward"], "hidden")
        self._product("hidden", "outward", mouth.outward, mouth.offset)
        self._product("x", "direct", mouth.direct)
        self._node("Add", ["outward", "direct"], "shares")
        self._product("shares", "moved", mouth.basis)
        self._weight("box", np.array([-1, 3, bottom - top, right - left], np.int64))
        self._node("Reshape", ["moved", "box"], "boxed")
        around = [0, 0, top, left, 0, 0, side - bottom, side - right]
        self._weight("around", np.array(around, np.int64))
        self._node("Pad", ["boxed", "around"], "padded")
        self._weight("mean", mouth.mean[np.newaxis])
        self._node("Add", ["padded", "mean"], "added")
        self._weight("black", np.array(0.0, np.float32))
        self._weight("white", np.array(1.0, np.float32))
        inputs = [f"mouth/{name}" for name in ("added", "black", "white")]
        self.nodes.append(helper.make_node("Clip", inputs, [PICTURES], name="mouth/clip"))

    def _product(
        self,
        source: str,
        name: str,
        weight: NDArray[np.float32],
        offset: NDArray[np.float32] | None = None,
    ) -> None:
        self._weight(f"{name}/weight", weight)
        inputs = [source, f"{name}/weight"]
        if offset is not None:
            self._weight(f"{name}/offset", offset)
            inputs.append(f"{name}/offset")
        self._node("Gemm", inputs, name)

    def _node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        # The first input comes from the ear, whose names are not ours.
        names = inputs if operator == "Flatten" else [f"mouth/{name}" for name in inputs]
        name = f"mouth/{output}"
        self.nodes.append(helper.make_node(operator, names, [name], name=name, **attributes))

    def _weight(self, name: str, values: NDArray[Any]) -> None:
        array = np.ascontiguousarray(values)
        self.weights.append(numpy_helper.from_array(array, f"mouth/{name}"))
