"""A picture becomes a portrait: read, checked, and framed around the one face it shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import PortraitError
from halfsecond.models.face import points
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import Face, FaceFinder

DEFAULT_SIZE = (512, 512)
MIN_EYE_DISTANCE_PX = 50.0
"""Below this the lips are too few pixels for their contours to be found."""
RIVAL_SIZE = 0.35
"""A second face counts when its eyes are at least this part of the first one's apart."""
MAX_YAW_RAD = 0.60
MAX_PITCH_RAD = 0.60
"""Beyond about 35 degrees one corner of the mouth hides behind the lips."""
MAX_ROLL_RAD = 0.60
MIN_LUMA = 28.0
"""Mean brightness of the face, 0 to 255; darker ones have no contours left to find."""
MIN_SHARPNESS = 4.5
"""Steepest edges of the face (95th percentile) at 100 px between the eyes, in percent of its mean
brightness per pixel. The astronaut has 12; blurred by 3 px she has 4.7, and lips become stains."""
OPEN_MOUTH_GAP = 0.07
"""Wider gaps, in eye distances, are closed by more warping than goes unseen."""
EYES_ACROSS = 0.235
"""Eye distance as a part of the frame's shorter side: head and shoulders."""
EYES_DOWN = 0.42
"""Where the eyes are, as a part of the frame's height."""


@dataclass(frozen=True)
class Portrait:
    """The framed picture and the face in it; what every driver draws from."""

    image: NDArray[np.uint8]
    """(h, w, 3) RGB at the size of the frames; not written to."""
    landmarks: NDArray[np.float32]
    """(468, 3) pixels of `image`."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def eye_distance_px(self) -> float:
        """Distance of the outer eye corners."""
        return Face(self.landmarks, 1.0, 1.0).eye_distance_px

    @property
    def advice(self) -> str:
        """What another picture would do better; empty where this one is as good as any."""
        gap = mouth_aperture(self.landmarks)
        if gap <= OPEN_MOUTH_GAP:
            return ""
        return (
            f"the mouth is open (the lips are {gap:.2f} eye distances apart); it will be closed, "
            "but a picture with closed lips looks more natural"
        )


def load_portrait(
    picture: Path,
    finder: FaceFinder,
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    is_reframed: bool = True,
) -> Portrait:
    """The portrait that the file holds.

    size: (width, height) of the frames in pixels.
    is_reframed: False keeps as much of the picture as fits the size's proportions.

    Raises:
        PortraitError: it is no picture, or not one of exactly one usable face.
    """
    return frame_portrait(read_picture(picture), finder, size=size, is_reframed=is_reframed)


def read_picture(path: Path) -> NDArray[np.uint8]:
    """(h, w, 3) RGB, turned upright as its EXIF orientation says.

    Raises:
        PortraitError: no file, or not a picture that OpenCV reads.
    """
    import cv2

    if not path.is_file():
        raise PortraitError(f"no picture at {path}; give the path of a JPEG, PNG or WebP file")
    data = np.frombuffer(path.read_bytes(), np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise PortraitError(f"{path} is not a picture that can be read; save it as JPEG or PNG")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def frame_portrait(
    image: NDArray[np.uint8],
    finder: FaceFinder,
    *,
    size: tuple[int, int] = DEFAULT_SIZE,
    is_reframed: bool = True,
) -> Portrait:
    """As `load_portrait`, from (h, w, 3) RGB pixels."""
    face = check_faces(finder.find_faces(image), image)
    crop = _crop_box(image, face, size, is_reframed=is_reframed)
    framed = _resize_crop(image, crop, size)
    x0, y0, x1, _ = crop
    scale = size[0] / (x1 - x0)
    moved = (face.landmarks - np.array([x0, y0, 0.0], np.float32)) * np.float32(scale)
    again = [f for f in finder.find_faces(framed) if _is_same(f.landmarks, moved)]
    return Portrait(framed, again[0].landmarks if again else moved.astype(np.float32))


def check_faces(faces: list[Face], image: NDArray[np.uint8]) -> Face:
    """The one face of `image` that can be brought to life.

    Raises:
        PortraitError: says what is wrong with the picture and which picture to take instead.
    """
    if not faces:
        raise PortraitError(
            "no face found in the picture; use one in which a single face looks into the "
            "camera, upright and not covered"
        )
    face = faces[0]
    rivals = [f for f in faces if f.eye_distance_px >= RIVAL_SIZE * face.eye_distance_px]
    if len(rivals) > 1:
        raise PortraitError(
            f"{len(rivals)} faces found in the picture, expected one; crop it to the face that "
            "shall speak"
        )
    _check_angles(face)
    if face.eye_distance_px < MIN_EYE_DISTANCE_PX:
        raise PortraitError(
            f"the face is too small: {face.eye_distance_px:.0f} px between the outer eye corners, "
            f"expected at least {MIN_EYE_DISTANCE_PX:.0f}; use a picture of higher resolution or "
            "taken from closer"
        )
    _check_light(face, image)
    return face


def _check_angles(face: Face) -> None:
    yaw, pitch, roll = face.angles_rad
    if abs(yaw) > MAX_YAW_RAD or abs(pitch) > MAX_PITCH_RAD:
        raise PortraitError(
            f"the face is turned away from the camera (about {np.degrees(yaw):+.0f} degrees "
            f"sideways, {np.degrees(pitch):+.0f} up or down); use a picture that shows it from "
            "the front, both corners of the mouth in sight"
        )
    if abs(roll) > MAX_ROLL_RAD:
        raise PortraitError(
            f"the head is tilted by {np.degrees(roll):+.0f} degrees; rotate the picture until "
            "the eyes are level"
        )


def _check_light(face: Face, image: NDArray[np.uint8]) -> None:
    import cv2

    grey = cv2.cvtColor(_face_crop(face, image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = float(grey.mean())
    if luma < MIN_LUMA:
        raise PortraitError(
            f"the face is too dark (mean brightness {luma:.0f} of 255, expected at least "
            f"{MIN_LUMA:.0f}); light it from the front or brighten the picture"
        )
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) / 8
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) / 8
    sharpness = float(np.percentile(np.hypot(dx, dy), 95)) / max(luma, 1.0) * 100
    if sharpness < MIN_SHARPNESS:
        raise PortraitError(
            f"the face is too blurred (sharpness {sharpness:.1f}, expected at least "
            f"{MIN_SHARPNESS:.1f}); use a picture in focus and without motion blur"
        )


def _face_crop(face: Face, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The face alone, scaled to 100 px between the eyes."""
    import cv2

    flat = face.landmarks[:, :2]
    low = np.clip(np.floor(flat.min(axis=0)), 0, None).astype(int)
    high = np.ceil(flat.max(axis=0)).astype(int)
    crop = image[low[1] : high[1], low[0] : high[0]]
    scale = 100.0 / face.eye_distance_px
    width, height = (max(8, round(side * scale)) for side in (crop.shape[1], crop.shape[0]))
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (width, height), interpolation=mode), np.uint8)


