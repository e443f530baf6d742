"""Products of activations with a network's matrices in an ONNX graph, in float32 or in INT8."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond_export.prepare.decoder_network import Array
from halfsecond_export.prepare.onnx_graph import MICROSOFT, GraphBuilder


@dataclass(frozen=True)
class Matrix:
    """Weights (outputs, inputs) and biases (outputs,) of a product called `name`."""

    name: str
    weight: Array
    bias: Array | None = None


class Products(Protocol):
    """How matrices are kept and multiplied; each gives the name of a float32 result."""

    def gather(self, name: str, table: Array, tokens: str) -> str:
        """The rows of `table` that `tokens` name."""
        ...

    def of_normed(self, matrices: Sequence[Matrix], value: str) -> list[str]:
        """Products with an activation whose rows are normed: mean square 1, without outliers."""
        ...

    def of_any(self, matrix: Matrix, value: str) -> str:
        """The product with an activation of any size."""
        ...

    def of_loud(self, matrix: Matrix, value: str) -> str:
        """The product with an activation in which a few numbers are far above the others."""
        ...


class FloatProducts:
    """As exact as float32, and slow: what INT8 is measured against."""

    def __init__(self, graph: GraphBuilder) -> None:
        self._graph = graph

    def gather(self, name: str, table: Array, tokens: str) -> str:
        stored = self._graph.tensor(f"{name}.table", table)
        return self._graph.node("Gather", [stored, tokens], name)

    def of_normed(self, matrices: Sequence[Matrix], value: str) -> list[str]:
        return [self.of_any(matrix, value) for matrix in matrices]

    def of_any(self, matrix: Matrix, value: str) -> str:
        weight = self._graph.tensor(f"{matrix.name}.weight", matrix.weight.T)
        if matrix.bias is None:
            return self._graph.node("MatMul", [value, weight], matrix.name)
        product = self._graph.node("MatMul", [value, weight], f"{matrix.name}.product")
        return _plus_bias(self._graph, matrix, product)

    def of_loud(self, matrix: Matrix, value: str) -> str:
        return self.of_any(matrix, value)


# Where normed activations are clipped. Of a rotated row 1 number in 16,000 is larger, as of a
# normal distribution.
_NORMED_REACH = 4.0

# Neighbours that share a scale in products with loud activations.
_BLOCK_SIZE = 32
_INT8_ACTIVATIONS = 4  # MatMulNBits' "accuracy level" for activations in 8 bits, block by block


class Int8Products:
    """Weights in 8 bits by output, activations in 8 bits by row: ONNX Runtime's fastest products
    for more than a few rows (on an AMD EPYC of Zen 4, 40 rows of SmolLM2-135M took 29 ms, and 64 ms
    in blocks of 64 as MatMulNBits has them). Loud activations are multiplied in blocks.

    A row's result depends on that row alone, so that tokens come out the same whether they are
    computed together or one by one.
    """

    def __init__(self, graph: GraphBuilder) -> None:
        self._graph = graph
        self._zero = graph.tensor("int8.zero", np.array(128, np.uint8))
        self._step = graph.tensor("int8.step", np.array(1 / 127, np.float32))
        self._tiny = graph.tensor("int8.tiny", np.array(1e-9, np.float32))

    def gather(self, name: str, table: Array, tokens: str) -> str:
        """Kept in float16: only the pages of the rows that are used are ever read."""
        stored = self._graph.tensor(f"{name}.table", table.astype(np.float16))
        rows = self._graph.node("Gather", [stored, tokens], f"{name}.rows")
        return self._graph.node("Cast", [rows], name, to=1)

    def of_normed(self, matrices: Sequence[Matrix], value: str) -> list[str]:
        reach = np.array(_NORMED_REACH / 127, np.float32)
        step = self._graph.shared_tensor("int8.normed_step", reach)
        rounded = self._rounded(value, step)
        return [
            self._multiplied(matrix.name, matrix, rounded, step, matrix.bias) for matrix in matrices
        ]

    def of_any(self, matrix: Matrix, value: str) -> str:
        graph, name = self._graph, matrix.name
        size = graph.node("Abs", [value], f"{name}.sizes")
        size = graph.node("ReduceMax", [size], f"{name}.largest", axes=[-1], keepdims=1)
        size = graph.node("Add", [size, self._tiny], f"{name}.reach")
        ratio = graph.node("Div", [value, size], f"{name}.ratio")
        rounded = self._rounded(ratio, self._step)
        product = self._multiplied(f"{name}.product", matrix, rounded, self._step, None)
        if matrix.bias is None:
            return graph.node("Mul", [product, size], name)
        return _plus_bias(graph, matrix, graph.node("Mul", [product, size], f"{name}.scaled"))

    def of_loud(self, matrix: Matrix, value: str) -> str:
        values, scales = quantized_blocks(matrix.weight)
        outputs, inputs = matrix.weight.shape
        product = self._graph.node(
            "MatMulNBits",
            [
                value,
                self._graph.tensor(f"{matrix.name}.weight", values),
                self._graph.tensor(f"{matrix.name}.scales", scales),
            ],
            matrix.name if matrix.bias is None else f"{matrix.name}.product",
            domain=MICROSOFT,
            N=outputs,
            K=inputs,
            bits=8,
            block_size=_BLOCK_SIZE,
            accuracy_level=_INT8_ACTIVATIONS,
        )
        return product if matrix.bias is None else _plus_bias(self._graph, matrix, product)

    def _rounded(self, value: str, step: str) -> str:
        return self._graph.node("QuantizeLinear", [value, step, self._zero], f"{value}.rounded")

    def _multiplied(
        self, name: str, matrix: Matrix, rounded: str, step: str, bias: Array | None
    ) -> str:
        values, scales = quantized_rows(matrix.weight)
        inputs = [
            rounded,
            self._graph.tensor(f"{name}.weight", values.T),
            step,
            self._graph.tensor(f"{name}.scales", scales),
            self._zero,
        ]
        if bias is not None:
            inputs += ["", self._graph.tensor(f"{name}.bias", bias)]
        return self._graph.node("MatMulIntegerToFloat", inputs, name, domain=MICROSOFT)


def quantized_rows(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """Steps (N, K) and the size of a step (N,) in each row, whose largest weight is +-127."""
    scales = np.maximum(np.abs(weight).max(1) / 127, np.finfo(np.float32).tiny)
    return np.rint(weight / scales[:, None]).astype(np.int8), scales.astype(np.float32)


def quantized_blocks(weight: Array) -> tuple[NDArray[np.uint8], Array]:
    """The same for blocks along each row: steps plus 128 (N, blocks, 32), sizes (N, blocks).

    A row that is no multiple of 32 is filled up with zeros.
    """
    rows, columns = weight.shape
    blocks = -(-columns // _BLOCK_SIZE)
    padded = np.zeros((rows, blocks * _BLOCK_SIZE), np.float32)
    padded[:, :columns] = weight
    steps, scales = quantized_rows(padded.reshape(rows * blocks, _BLOCK_SIZE))
    values = (steps.astype(np.int16) + 128).astype(np.uint8)
    return values.reshape(rows, blocks, _BLOCK_SIZE), scales.reshape(rows, blocks)


def _plus_bias(graph: GraphBuilder, matrix: Matrix, product: str) -> str:
    bias = graph.tensor(f"{matrix.name}.bias", matrix.bias)  # type: ignore[arg-type]
    return graph.node("Add", [product, bias], matrix.name)
