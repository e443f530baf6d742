"""A short video becomes a body: its face is followed, and one of its frames is the portrait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from halfsecond.errors import PortraitError
from halfsecond.models.face import points
from halfsecond.models.face.aperture import ApertureMeter, mouth_aperture
from halfsecond.models.face.finder import FaceFinder, face_angles
from halfsecond.models.face.portrait import Fit, Portrait, crop_box, resize_crop
from halfsecond.models.face.suitability import check_faces
from halfsecond.models.lipsync.body import Body

VIDEOS = (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi")
MOST_FPS = 25.0
"""Frames beyond are left out: no more are shown."""
LONGEST_S, SHORTEST_S = 12.0, 1.0
"""More than this is not taken: it plays to and fro anyway, and every second takes 1 MB and more."""
MOST_TURN_RAD = 0.21
"""Further from the portrait's frame, 12 degrees, its mouth does not fit any more."""
STEADY_FRAMES = 1.5
"""Standard deviation over which the face's path is smoothed: landmarks tremble."""
QUALITY = 88
STABLE = (
    points.LEFT_EYE_OUTER, points.LEFT_EYE_INNER, points.RIGHT_EYE_INNER, points.RIGHT_EYE_OUTER,
    6, 197, 195, 5, 4, points.NOSE_BASE, 98, 327,
)  # fmt: skip
"""Landmarks that no expression moves: the corners of the eyes and the nose."""

Image = NDArray[np.uint8]
Marks = NDArray[np.float32]


@dataclass(frozen=True)
class _Seen:
    number: int
    at_s: float
    marks: Marks

    @property
    def fitness(self) -> float:
        """How badly it would serve as the portrait: mouth open, head turned."""
        yaw, pitch, roll = face_angles(self.marks)
        return 4.0 * mouth_aperture(self.marks) + abs(yaw) + 0.5 * abs(pitch) + 0.5 * abs(roll)


def is_video(path: Path) -> bool:
    """Whether a file is taken for a video, by its name."""
    return path.suffix.lower() in VIDEOS


def film(
    path: Path, finder: FaceFinder, meter: ApertureMeter, *, size: tuple[int, int], fit: Fit
) -> tuple[Portrait, Body]:
    """The portrait and the body that a video gives.

    Raises:
        PortraitError: it is no video, too short, or its face goes away or turns too far.
    """
    seen, fps = _followed(path, meter)
    best = min(seen, key=lambda frame: frame.fitness)
    _check_turns(seen, best)
    image = next(frame for number, _, frame in _frames(path) if number == best.number)
    face = check_faces(finder.find_faces(image), image)
    crop = crop_box(image, face, size, is_reframed=True, fit=fit)
    corner, scale = np.array([crop[0], crop[1], 0.0]), size[0] / (crop[2] - crop[0])
    paths = [((frame.marks - corner) * scale).astype(np.float32) for frame in seen]
    own = paths[seen.index(best)]
    placements = _steady([_similarity(own[list(STABLE), :2], p[list(STABLE), :2]) for p in paths])
    jpegs = tuple(_jpeg(resize_crop(frame, crop, size)) for _, _, frame in _frames(path))
    body = Body(jpegs, tuple(tuple(p.ravel().tolist()) for p in placements), fps)
    return Portrait(resize_crop(image, crop, size), own), body


def _followed(path: Path, meter: ApertureMeter) -> tuple[list[_Seen], float]:
    """Every frame with its face, and how many there are a second."""
    seen: list[_Seen] = []
    for number, at_s, frame in _frames(path):
        marks = meter.locate(frame)
        if marks is None:
            raise PortraitError(
                f"no face in {path.name} at {at_s:.1f} s; cut the video so that one face looks "
                "into the camera from its first to its last frame"
            )
        seen.append(_Seen(number, at_s, marks))
    length_s = seen[-1].at_s - seen[0].at_s if seen else 0.0
    if length_s < SHORTEST_S:
        raise PortraitError(
            f"{path.name} is {length_s:.1f} s long, expected {SHORTEST_S:.0f} to {LONGEST_S:.0f} s "
            "of a face that is silent and looks into the camera"
        )
    return seen, (len(seen) - 1) / length_s


def _frames(path: Path) -> Iterator[tuple[int, float, Image]]:
    """(number, seconds, RGB) of the frames that are shown, upright."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            start_s, due_s, number = None, 0.0, 0
            for frame in container.decode(stream):
                if frame.time is None:
                    continue
                start_s = frame.time if start_s is None else start_s
                at_s = frame.time - start_s
                if at_s > LONGEST_S:
                    return
                if at_s + 1e-3 < due_s:
                    continue
                due_s = max(due_s + 1.0 / MOST_FPS, at_s)
                image = np.rot90(frame.to_ndarray(format="rgb24"), frame.rotation // 90)
                yield number, at_s, np.ascontiguousarray(image)
                number += 1
    except (FFmpegError, IndexError) as error:
        raise PortraitError(
            f"{path} is not a video that can be read ({error}); save it as MP4 (H.264)"
        ) from error


def _check_turns(seen: Sequence[_Seen], best: _Seen) -> None:
    yaw, pitch, _ = face_angles(best.marks)
    for frame in seen:
        other_yaw, other_pitch, _ = face_angles(frame.marks)
        turn = max(abs(other_yaw - yaw), abs(other_pitch - pitch))
        if turn > MOST_TURN_RAD:
            raise PortraitError(
                f"the head turns by {np.degrees(turn):.0f} degrees (at {frame.at_s:.1f} s), "
                f"{np.degrees(MOST_TURN_RAD):.0f} at most can be followed; film a face that "
                "keeps looking into the camera, or cut the video there"
            )


def _similarity(a: Marks, b: Marks) -> NDArray[np.float64]:
    """(2, 3) turn, scale and shift that takes the points `a` to `b`, with the least squares."""
    mean_a, mean_b = a.mean(axis=0), b.mean(axis=0)
    x, y = (a - mean_a).T.astype(np.float64)
    u, v = (b - mean_b).T.astype(np.float64)
    total = float((x**2 + y**2).sum())
    cos, sin = float((x * u + y * v).sum()) / total, float((x * v - y * u).sum()) / total
    turn = np.array([[cos, -sin], [sin, cos]])
    return np.hstack([turn, (mean_b - turn @ mean_a)[:, None]])


def _steady(placements: Sequence[NDArray[np.float64]]) -> list[NDArray[np.float64]]:
    """The same path without trembling."""
    reach = int(3 * STEADY_FRAMES)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / STEADY_FRAMES) ** 2)
    weights /= weights.sum()
    # The ends are mirrored: there the video turns back.
    padded = np.pad(np.stack(placements), ((reach, reach), (0, 0), (0, 0)), mode="reflect")
    count = len(placements)
    windows = (padded[i : i + 2 * reach + 1] for i in range(count))
    return [np.asarray(np.tensordot(weights, window, axes=1), np.float64) for window in windows]


def _jpeg(image: Image) -> bytes:
    import cv2

    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
