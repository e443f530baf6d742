"""How far a sample of the back reaches into the latent frames around it, read from its graph.

What a window is computed with beyond that changes nothing; with less, its edges sound other than
the same part of the whole. The true reach of trained weights is shorter, and is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from halfsecond_export.engines.passes.graph import GraphIndex, in_order


@dataclass(frozen=True)
class Reach:
    """Of one tensor: its steps a frame, and the frames on one side that it depends on."""

    steps_per_frame: int = 1
    frames: Fraction = Fraction(0)


def receptive_field(back: Any) -> Reach:
    """The reach of the back's output into its input `latent`; `back` is put into order.

    The frames are those on each side, as an upper bound.
    """
    index = GraphIndex(in_order(back))
    reaches: dict[str, Reach] = {"latent": Reach()}
    for node in back.graph.node:
        known = [reaches[name] for name in node.input if name in reaches]
        if not known:
            continue
        widest = max(known, key=lambda reach: (reach.steps_per_frame, reach.frames))
        frames = max(reach.frames for reach in known)
        found = _widened(node, Reach(widest.steps_per_frame, frames), index)
        reaches.update(dict.fromkeys(node.output, found))
    return reaches[back.graph.output[0].name]


def _widened(node: Any, before: Reach, index: GraphIndex) -> Reach:
    if node.op_type not in ("Conv", "ConvTranspose"):
        return before
    weight = index.constant(node.input[1])
    kernel = 1 if weight is None else int(weight.shape[2])
    if node.op_type == "Conv":
        side = Fraction((kernel - 1) * _attribute(node, "dilations"), 2)
        return Reach(before.steps_per_frame, before.frames + side / before.steps_per_frame)
    stride = _attribute(node, "strides")
    # Each output step lies in at most ceil(kernel / stride) inputs' kernels.
    side = Fraction(math.ceil(kernel / stride), 1) / before.steps_per_frame
    return Reach(before.steps_per_frame * stride, before.frames + side)


def _attribute(node: Any, name: str) -> int:
    values = next((attribute.ints for attribute in node.attribute if attribute.name == name), [1])
    return int(values[0])
