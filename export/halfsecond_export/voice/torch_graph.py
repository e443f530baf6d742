"""An ONNX network run by torch, so that what goes in can follow the gradient of what comes out.

Only the operators of Kokoro's decoder and of the speaker encoder. Where the file rounds to 8 bits
while it runs, nothing is rounded here: a rounded number has no gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from halfsecond.errors import UnsupportedModelError

_TYPES = {1: torch.float32, 6: torch.int32, 7: torch.int64, 9: torch.bool}
"""By the number that ONNX gives them; the networks use no others."""


@dataclass(frozen=True)
class _Node:
    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    spent: tuple[str, ...]
    """Values that nothing needs afterwards: a second of speech is gigabytes of them."""


class TorchGraph:
    """The part of a network between given tensors and wanted ones."""

    def __init__(self, model: Any, *, given: Sequence[str], wanted: Sequence[str]) -> None:
        """model: an onnx.ModelProto with its weights in it.

        Raises:
            UnsupportedModelError: it has no such tensors, or operators that are not known here.
        """
        from onnx import numpy_helper

        self._wanted = tuple(wanted)
        self._nodes = _between(model.graph, set(given), self._wanted)
        used = {name for node in self._nodes for name in node.inputs}
        self._weights = {
            tensor.name: torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            for tensor in model.graph.initializer
            if tensor.name in used
        }
        self._unpack_integers()

    def __call__(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """The wanted tensors, with gradients of whatever has one in `given`."""
        values: dict[str, Any] = {"": None, **self._weights, **given}
        for node in self._nodes:
            result = _OPERATORS[node.kind](node, [values[name] for name in node.inputs])
            results = result if isinstance(result, (tuple, list)) else (result,)
            values.update(zip(node.outputs, results, strict=False))
            for name in node.spent:
                del values[name]
        return tuple(values[name] for name in self._wanted)

    def _unpack_integers(self) -> None:
        """Takes the zero points out of 8-bit weights once, instead of at every call."""
        for node in self._nodes:
            if node.kind not in ("ConvInteger", "MatMulInteger"):
                continue
            name, zero = node.inputs[1], node.inputs[3]
            weight = self._weights[name]
            if not weight.is_floating_point():
                self._weights[name] = weight.float() - self._weights[zero].float()


def _between(graph: Any, given: set[str], wanted: tuple[str, ...]) -> list[_Node]:
    """The nodes that the wanted tensors need, in order."""
    from onnx import helper

    needed, chosen = set(wanted), []
    for node in reversed(graph.node):
        if needed.intersection(node.output) - given:
            chosen.append(node)
            needed.update(node.input)
    known = {tensor.name for tensor in graph.initializer} | given | {""}
    missing = needed - known - {name for node in chosen for name in node.output}
    unknown = {node.op_type for node in chosen} - set(_OPERATORS)
    if missing or unknown:
        raise UnsupportedModelError(
            f"another network than Kokoro's or the speaker encoder's (missing {sorted(missing)}, "
            f"unknown {sorted(unknown)}); run `halfsecond models fetch kokoro speaker-encoder`"
        )
    # From the last node back: who needs a tensor first is the last that does.
    kept, nodes = known | set(wanted), []
    for node in chosen:
        spent = tuple(dict.fromkeys(name for name in node.input if name not in kept))
        kept.update(spent)
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        parts = (tuple(node.input), tuple(node.output), attributes, spent)
        nodes.append(_Node(node.op_type, node.name, *parts))
    return nodes[::-1]


Operator = Callable[[_Node, Any], Any]


def _numbers(tensor: Any) -> list[int]:
    return [int(value) for value in tensor.reshape(-1)]


def _cast(node: _Node, x: Any) -> Any:
    # Biases are rounded to the steps of products of 8 bits; here they are not.
    if "bias" in node.outputs[0]:
        return x[0]
    return x[0].to(_TYPES[node.attributes["to"]])


def _divide(_node: _Node, x: Any) -> Any:
    if x[0].is_floating_point():
        return x[0] / x[1]
    return torch.div(x[0], x[1], rounding_mode="trunc")


def _convolve(node: _Node, x: Any) -> Any:
    made = node.attributes
    before, after = made.get("pads", (0, 0))
    bias = x[2] if node.kind == "Conv" and len(x) > 2 else None
    padded = functional.pad(x[0], (before, after))
    steps = (made.get("strides", [1])[0], 0, made.get("dilations", [1])[0])
    return functional.conv1d(padded, x[1], bias, *steps, made.get("group", 1))


def _convolve_back(node: _Node, x: Any) -> Any:
    made = node.attributes
    before, after = made.get("pads", (0, 0))
    assert before == after
    bias = x[2] if len(x) > 2 else None
    more = (made.get("output_padding", [0])[0], made.get("group", 1))
    return functional.conv_transpose1d(x[0], x[1], bias, made["strides"][0], before, *more)


def _unsqueeze(_node: _Node, x: Any) -> Any:
    made = x[0]
    for axis in sorted(_numbers(x[1])):
        made = made.unsqueeze(axis)
    return made


def _squeeze(_node: _Node, x: Any) -> Any:
    return x[0].squeeze(tuple(_numbers(x[1])))


def _reshape(_node: _Node, x: Any) -> Any:
    wanted = _numbers(x[1])
    return x[0].reshape([x[0].shape[at] if size == 0 else size for at, size in enumerate(wanted)])


def _gather(node: _Node, x: Any) -> Any:
    axis = node.attributes.get("axis", 0)
    places = torch.where(x[1] < 0, x[1] + x[0].shape[axis], x[1]).long()
    shape = [*x[0].shape[:axis], *places.shape, *x[0].shape[axis + 1 :]]
    return torch.index_select(x[0], axis, places.reshape(-1)).reshape(shape)


def _split(node: _Node, x: Any) -> Any:
    axis = node.attributes.get("axis", 0)
    if len(x) > 1:
        return torch.split(x[0], _numbers(x[1]), axis)
    return torch.chunk(x[0], len(node.outputs), axis)


def _slice(_node: _Node, x: Any) -> Any:
    made, starts, ends = x[0], _numbers(x[1]), _numbers(x[2])
    axes = _numbers(x[3]) if len(x) > 3 else range(len(starts))
    for start, end, axis in zip(starts, ends, axes, strict=True):
        place = [slice(None)] * made.dim()
        place[axis] = slice(start, min(end, made.shape[axis]))
        made = made[tuple(place)]
    return made


def _resize(node: _Node, x: Any) -> Any:
    factor = float(x[2][-1])
    if node.attributes["mode"] == b"nearest":
        return torch.repeat_interleave(x[0], int(factor), dim=-1)
    return functional.interpolate(
        x[0],
        scale_factor=factor,
        mode="linear",
        align_corners=False,
        recompute_scale_factor=False,
    )


def _pad(node: _Node, x: Any) -> Any:
    """Of the last axis alone, as the decoder does it."""
    amounts = _numbers(x[1])
    ends = (amounts[len(amounts) // 2 - 1], amounts[-1])
    mode = node.attributes.get("mode", b"constant").decode()
    return functional.pad(x[0], ends, mode={"edge": "replicate"}.get(mode, mode))


def _stft(_node: _Node, x: Any) -> Any:
    signal = x[0][..., 0] if x[0].dim() == 3 else x[0]
    frames = signal.unfold(-1, len(x[2]), int(x[1])) * x[2]
    return torch.view_as_real(torch.fft.rfft(frames))


def _constant_of_shape(node: _Node, x: Any) -> Any:
    from onnx import numpy_helper

    value = torch.from_numpy(numpy_helper.to_array(node.attributes["value"]).copy())
    return value.expand(_numbers(x[0])).clone()


def _expand(_node: _Node, x: Any) -> Any:
    return x[0].expand(torch.broadcast_shapes(tuple(x[0].shape), tuple(_numbers(x[1]))))


def _scatter(_node: _Node, x: Any) -> Any:
    made = x[0].clone()
    made[tuple(x[1].unbind(-1))] = x[2]
    return made


def _lstm(node: _Node, x: Any) -> Any:
    """One direction; gates are input, output, forget, cell here, and torch has another order."""
    size = node.attributes["hidden_size"]
    order = torch.cat([torch.arange(size) + gate * size for gate in (0, 2, 3, 1)])
    weights = [x[1][0][order], x[2][0][order]]
    weights += [x[3][0][half * 4 * size :][order] for half in (0, 1)]
    state = torch.zeros(1, x[0].shape[1], size)
    # has_biases, layers, dropout, train, bidirectional, batch_first
    made = torch.lstm(x[0], (state, state), weights, True, 1, 0.0, False, False, False)
    return made[0][:, None], made[1]


def _gemm(node: _Node, x: Any) -> Any:
    return x[0] @ (x[1].T if node.attributes.get("transB") else x[1]) + x[2]


_OPERATORS: dict[str, Operator] = {
    "Add": lambda _, x: x[0] + x[1],
    "And": lambda _, x: x[0] & x[1],
    # The phase of a sound that is not there: 0 / 0.
    "Atan": lambda _, x: torch.atan(torch.nan_to_num(x[0])),
    "Cast": _cast,
    "Clip": lambda _, x: torch.clamp(x[0], x[1], x[2]),
    "Concat": lambda node, x: torch.cat(x, node.attributes["axis"]),
    "ConstantOfShape": _constant_of_shape,
    "Conv": _convolve,
    "ConvInteger": _convolve,
    "ConvTranspose": _convolve_back,
    "Cos": lambda _, x: torch.cos(x[0]),
    "CumSum": lambda _, x: torch.cumsum(x[0], int(x[1])),
    "DequantizeLinear": lambda _, x: (x[0].float() - x[2].float()) * x[1],
    "Div": _divide,
    "DynamicQuantizeLinear": lambda _, x: (x[0], torch.tensor(1.0), torch.tensor(0.0)),
    "Equal": lambda _, x: x[0] == x[1],
    "Exp": lambda _, x: torch.exp(x[0]),
    "Expand": _expand,
    "Floor": lambda node, x: x[0] if "bias" in node.outputs[0] else torch.floor(x[0]),
    "Gather": _gather,
    "Gemm": _gemm,
    "Greater": lambda _, x: x[0] > x[1],
    "LSTM": _lstm,
    "LeakyRelu": lambda node, x: functional.leaky_relu(x[0], node.attributes["alpha"]),
    "Less": lambda _, x: x[0] < x[1],
    "MatMul": lambda _, x: x[0] @ x[1],
    "MatMulInteger": lambda _, x: x[0] @ x[1],
    "Max": lambda _, x: torch.maximum(x[0], x[1]),
    "Mul": lambda _, x: x[0] * x[1],
    "NonZero": lambda _, x: torch.stack(torch.nonzero(x[0], as_tuple=True)),
    "Pad": _pad,
    "Pow": lambda _, x: x[0] ** x[1],
    "Range": lambda _, x: torch.arange(int(x[0]), int(x[1]), int(x[2])),
    "ReduceL2": lambda node, x: x[0].norm(
        dim=tuple(node.attributes["axes"]) if "axes" in node.attributes else _numbers(x[1]),
        keepdim=True,
    ),
    "ReduceMean": lambda node, x: x[0].mean(
        dim=_numbers(x[1]), keepdim=bool(node.attributes.get("keepdims", 1))
    ),
    "Relu": lambda _, x: torch.relu(x[0]),
    "Reshape": _reshape,
    "Resize": _resize,
    "Round": lambda _, x: torch.round(x[0]),
    "STFT": _stft,
    "ScatterND": _scatter,
    "Shape": lambda _, x: torch.tensor(list(x[0].shape)),
    "Sin": lambda _, x: torch.sin(x[0]),
    "Slice": _slice,
    "Split": _split,
    "Sqrt": lambda _, x: torch.sqrt(x[0]),
    "Squeeze": _squeeze,
    "Sub": lambda _, x: x[0] - x[1],
    "Tanh": lambda _, x: torch.tanh(x[0]),
    "Transpose": lambda node, x: x[0].permute(node.attributes["perm"]),
    "Unsqueeze": _unsqueeze,
    "Where": lambda _, x: torch.where(x[0], x[1], x[2]),
}
