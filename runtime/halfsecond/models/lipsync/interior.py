"""What is seen between the lips: a dark cavity, the tongue, and teeth, all soft at the edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.lip_fields import JAW_DROP, REST_UPPER_SHARE
from halfsecond.models.lipsync.lips import Lips
from halfsecond.models.lipsync.mouth import MouthPose
from halfsecond.models.lipsync.warp import Grid, sample, smooth_step

Array = NDArray[np.floating]

# Colours as shares of the skin's own red, green and blue.
CAVITY = (0.21, 0.095, 0.085)
THROAT = (0.10, 0.045, 0.042)
TONGUE = (0.80, 0.46, 0.44)
IVORY = (1.00, 0.94, 0.84)
"""Of a light between the skin's and a bright room's: teeth are no darker on dark skin."""
OWN_TEETH_GAP = 0.05
"""A mouth open by this much, in eye distances, shows teeth of its own if they are bright."""
OWN_TEETH_SHARE = 0.15
TEETH_LENGTH = 0.048
"""How far drawn upper teeth reach below the edge of the resting upper lip, in eye distances."""


@dataclass(frozen=True)
class Interior:
    """The inside of one mouth: upper teeth stay with the head, all else goes with the jaw.

    Layers are (h, w, 4) float32 over the mouth's window: colour times cover, then the cover.
    """

    drop_px: float
    """Way of the jaw at full opening."""
    down: Array
    """(2,) direction of the chin in the picture."""
    shadow: Array
    """(3,) what is seen where hardly any light falls between the lips."""
    cavity: Array
    """(h, w, 3)"""
    upper_teeth: Array
    tongue: Array
    lower_teeth: Array

    @classmethod
    def of(cls, image: NDArray[np.uint8], lips: Lips, window: Grid, skin: Array) -> Interior:
        """What is drawn between `lips`. image: the portrait; skin: (3,) mean RGB of the cheeks."""
        painter = _Painter(lips, window, skin)
        teeth = painter.own_teeth(image)
        return cls(
            drop_px=JAW_DROP * lips.eye_distance,
            down=lips.to_image(np.array([0.0, 1.0], np.float32)),
            shadow=painter.tint(THROAT),
            cavity=painter.cavity(),
            upper_teeth=painter.drawn_teeth() if teeth is None else teeth,
            tongue=painter.tongue(),
            lower_teeth=painter.lower_teeth(),
        )

    def draw(self, pose: MouthPose) -> Array:
        """(h, w, 3) float32 RGB of the window."""
        result = self.cavity.copy()
        lit = max(0.0, 1.0 - 1.1 * pose.round)
        drop = pose.jaw * self.drop_px
        _lay(result, self._moved(self.tongue, 0.80 * drop))
        _lay(result, self._moved(self.lower_teeth * np.float32(lit), drop))
        # Lips that hardly part, or are pushed forward, leave the teeth in the dark.
        light = smooth_step(0.04, 0.26, np.array(pose.opening)) * np.float32(lit)
        _lay(result, self.upper_teeth * light)
        return np.asarray(result, np.float32)

    def _moved(self, layer: Array, distance_px: float) -> Array:
        import cv2

        dx, dy = (self.down * distance_px).tolist()
        move = np.array([[1, 0, dx], [0, 1, dy]], np.float64)
        return np.asarray(cv2.warpAffine(layer, move, layer.shape[1::-1]), np.float32)


class _Painter:
    """Paints the layers of one mouth."""

    def __init__(self, lips: Lips, window: Grid, skin: Array) -> None:
        self._place = _Inside(lips, window)
        self._lips, self._window, self._skin = lips, window, skin

    def tint(self, shares: tuple[float, float, float]) -> Array:
        """A colour relative to the skin; grey where the portrait is grey."""
        colour = self._skin * np.array(shares, np.float32)
        grey = colour.mean()
        strength = min(1.0, float(np.ptp(self._skin)) / (0.25 * float(self._skin.max()) + 1e-6))
        return np.asarray(np.clip(grey + (colour - grey) * strength, 0, 250), np.float32)

    def _ivory(self) -> Array:
        light = 0.5 * float(self._skin.max()) + 0.42 * 255 * float(self._skin.max() > 40)
        colour = light * np.array(IVORY, np.float32)
        grey = np.ptp(self._skin) < 0.04 * float(self._skin.max())
        return np.full(3, colour.mean(), np.float32) if grey else colour

    def cavity(self) -> Array:
        """The dark, darker further in."""
        at = self._place
        depth = smooth_step(0.0, 0.24 * self._lips.eye_distance, at.y - at.seam)
        edge = smooth_step(0.55, 1.0, np.abs(at.u))
        near, far = self.tint(CAVITY), self.tint(THROAT)
        dark = np.clip(0.75 - 0.75 * depth + edge, 0.0, 1.0)[..., None]
        return np.asarray(near * (1 - dark) + far * dark, np.float32)

    def own_teeth(self, image: NDArray[np.uint8]) -> Array | None:
        """The teeth that the portrait shows, as colour and cover; None where it shows none."""
        import cv2

        at, lips, window = self._place, self._lips, self._window
        eye = lips.eye_distance
        if float(at.gap.max()) < OWN_TEETH_GAP * eye:
            return None
        inside = (at.y > at.upper + 0.01 * eye) & (at.y < at.lower - 0.01 * eye)
        lab = cv2.cvtColor(np.ascontiguousarray(image[window.window]), cv2.COLOR_RGB2LAB)
        skin_l = float(cv2.cvtColor(self._skin.reshape(1, 1, 3) / 255, cv2.COLOR_RGB2LAB)[0, 0, 0])
        bright = lab[..., 0].astype(np.float32) / 2.55 > 0.8 * skin_l
        if float(bright[inside].mean()) < OWN_TEETH_SHARE:
            return None
        # Above the lip's edge there is more tooth and gum: the topmost row seen goes on.
        rows = np.clip(at.y, at.upper + 0.012 * eye, at.lower - 0.012 * eye)
        shift = lips.to_image(np.stack([np.zeros_like(rows), rows - at.y], axis=-1))
        source = (window.pixels() + shift).astype(np.float32)
        colour = sample(image, source).astype(np.float32)
        bottom = 1.0 - smooth_step(-0.022 * eye, -0.004 * eye, at.y - at.lower)
        side = 1.0 - smooth_step(0.86, 0.98, np.abs(at.u))
        return _cover(colour, bottom * side)

    def drawn_teeth(self) -> Array:
        """Upper teeth for a portrait that shows none."""
        at, eye = self._place, self._lips.eye_distance
        ivory = self._ivory()
        gaps, heights = _teeth_shape(at.u, 0.30)
        bottom = at.seam + TEETH_LENGTH * eye * (heights - 0.35 * at.u**2)
        cover = 1.0 - smooth_step(-0.012 * eye, 0.004 * eye, at.y - bottom)
        cover *= 1.0 - smooth_step(0.55, 0.86, np.abs(at.u))
        shade = (1.0 - 0.55 * smooth_step(0.15, 0.85, np.abs(at.u))) * (1.0 - 0.16 * gaps)
        return _cover(ivory * shade[..., None], cover)

    def lower_teeth(self) -> Array:
        """Lower teeth, which hardly any light reaches."""
        at, eye = self._place, self._lips.eye_distance
        gaps, heights = _teeth_shape(at.u, 0.19)
        top = at.seam + 0.012 * eye - 0.006 * eye * heights + 0.05 * eye * at.u**2
        cover = smooth_step(-0.006 * eye, 0.010 * eye, at.y - top)
        cover *= 1.0 - smooth_step(0.42, 0.68, np.abs(at.u))
        shade = (0.66 - 0.25 * smooth_step(0.1, 0.6, np.abs(at.u))) * (1.0 - 0.14 * gaps)
        return _cover(self._ivory() * shade[..., None], 0.8 * cover)

    def tongue(self) -> Array:
        """The tongue at rest, behind the lower teeth."""
        at, eye = self._place, self._lips.eye_distance
        top = at.seam - 0.045 * eye * np.clip(1.0 - (at.u / 0.62) ** 2, -1.0, 1.0) + 0.012 * eye
        cover = smooth_step(-0.014 * eye, 0.026 * eye, at.y - top)
        cover *= 1.0 - smooth_step(0.35, 0.72, np.abs(at.u))
        light = 0.68 + 0.30 * smooth_step(0.0, 0.07 * eye, at.y - top)
        groove = 1.0 - 0.10 * np.exp(-((at.u / 0.08) ** 2))
        return _cover(self.tint(TONGUE) * (light * groove)[..., None], 0.9 * cover)


class _Inside:
    """Pixel coordinates of the window relative to the lips."""

    def __init__(self, lips: Lips, window: Grid) -> None:
        local = lips.to_local(window.pixels())
        self.y = local[..., 1]
        self.u = (local[..., 0] / lips.half_width).astype(np.float32)
        self.upper = lips.curve(lips.upper_inner, self.u)
        self.lower = lips.curve(lips.lower_inner, self.u)
        self.gap = self.lower - self.upper
        # Where the lips meet once the rest field has closed them.
        self.seam = self.upper + REST_UPPER_SHARE * self.gap


def _teeth_shape(u: Array, width: float) -> tuple[Array, Array]:
    """Lines between teeth (1 on a line) and rounded edges (1 in the middle of a tooth)."""
    phase = np.abs((u / width) % 1.0 - 0.5) * 2.0
    gaps = np.clip((0.22 - (1.0 - phase)) / 0.22, 0.0, 1.0)
    return gaps.astype(np.float32), (1.0 - 0.25 * phase**4).astype(np.float32)


def _cover(colour: Array, cover: Array) -> Array:
    """(h, w, 4): colour already multiplied by its cover, then the cover."""
    cover = np.clip(cover, 0.0, 1.0)
    return np.dstack([colour * cover[..., None], cover]).astype(np.float32)


def _lay(below: Array, layer: Array) -> None:
    below *= 1.0 - layer[..., 3:]
    below += layer[..., :3]
