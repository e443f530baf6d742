"""How a Whisper's attention and GELU are written in ONNX: for ONNX Runtime, or for any library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from halfsecond_export.prepare.onnx_graph import MICROSOFT, GraphBuilder


@dataclass(frozen=True)
class Sizes:
    """Of attention: `width` = `heads` x `head_size`."""

    heads: int
    head_size: int

    @property
    def width(self) -> int:
        """Numbers of one position."""
        return self.heads * self.head_size


class Operators(Protocol):
    """Writes what the libraries have no common operator for; each gives the name of a result."""

    def declare_inputs(self) -> None:
        """Declares what the decoder's attention takes beside its caches."""
        ...

    def gelu(self, name: str, value: str) -> str:
        """x times the normal distribution's chance to be below x."""
        ...

    def attention(self, name: str, packed: str) -> str:
        """Of all positions to all, (1, n, width); `packed` (1, n, 3 width) is queries, keys and
        values one after another."""
        ...

    def cached_attention(self, index: int, name: str, packed: str) -> str:
        """Of new positions to those before and themselves; declares the layer's caches."""
        ...


class RuntimeOperators:
    """ONNX Runtime's own: the caches are appended to in place, and hold 448 positions always."""

    def __init__(self, graph: GraphBuilder, sizes: Sizes) -> None:
        self._graph = graph
        self._sizes = sizes

    def declare_inputs(self) -> None:
        """`last` and `total` (1,) int32: the position of the last token, and that plus one."""
        self._graph.input("last", "int32", [1])
        self._graph.input("total", "int32", [1])

    def gelu(self, name: str, value: str) -> str:
        return self._graph.node("Gelu", [value], name, domain=MICROSOFT)

    def attention(self, name: str, packed: str) -> str:
        graph, sizes = self._graph, self._sizes
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        graph.node("Split", [packed, graph.shape((sizes.width,) * 3)], *parts, axis=2)
        return graph.node(
            "MultiHeadAttention", parts, f"{name}.mixed", domain=MICROSOFT, num_heads=sizes.heads
        )

    def cached_attention(self, index: int, name: str, packed: str) -> str:
        graph, sizes = self._graph, self._sizes
        past, present = [], []
        for kind in ("key", "value"):
            shape: list[int | str] = [1, sizes.heads, "capacity", sizes.head_size]
            past.append(graph.input(f"past_{kind}_{index}", "float32", shape))
            present.append(f"present_{kind}_{index}")
            graph.output(present[-1], "float32", shape)
        return graph.node(
            "GroupQueryAttention",
            [packed, "", "", *past, "last", "total"],
            f"{name}.mixed",
            *present,
            domain=MICROSOFT,
            num_heads=sizes.heads,
            kv_num_heads=sizes.heads,
        )


class PortableOperators:
    """ONNX's own, opset 17: what TensorRT reads. The caches grow by the new positions."""

    def __init__(self, graph: GraphBuilder, sizes: Sizes, *, positions: int) -> None:
        """positions: the most that a decoder has."""
        self._graph = graph
        self._sizes = sizes
        self._positions = positions

    def declare_inputs(self) -> None:
        """None: how many positions there were is the size of the caches."""

    def gelu(self, name: str, value: str) -> str:
        graph = self._graph
        half = graph.shared_tensor("gelu.half", np.array([0.5], np.float32))
        one = graph.shared_tensor("gelu.one", np.array([1.0], np.float32))
        root = graph.shared_tensor("gelu.root", np.array([0.5**0.5], np.float32))
        scaled = graph.node("Mul", [value, root], f"{name}.scaled")
        error = graph.node("Erf", [scaled], f"{name}.erf")
        chance = graph.node("Add", [error, one], f"{name}.chance")
        halved = graph.node("Mul", [value, half], f"{name}.halved")
        return graph.node("Mul", [halved, chance], name)

    def attention(self, name: str, packed: str) -> str:
        query, key, value = self._by_head(name, packed)
        return self._mixed(name, query, key, value, mask=None)

    def cached_attention(self, index: int, name: str, packed: str) -> str:
        graph, sizes = self._graph, self._sizes
        query, *new = self._by_head(name, packed)
        whole = []
        for kind, values in zip(("key", "value"), new, strict=True):
            past: list[int | str] = [1, sizes.heads, "past", sizes.head_size]
            present: list[int | str] = [1, sizes.heads, "present", sizes.head_size]
            before = graph.input(f"past_{kind}_{index}", "float32", past)
            graph.output(f"present_{kind}_{index}", "float32", present)
            whole.append(graph.node("Concat", [before, values], f"present_{kind}_{index}", axis=2))
        return self._mixed(name, query, *whole, mask=self._mask(name, whole[0]))

    def _by_head(self, name: str, packed: str) -> list[str]:
        """Queries, keys and values, (1, heads, n, head size) each."""
        graph, sizes = self._graph, self._sizes
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        graph.node("Split", [packed, graph.shape((sizes.width,) * 3)], *parts, axis=2)
        heads = graph.shape((0, 0, sizes.heads, sizes.head_size))
        return [
            graph.node(
                "Transpose",
                [graph.node("Reshape", [part, heads], f"{part}.heads")],
                f"{part}.by_head",
                perm=(0, 2, 1, 3),
            )
            for part in parts
        ]

    def _mask(self, name: str, keys: str) -> str:
        """(n, present): nothing where a key is not behind the query, minus much where it is."""
        graph = self._graph
        if name != "layer_0.attention":
            return "mask"
        places = graph.tensor("places", np.arange(self._positions, dtype=np.int64))
        length = graph.node("Shape", [keys], "present.length", start=2, end=3)
        used = graph.node(
            "Slice", [places, graph.shape((0,)), length, graph.shape((0,))], "places.used"
        )
        own = graph.node("Unsqueeze", ["positions", graph.shape((1,))], "positions.column")
        later = graph.node("Greater", [used, own], "is_later")
        shut = graph.tensor("mask.shut", np.array(-1e4, np.float32))  # within float16's range
        seen = graph.tensor("mask.seen", np.array(0.0, np.float32))
        return graph.node("Where", [later, shut, seen], "mask")

    def _mixed(self, name: str, query: str, key: str, value: str, *, mask: str | None) -> str:
        graph, sizes = self._graph, self._sizes
        turned = graph.node("Transpose", [key], f"{name}.turned", perm=(0, 1, 3, 2))
        scale = graph.shared_tensor("scale", np.array([sizes.head_size**-0.5], np.float32))
        asked = graph.node("Mul", [query, scale], f"{name}.asked")
        scores = graph.node("MatMul", [asked, turned], f"{name}.scores")
        if mask is not None:
            scores = graph.node("Add", [scores, mask], f"{name}.masked")
        look = graph.node("Softmax", [scores], f"{name}.look", axis=-1)
        seen = graph.node("MatMul", [look, value], f"{name}.seen")
        seen = graph.node("Transpose", [seen], f"{name}.by_token", perm=(0, 2, 1, 3))
        return graph.node("Reshape", [seen, graph.shape((0, 0, sizes.width))], f"{name}.mixed")
