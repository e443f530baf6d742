"""A stand-in with Wav2Lip's inputs and output whose pictures can be told by eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def write_echo(
    path: Path, *, patch_px: int = 96, steps: int = 16, batch: int | str = "N", depth: float = 0.0
) -> None:
    """Writes a network that returns the reference face: a frame must look like the portrait.

    With `depth` an oval where the mouth is gets darker with the sound, by up to that part.
    """
    row, column = np.mgrid[0:patch_px, 0:patch_px] / patch_px
    oval = ((row - 0.67) / 0.09) ** 2 + ((column - 0.5) / 0.14) ** 2 < 1.0
    constants: dict[str, Any] = {
        "oval": (depth / 8.0 * oval[None, None]).astype(np.float32),
        "floor": np.array(4.0, np.float32),
        "one": np.array(1.0, np.float32),
        "first": np.array([3], np.int64),
        "last": np.array([6], np.int64),
        "axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Slice", ["face_sequences", "first", "last", "axis"], ["reference"]),
        helper.make_node("ReduceMean", ["audio_sequences"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Add", ["mean", "floor"], ["loudness"]),
        helper.make_node("Mul", ["loudness", "oval"], ["shade"]),
        helper.make_node("Sub", ["one", "shade"], ["light"]),
        helper.make_node("Mul", ["reference", "light"], ["faces"]),
    ]
    shapes = {
        "audio_sequences": (1, 80, steps),
        "face_sequences": (6, patch_px, patch_px),
        "faces": (3, patch_px, patch_px),
    }
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape])
        for name, shape in shapes.items()
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "echo", values[:2], values[2:], weights)
    opset = helper.make_opsetid("", 17)  # the last whose ReduceMean has its axes as an attribute
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), str(path))
