"""Which pictures can be brought to life, and what to do about those that cannot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import PortraitError
from halfsecond.models.face import points
from halfsecond.models.face.finder import Face

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
WHITE_LUMA, MAX_WHITE = 250, 0.30
"""Brightness without any drawing left in it, and how much of a face may be so bright."""
MIN_SHARPNESS = 4.5
"""Steepest edges of the face (95th percentile) at 100 px between the eyes, in percent of its mean
brightness per pixel. The astronaut has 12; blurred by 3 px she has 4.7, and lips become stains."""
MIN_MOUTH = 0.04
"""Least `mouth_evidence`: twelve varied faces have 0.09 to 0.24, a grey and grainy one 0.06; with a
hand before the mouth 0.02, with a mask 0.002 (`tests/fakes/portraits.py`)."""


def check_faces(faces: list[Face], image: NDArray[np.uint8]) -> Face:
    """The one face of `image` that can be brought to life.

    Raises:
        PortraitError: says what is wrong with the picture and which picture to take instead.
    """
    if not faces:
        raise PortraitError(
            "no face found in the picture; use one in which a single face looks into the "
            "camera, upright and not covered",
            reason="no_face",
        )
    face = faces[0]
    rivals = [f for f in faces if f.eye_distance_px >= RIVAL_SIZE * face.eye_distance_px]
    if len(rivals) > 1:
        raise PortraitError(
            f"{len(rivals)} faces found in the picture, expected one; crop it to the face that "
            "shall speak",
            reason="several_faces",
        )
    _check_angles(face)
    if face.eye_distance_px < MIN_EYE_DISTANCE_PX:
        raise PortraitError(
            f"the face is too small: {face.eye_distance_px:.0f} px between the outer eye corners, "
            f"expected at least {MIN_EYE_DISTANCE_PX:.0f}; use a picture of higher resolution or "
            "taken from closer",
            reason="too_small",
        )
    _check_light(face, image)
    _check_mouth(face, image)
    return face


def _check_angles(face: Face) -> None:
    yaw, pitch, roll = face.angles_rad
    if abs(yaw) > MAX_YAW_RAD or abs(pitch) > MAX_PITCH_RAD:
        raise PortraitError(
            f"the face is turned away from the camera (about {np.degrees(yaw):+.0f} degrees "
            f"sideways, {np.degrees(pitch):+.0f} up or down); use a picture that shows it from "
            "the front, both corners of the mouth in sight",
            reason="turned_away",
        )
    if abs(roll) > MAX_ROLL_RAD:
        raise PortraitError(
            f"the head is tilted by {np.degrees(roll):+.0f} degrees; rotate the picture until "
            "the eyes are level",
            reason="tilted",
        )


def _check_light(face: Face, image: NDArray[np.uint8]) -> None:
    import cv2

    grey = cv2.cvtColor(_face_crop(face, image), cv2.COLOR_RGB2GRAY).astype(np.float32)
    luma = float(grey.mean())
    if luma < MIN_LUMA:
        raise PortraitError(
            f"the face is too dark (mean brightness {luma:.0f} of 255, expected at least "
            f"{MIN_LUMA:.0f}); light it from the front or brighten the picture",
            reason="too_dark",
        )
    white = float((grey >= WHITE_LUMA).mean())
    if white > MAX_WHITE:
        raise PortraitError(
            f"the face is too bright ({100 * white:.0f} % of it is plain white, at most "
            f"{100 * MAX_WHITE:.0f} % can be used); expose it less, without a flash",
            reason="too_bright",
        )
    smooth = cv2.GaussianBlur(grey, (0, 0), 0.8)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3) / 8
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3) / 8
    sharpness = float(np.percentile(np.hypot(dx, dy), 95)) / max(luma, 1.0) * 100
    if sharpness < MIN_SHARPNESS:
        raise PortraitError(
            f"the face is too blurred (sharpness {sharpness:.1f}, expected at least "
            f"{MIN_SHARPNESS:.1f}); use a picture in focus and without motion blur",
            reason="blurred",
        )


def _check_mouth(face: Face, image: NDArray[np.uint8]) -> None:
    evidence = mouth_evidence(face, image)
    if evidence < MIN_MOUTH:
        raise PortraitError(
            f"no lips can be seen where the mouth should be (contrast {evidence:.3f}, expected at "
            f"least {MIN_MOUTH}): a hand, a mask or a moustache may be before it; use a picture "
            "in which the whole mouth is in sight",
            reason="mouth_hidden",
        )


def mouth_evidence(face: Face, image: NDArray[np.uint8]) -> float:
    """How much stands out along the line between the lips: a seam, red lips, teeth.

    The landmark model puts a mouth wherever one would be, behind hands too. Brightness and redness
    are averaged along the lips, in which lips agree and fingers do not; what is left of them across
    the mouth, after a straight line through it, is taken relative to the brightness.
    """
    import cv2

    flat, eye = face.landmarks[:, :2], face.eye_distance_px
    along = (flat[points.RIGHT_EYE_OUTER] - flat[points.LEFT_EYE_OUTER]) / eye
    down = np.array([-along[1], along[0]], np.float32)
    middle = (flat[list(points.UPPER_LIP_INNER)] + flat[list(points.LOWER_LIP_INNER)]) / 2
    columns = middle[2:-2]  # without the corners, which shadows reach
    across = np.linspace(-0.17, 0.17, 69, dtype=np.float32) * np.float32(eye)
    at = (columns[None] + across[:, None, None] * down).astype(np.float32)
    low = np.floor(at.reshape(-1, 2).min(axis=0) - 2).astype(int).clip(0)
    high = np.ceil(at.reshape(-1, 2).max(axis=0) + 3).astype(int)
    part = np.ascontiguousarray(image[low[1] : high[1], low[0] : high[0]])
    if not part.size:
        return 0.0
    lab = cv2.cvtColor(part.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 0.012 * eye)
    seen = cv2.remap(lab, at - low.astype(np.float32), None, cv2.INTER_LINEAR)  # type: ignore[call-overload]
    profile = np.asarray(seen, np.float64).mean(axis=1)
    light, red = (_without_slope(profile[:, channel]) for channel in (0, 1))
    return float((light.std() + red.std()) / max(profile[:, 0].mean(), 5.0))


def _without_slope(values: NDArray[np.float64]) -> NDArray[np.float64]:
    at = np.linspace(-1.0, 1.0, len(values))
    return np.asarray(values - np.polynomial.Polynomial.fit(at, values, 1)(at))


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
