"""Which pictures can be brought to life, and what to do about those that cannot."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import PortraitError
from halfsecond.models.face.finder import Face
from halfsecond.models.face.mouth_sight import MouthSight

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
WHITE_LUMA, MAX_WHITE = 240, 0.45
"""Brightness with hardly any drawing left in it (cameras and films reach 255 by a soft shoulder),
and how much of a face may be so bright: usable faces have up to 0.27, glaring ones 0.60."""
MIN_SHARPNESS = 4.5
"""Steepest edges of the face (95th percentile) at 100 px between the eyes, in percent of its mean
brightness per pixel. The astronaut has 12; blurred by 3 px she has 4.7, and lips become stains."""
MIN_MOUTH = 0.04
"""Least `MouthSight.contrast`: fingers of the sitter's own skin 0.02, a plain mask 0.002, a
moustache over the lips 0.04, a grey and grainy photo of closed lips 0.06, others 0.09 to 0.42."""
MIN_LIKENESS = 0.53
"""Least `MouthSight.likeness`. Twelve people (`tests/faces`) and a photo made worse in twelve ways,
some laughing or lit from one side, have 0.60 and more; four of them with a hand before the mouth
0.02 to 0.46."""
MAX_OTHER_COLOUR, MIN_REDDER = 11.0, 2.0
"""Most `MouthSight.other_colour` where nothing is redder by so much than what is around it. Masks
have 14 to 25 and no lips; beards as much, but lips."""
_BEFORE_IT = (
    "a hand, a mask or a moustache may be before it; use a picture in which the whole mouth is in "
    "sight"
)


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
            f"the face is too bright ({100 * white:.0f} % of it is nearly white, at most "
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
    seen = MouthSight.of(face, image)
    if seen.contrast < MIN_MOUTH:
        raise PortraitError(
            f"no lips can be seen where the mouth should be (contrast {seen.contrast:.3f}, "
            f"expected at least {MIN_MOUTH}): {_BEFORE_IT}",
            reason="mouth_hidden",
        )
    if seen.likeness < MIN_LIKENESS:
        raise PortraitError(
            f"no lips can be seen where the mouth should be (what is there is like lips by "
            f"{seen.likeness:.2f}, expected at least {MIN_LIKENESS}): {_BEFORE_IT}",
            reason="mouth_hidden",
        )
    if seen.other_colour > MAX_OTHER_COLOUR and seen.redder < MIN_REDDER:
        raise PortraitError(
            f"no lips can be seen where the mouth should be (the lower face has another colour "
            f"than the upper, by {seen.other_colour:.0f} of Lab, expected at most "
            f"{MAX_OTHER_COLOUR:.0f}): {_BEFORE_IT}",
            reason="mouth_hidden",
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
