"""Rounding weights to 8 bits in blocks, as ONNX Runtime's MatMulNBits takes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_SIZE = 32
"""Neighbours along a row that share a scale: those of GGUF's Q8_0, so that its values come out
as they are."""

ZERO_POINT = 128
"""What stands for 0 where MatMulNBits is given no zero points."""


@dataclass(frozen=True)
class Blocks:
    """A matrix of N rows, in blocks: weight = (value - 128) * scale.

    `values` is (N, blocks, BLOCK_SIZE) uint8, `scales` (N, blocks) float32. A row that is no
    multiple of BLOCK_SIZE is filled up with zeros.
    """

    values: NDArray[np.uint8]
    scales: NDArray[np.float32]

    def dequantized(self, columns: int) -> NDArray[np.float32]:
        """The matrix (N, columns) that these blocks stand for."""
        signed = self.values.astype(np.float32) - ZERO_POINT
        rows: NDArray[np.float32] = (signed * self.scales[..., None]).reshape(len(signed), -1)
        return rows[:, :columns]


def quantize_blocks(weight: NDArray[np.float32]) -> Blocks:
    """Rounds (N, K) to the nearest of 255 steps of each block, whose largest is +-127."""
    rows, columns = weight.shape
    count = -(-columns // BLOCK_SIZE)
    padded = np.zeros((rows, count * BLOCK_SIZE), np.float32)
    padded[:, :columns] = weight
    blocks = padded.reshape(rows, count, BLOCK_SIZE)
    scales = (np.abs(blocks).max(-1) / 127).astype(np.float32)
    steps = np.rint(blocks / np.where(scales > 0, scales, np.float32(1))[..., None])
    return Blocks((steps + ZERO_POINT).astype(np.uint8), scales)
