"""A contact sheet: what the figures cannot say, for a person to look at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError
from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.articulation import LEAD_S
from halfsecond.models.lipsync.driver import Frame
from halfsecond_bench.lipsync.speech import Speech

SOUNDS = ("m", "b", "ɑaɒ", "æ", "i", "u", "oO", "f", "s", "w", "ʃ", "l")
"""What is shown of speech: the first of each, where the voice tells its sounds."""
NAMES = ("m", "b", "ah", "ae", "ee", "oo", "oh", "f", "s", "w", "sh", "l")
CELL_PX = 168
LABEL_PX = 18

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Shot:
    """A picture with what it shows."""

    label: str
    image: Image


@dataclass(frozen=True)
class Strip:
    """The pictures of one driver with one portrait."""

    title: str
    portrait: Portrait
    shots: Sequence[Shot]


class Snapshots:
    """Keeps the frames of a take in which its sounds are seen best."""

    def __init__(self, speech: Speech, fps: int) -> None:
        self._fps = fps
        self._wanted: dict[int, str] = {}
        self.shots: dict[str, Image] = {}
        for symbols, name in zip(SOUNDS, NAMES, strict=True):
            fitting = [p for p in speech.phones if p.symbol in symbols]
            longest = max(fitting, key=lambda p: p.end_s - p.start_s, default=None)
            if longest is not None:
                at_s = 0.6 * longest.start_s + 0.4 * longest.end_s - LEAD_S
                self._wanted[round(at_s * fps)] = name

    def watch(self, frame: Frame) -> None:
        """Looks at a frame, and keeps it if it is one of those."""
        name = self._wanted.get(round(frame.pts_s * self._fps))
        if name is not None:
            self.shots[name] = frame.image

    def in_order(self) -> list[Shot]:
        """The kept ones, in the order of `NAMES`."""
        return [Shot(name, self.shots[name]) for name in NAMES if name in self.shots]


def write_sheet(path: Path, strips: Sequence[Strip]) -> None:
    """Writes the strips below one another: each whole face small, and its mouth large.

    Raises:
        ConfigError: the file cannot be written.
    """
    import cv2

    widest = max(len(strip.shots) for strip in strips)
    rows = [row for strip in strips for row in _rows(strip, widest)]
    is_written, data = cv2.imencode(
        path.suffix or ".png", np.vstack(rows)[:, :, ::-1], _options(path)
    )
    if not is_written:
        raise ConfigError(f"{path} could not be written; name a .png or .jpg file")
    path.write_bytes(data.tobytes())


def _options(path: Path) -> list[int]:
    import cv2

    return [cv2.IMWRITE_JPEG_QUALITY, 82] if path.suffix in (".jpg", ".jpeg") else []


def _rows(strip: Strip, columns: int) -> list[Image]:
    faces = [_face(strip.portrait, shot.image) for shot in strip.shots]
    mouths = [_mouth(strip.portrait, shot.image) for shot in strip.shots]
    blank = np.full((CELL_PX, CELL_PX, 3), 255, np.uint8)
    missing = [blank] * (columns - len(faces))
    labels = [_label(shot.label, CELL_PX) for shot in strip.shots]
    empty = [_label("", CELL_PX)] * len(missing)
    return [
        _label(strip.title, CELL_PX * columns),
        np.hstack([*faces, *missing]),
        np.hstack([*mouths, *missing]),
        np.hstack([*labels, *empty]),
    ]


def _face(portrait: Portrait, image: Image) -> Image:
    flat, eye = portrait.landmarks[:, :2], portrait.eye_distance_px
    middle = (flat.min(axis=0) + flat.max(axis=0)) / 2
    return _square(image, middle, 1.15 * eye)


def _mouth(portrait: Portrait, image: Image) -> Image:
    flat, eye = portrait.landmarks[:, :2], portrait.eye_distance_px
    middle = flat[[points.MOUTH_LEFT, points.MOUTH_RIGHT]].mean(axis=0)
    middle = middle + np.array([0.0, 0.06 * eye])
    return _square(image, middle, 0.45 * eye)


def _square(image: Image, middle: NDArray[np.floating[Any]], reach: float) -> Image:
    import cv2

    scale = CELL_PX / (2 * reach)
    move = np.array(
        [[scale, 0, CELL_PX / 2 - scale * middle[0]], [0, scale, CELL_PX / 2 - scale * middle[1]]]
    )
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    cut = cv2.warpAffine(
        image, move, (CELL_PX, CELL_PX), flags=mode, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)


def _label(text: str, width: int) -> Image:
    import cv2

    bar = np.full((LABEL_PX, width, 3), 255, np.uint8)
    cv2.putText(bar, text, (4, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return bar
