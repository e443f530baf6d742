"""Small voices with random weights, built as Piper's exporter builds large ones."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

RATE_HZ = 16_000
HOP = 64
CHANNELS = 8
SYMBOLS = "^_$ ,.?!'abcdefghijklmnopqrstuvwxyz"
SPEAKERS = {"ann": 0, "bob": 1, "cyd": 2}
_SPEAKER_SIZE = 6
_ROWS = 64
"""Of the table of symbols, which is larger than need be, as Piper's is."""


@dataclass
class _Graph:
    """An ONNX graph that is written node by node, with names that tell nothing."""

    nodes: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(3))

    def add(self, kind: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        from onnx import helper

        name = to or f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(kind, list(inputs), [name], name=f"n{name}", **attributes)
        )
        return name

    def constant(self, values: Any, kind: Any = np.float32) -> str:
        from onnx import numpy_helper

        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, kind), name))
        return name

    def random(self, *shape: int, scale: float = 1.0) -> str:
        return self.constant(scale * self.rng.standard_normal(shape))

    def conv(self, x: str, outputs: int, inputs: int, kernel: int, scale: float = 0.3) -> str:
        weight = self.random(outputs, inputs, kernel, scale=scale)
        return self.add("Conv", x, weight, pads=[kernel // 2] * 2, kernel_shape=[kernel])


def piper_voice(
    directory: Path, *, has_speakers: bool = False, name: str = "en_US-small", **settings: Any
) -> Path:
    """Writes NAME.onnx and NAME.onnx.json as Piper's are; returns the path of the first.

    settings: keys of the JSON that replace its own.
    """
    import onnx

    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.onnx"
    onnx.save_model(whole_graph(has_speakers=has_speakers), str(path))
    given: dict[str, Any] = {
        "audio": {"sample_rate": RATE_HZ, "quality": "small"},
        "espeak": {"voice": "en-us"},
        "inference": {"noise_scale": 0.5, "length_scale": 1.0, "noise_w": 0.6},
        "phoneme_type": "text",
        "phoneme_id_map": {symbol: [at] for at, symbol in enumerate(SYMBOLS)},
        "speaker_id_map": SPEAKERS if has_speakers else {},
    }
    path.with_name(path.name + ".json").write_text(json.dumps(given | settings), "utf-8")
    return path


def whole_graph(*, has_speakers: bool = False) -> Any:
    """A whole voice: embeddings, durations and noise that are drawn, alignment, flow, decoder."""
    from onnx import TensorProto, helper

    graph = _Graph()
    scales = [graph.add("Gather", "scales", graph.constant(at, np.int64)) for at in range(3)]
    table = graph.random(_ROWS, CHANNELS)
    if not has_speakers:
        # As in real exports, a weight has the name of an input that is not there.
        graph.weights[-1].name = table = "sid"
    embedded = graph.add("Gather", table, "input")
    durations = _durations(graph, scales)
    aligned, mask = _alignment(graph, durations)
    mean = _transposed(graph, graph.add("MatMul", aligned, embedded))
    logs = graph.add("Mul", mean, graph.constant(0.1))
    noise = graph.add("RandomNormalLike", mean)
    spread = graph.add("Mul", graph.add("Mul", noise, graph.add("Exp", logs)), scales[0])
    latent = graph.add("Add", mean, spread)
    speaker = ""
    if has_speakers:
        row = graph.add("Gather", graph.random(len(SPEAKERS), _SPEAKER_SIZE), "sid")
        speaker = graph.add("Unsqueeze", row, graph.constant([2], np.int64))
    _decoded(graph, _flowed(graph, latent, mask, speaker), speaker)
    inputs = [
        helper.make_tensor_value_info("input", TensorProto.INT64, ["B", "P"]),
        helper.make_tensor_value_info("input_lengths", TensorProto.INT64, ["B"]),
        helper.make_tensor_value_info("scales", TensorProto.FLOAT, [3]),
    ]
    if has_speakers:
        inputs.append(helper.make_tensor_value_info("sid", TensorProto.INT64, ["B"]))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, ["B", 1, "S"])
    made = helper.make_graph(graph.nodes, "voice", inputs, [output], graph.weights)
    opset = helper.make_opsetid("", 15)
    return helper.make_model(made, opset_imports=[opset], ir_version=8)


def _transposed(graph: _Graph, x: str) -> str:
    return graph.add("Transpose", x, perm=[0, 2, 1])


def _durations(graph: _Graph, scales: list[str]) -> str:
    """(1, 1, T): about six frames for each symbol."""
    longest = graph.add("ReduceMax", "input_lengths", keepdims=0)
    length = graph.add("Unsqueeze", longest, graph.constant([0], np.int64))
    shape = graph.add("Concat", graph.constant([1, 2], np.int64), length, axis=0)
    noise = graph.add("RandomNormalLike", graph.add("ConstantOfShape", shape))
    uneven = graph.add("Mul", noise, scales[2])
    first = [graph.constant(each, np.int64) for each in ([0], [1], [1])]
    logs = graph.add("Add", graph.add("Slice", uneven, *first), graph.constant(1.7))
    return graph.add("Ceil", graph.add("Mul", graph.add("Exp", logs), scales[1]))


def _alignment(graph: _Graph, durations: str) -> tuple[str, str]:
    """Which symbol each frame is of, (1, F, T), and the mask of a batch, (1, 1, F)."""
    ends = graph.add("CumSum", durations, graph.constant(2, np.int64))
    starts = graph.add("Sub", ends, durations)
    zero, one = graph.constant(0.0), graph.constant(1.0)
    total = graph.add("ReduceSum", durations, keepdims=0)
    frames = graph.add("Range", zero, total, one)
    at = graph.add("Unsqueeze", frames, graph.constant([0, 2], np.int64))
    is_here = graph.add("And", graph.add("GreaterOrEqual", at, starts), graph.add("Less", at, ends))
    row = graph.add("Unsqueeze", graph.add("Less", frames, total), graph.constant([0, 1], np.int64))
    return _cast(graph, is_here), _cast(graph, row)


def _cast(graph: _Graph, x: str) -> str:
    from onnx import TensorProto, helper

    name = f"t{len(graph.nodes)}"
    graph.nodes.append(helper.make_node("Cast", [x], [name], to=TensorProto.FLOAT))
    return name


def _flowed(graph: _Graph, latent: str, mask: str, speaker: str) -> str:
    hidden = graph.conv(graph.add("Mul", latent, mask), CHANNELS, CHANNELS, 5)
    # What `x + zeros_like(x)` is exported as.
    zeros = graph.add("ConstantOfShape", graph.add("Shape", hidden))
    hidden = graph.add("Add", hidden, zeros)
    if speaker:
        hidden = graph.add("Add", hidden, graph.conv(speaker, CHANNELS, _SPEAKER_SIZE, 1))
    moved = graph.add("Sub", latent, graph.add("Tanh", hidden))
    return graph.add("Mul", moved, mask)


def _decoded(graph: _Graph, z: str, speaker: str) -> None:
    x = graph.conv(z, 8, CHANNELS, 7)
    if speaker:
        x = graph.add("Add", x, graph.conv(speaker, 8, _SPEAKER_SIZE, 1))
    for inputs, outputs in ((8, 4), (4, 4)):
        up = graph.random(inputs, outputs, 16, scale=0.4)
        x = graph.add("LeakyRelu", x, alpha=0.1)
        x = graph.add("ConvTranspose", x, up, strides=[8], pads=[4, 4], kernel_shape=[16])
        x = graph.add("Add", x, graph.conv(x, outputs, outputs, 5))
    graph.add("Tanh", graph.conv(x, 1, 4, 7), to="output")


def exported_voice(directory: Path, **settings: Any) -> Path:
    """A small voice as `halfsecond export tts` leaves it in float32; returns its directory.

    settings: of `piper_voice`.
    """
    from halfsecond_export.tts.exporting import Request, export
    from halfsecond_export.tts.piper import open_piper

    source = open_piper(piper_voice(directory / "source", **settings))
    request = Request(
        source=source,
        out=directory / "exported",
        rebuild="halfsecond export tts",
        sentences=("hello there, who are you?", "a quick brown fox jumps."),
        precisions=("fp32",),
    )
    artifact = export(request)["fp32"]
    assert not artifact.is_rejected, artifact.missed
    return directory / "exported" / "fp32"
