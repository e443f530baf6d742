"""Dense warps: displacement fields on a coarse grid, mixed, inverted and enlarged to maps."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Pixel = TypeVar("Pixel", np.uint8, np.float32)

STEP_PX = 4
"""Grid step. A power of two: OpenCV interpolates at steps of 1/32 px."""
INVERSION_STEPS = 3
"""Fixed-point steps; the third one moves a point by less than a tenth of a pixel."""


@dataclass(frozen=True)
class Grid:
    """A rectangle of the picture, covered by cells of STEP_PX."""

    x0: int
    y0: int
    columns: int
    rows: int
    step: int = STEP_PX

    @classmethod
    def around(
        cls, box: tuple[float, float, float, float], size: tuple[int, int], step: int = STEP_PX
    ) -> Grid:
        """The smallest grid that covers `box` as far as it lies in a picture of `size`."""
        x0, y0 = max(0, int(box[0])), max(0, int(box[1]))
        x1, y1 = min(size[0], int(np.ceil(box[2]))), min(size[1], int(np.ceil(box[3])))
        return cls(x0, y0, max(2, (x1 - x0) // step), max(2, (y1 - y0) // step), step)

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rows * self.step, self.columns * self.step

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the picture that it covers."""
        height, width = self.shape
        return slice(self.y0, self.y0 + height), slice(self.x0, self.x0 + width)

    def centres(self) -> Array:
        """(rows, columns, 2) pixel coordinates of the cells' middles in the picture."""
        x = self.x0 + (np.arange(self.columns) + 0.5) * self.step - 0.5
        y = self.y0 + (np.arange(self.rows) + 0.5) * self.step - 0.5
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)

    def pixels(self) -> Array:
        """(height, width, 2) pixel coordinates in the picture."""
        height, width = self.shape
        x, y = self.x0 + np.arange(width), self.y0 + np.arange(height)
        return np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)


@dataclass(frozen=True)
class Warp:
    """Fields on one grid that a frame mixes; gives the maps that `cv2.remap` wants."""

    grid: Grid
    fields: Array
    """(k, rows, columns, 2), the displacement in pixels at full weight."""

    @cached_property
    def _flat(self) -> Array:
        return np.ascontiguousarray(self.fields.reshape(len(self.fields), -1), np.float32)

    @cached_property
    def _index(self) -> Array:
        rows, columns = np.mgrid[0 : self.grid.rows, 0 : self.grid.columns].astype(np.float32)
        return np.stack([columns, rows], axis=-1)

    def forward(self, weights: Array) -> Array:
        """(rows, columns, 2) displacement of the mix."""
        return (weights @ self._flat).reshape(self.grid.rows, self.grid.columns, 2)

    def inverse(self, weights: Array) -> Array:
        """(rows, columns, 2) displacement to where each cell of the result comes from."""
        field = self.forward(weights)
        scale = np.float32(1.0 / self.grid.step)
        back = field
        for _ in range(INVERSION_STEPS):
            at = self._index - back * scale
            back = sample(field, at)
        return np.asarray(-back, np.float32)


def sample(picture: NDArray[Pixel], at: NDArray[np.floating]) -> NDArray[Pixel]:
    """What `picture` shows at the pixel coordinates `at`, (h, w, 2); its edge goes on outside."""
    import cv2

    no_map: Any = None
    return cv2.remap(  # type: ignore[return-value]
        picture,
        at.astype(np.float32, copy=False),
        no_map,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )


def enlarge(cells: Array, step: int) -> Array:
    """Displacements of cells as displacements of pixels."""
    import cv2

    rows, columns = cells.shape[:2]
    size = (columns * step, rows * step)
    return np.asarray(cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR), np.float32)


def smooth_step(low: float, high: float, x: NDArray[np.floating]) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return np.asarray(t * t * (3.0 - 2.0 * t), np.float32)
