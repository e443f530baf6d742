"""Resemblyzer's speaker encoder from its checkpoint to ONNX: three LSTM layers and a projection.

The layout: resemble-ai/Resemblyzer, `voice_encoder.py` (hidden size 256, the last hidden state
through a linear layer and a rectifier, scaled to unit length).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.checkpoint_file import read_checkpoint
from halfsecond_export.prepare.onnx_graph import GraphBuilder

LAYERS, HIDDEN, BANDS = 3, 256, 40
MODEL_FILE = "speaker_encoder.onnx"

_GATES = (0, 3, 1, 2)
"""torch stacks the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
_SMALLEST_NORM = 1e-6


def convert_speaker_encoder(source: Path, directory: Path) -> Mapping[str, Any]:
    """Writes `speaker_encoder.onnx`: mels (n, frames, 40) in, voices (n, 256) of unit length out.

    Returns details for the manifest. Raises ModelMissingError, ModelCorruptError and
    UnsupportedModelError.
    """
    weights = _weights(source)
    graph = GraphBuilder()
    graph.input("mels", "float32", ["windows", "frames", BANDS])
    name = graph.node("Transpose", ["mels"], "by_frame", perm=[1, 0, 2])
    for layer in range(LAYERS):
        name = _lstm(graph, weights, layer, name)
    name = graph.node("Squeeze", [name, graph.shape((0,))], "last")
    matrix = graph.tensor("linear.weight", weights["linear.weight"])
    bias = graph.tensor("linear.bias", weights["linear.bias"])
    name = graph.node("Gemm", [name, matrix, bias], "projected", transB=1)
    name = graph.node("Relu", [name], "positive")
    norm = graph.node("ReduceL2", [name], "length", axes=[1], keepdims=1)
    smallest = graph.tensor("smallest", np.array(_SMALLEST_NORM, np.float32))
    norm = graph.node("Max", [norm, smallest], "divisor")
    graph.node("Div", [name, norm], "voices")
    graph.output("voices", "float32", ["windows", HIDDEN])
    graph.save(directory / MODEL_FILE)
    return {"encoder": "resemblyzer", "parameters": sum(w.size for w in weights.values())}


def _lstm(
    graph: GraphBuilder, weights: Mapping[str, NDArray[np.float32]], layer: int, name: str
) -> str:
    """One layer; the last gives its last state, the others their states (frames, windows, 256)."""
    inputs = graph.tensor(f"w{layer}", _onnx_gates(weights[f"lstm.weight_ih_l{layer}"])[None])
    states = graph.tensor(f"r{layer}", _onnx_gates(weights[f"lstm.weight_hh_l{layer}"])[None])
    both = [_onnx_gates(weights[f"lstm.bias_{part}_l{layer}"]) for part in ("ih", "hh")]
    bias = graph.tensor(f"b{layer}", np.concatenate(both)[None])
    is_last = layer == LAYERS - 1
    outputs = ("", f"h{layer}") if is_last else (f"y{layer}",)
    name = graph.node("LSTM", [name, inputs, states, bias], *outputs, hidden_size=HIDDEN)
    if is_last:
        return name
    return graph.node("Squeeze", [name, graph.shape((1,))], f"states{layer}")


def _onnx_gates(values: NDArray[np.float32]) -> NDArray[np.float32]:
    parts = np.split(values, 4)
    return np.concatenate([parts[gate] for gate in _GATES])


def _weights(source: Path) -> dict[str, NDArray[np.float32]]:
    """The tensors of the network by name, their shapes checked."""
    saved = read_checkpoint(source)
    state = saved.get("model_state") if isinstance(saved, Mapping) else None
    if not isinstance(state, Mapping):
        raise UnsupportedModelError(
            f"{source.name} has no model_state; expected Resemblyzer's pretrained.pt"
        )
    weights = {}
    for name, shape in _shapes().items():
        values = state.get(name)
        if not isinstance(values, np.ndarray) or values.shape != shape:
            found = getattr(values, "shape", "nothing")
            raise UnsupportedModelError(
                f"{source.name}: {name} is {found}, expected {shape}; another speaker encoder?"
            )
        if not np.isfinite(values).all():
            raise ModelCorruptError(f"{source.name}: {name} has numbers that are not finite")
        weights[name] = values.astype(np.float32)
    return weights


def _shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "linear.weight": (HIDDEN, HIDDEN),
        "linear.bias": (HIDDEN,),
    }
    for layer in range(LAYERS):
        shapes[f"lstm.weight_ih_l{layer}"] = (4 * HIDDEN, HIDDEN if layer else BANDS)
        shapes[f"lstm.weight_hh_l{layer}"] = (4 * HIDDEN, HIDDEN)
        shapes[f"lstm.bias_ih_l{layer}"] = (4 * HIDDEN,)
        shapes[f"lstm.bias_hh_l{layer}"] = (4 * HIDDEN,)
    return shapes