def _crop_box(
    image: NDArray[np.uint8], face: Face, size: tuple[int, int], *, is_reframed: bool
) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) of the part of the picture that becomes the frame, inside the picture."""
    width, height = image.shape[1], image.shape[0]
    largest = min(width, height * size[0] / size[1])
    wanted = face.eye_distance_px / EYES_ACROSS * size[0] / min(size)
    crop_w = min(largest, wanted) if is_reframed else largest
    crop_h = crop_w * size[1] / size[0]
    eyes = face.landmarks[[points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER], :2].mean(axis=0)
    x0 = float(np.clip(eyes[0] - crop_w / 2, 0, width - crop_w))
    y0 = float(np.clip(eyes[1] - crop_h * EYES_DOWN, 0, height - crop_h))
    return x0, y0, x0 + crop_w, y0 + crop_h


def _resize_crop(
    image: NDArray[np.uint8], crop: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The crop at `size`; enlarged ones get back a little of the edge that enlarging costs."""
    import cv2

    x0, y0, x1, _ = crop
    scale = size[0] / (x1 - x0)
    if scale == 1.0 and x0.is_integer() and y0.is_integer():
        return np.ascontiguousarray(image[int(y0) : int(y0) + size[1], int(x0) : int(x0) + size[0]])
    if scale < 1:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.uint8)
    # Pixel centres: frame (0, 0) lies half a frame pixel inside the crop's corner.
    shift = 0.5 / scale - 0.5
    to_image = np.array([[1 / scale, 0, x0 + shift], [0, 1 / scale, y0 + shift]], np.float64)
    framed = cv2.warpAffine(
        image,
        to_image,
        size,
        flags=cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if scale > 1.2:
        soft = cv2.GaussianBlur(framed, (0, 0), 0.6 * scale)
        framed = cv2.addWeighted(framed, 1.35, soft, -0.35, 0)
    return np.asarray(framed, np.uint8)


def _is_same(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    """True where two meshes lie on the same face."""
    span = float(np.hypot(*(b[points.RIGHT_EYE_OUTER, :2] - b[points.LEFT_EYE_OUTER, :2])))
    return float(np.abs(a[:, :2] - b[:, :2]).mean()) < 0.3 * span
