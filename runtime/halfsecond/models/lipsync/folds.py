"""The folds that a smile draws beside nose and mouth, taken out of the picture as it is closed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.lips import Lips

LEFT_FOLD = (129, 203, 206, 216, 212)
RIGHT_FOLD = (358, 423, 426, 436, 432)
"""From the wing of the nose past the corner of the mouth."""
CORNER_PIT = 0.045
"""Beyond the corners of the mouth a smile digs pits this wide, in eye distances."""
BESIDE = 0.075
"""Half the width of a fold with its shadow, in eye distances."""
FINE, BROAD = 0.012, 0.14
"""What lies between these sizes, in eye distances, is shading; finer is skin, broader is light."""
SOFTENED = 0.62
"""Of a wide smile's folds; all of it would leave a mask."""
SMILE_GAP = 0.07
"""From this gap on, in eye distances, a mouth is smiling widely."""


def without_folds(portrait: Portrait, lips: Lips) -> NDArray[np.uint8]:
    """(h, w, 3) the portrait with the folds of its smile softened, the more the wider it is."""
    import cv2

    openness = min(1.0, float(lips.gap.max()) / (SMILE_GAP * lips.eye_distance))
    if openness < 0.1:
        return portrait.image
    eye, flat = lips.eye_distance, portrait.landmarks[:, :2]
    mask: NDArray[np.float32] = np.zeros(portrait.image.shape[:2], np.float32)
    for fold in (LEFT_FOLD, RIGHT_FOLD):
        line = np.round(flat[list(fold)]).astype(np.int32)
        cv2.polylines(mask, [line], False, (1.0,), max(1, round(1.4 * BESIDE * eye)))
    for corner, side in ((points.MOUTH_LEFT, -1.0), (points.MOUTH_RIGHT, 1.0)):
        x, y = flat[corner] + side * CORNER_PIT * eye * lips.along
        cv2.circle(mask, (round(float(x)), round(float(y))), round(CORNER_PIT * eye), (1.0,), -1)
    mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), 0.6 * BESIDE * eye), np.float32)
    image = portrait.image.astype(np.float32)
    fine = cv2.GaussianBlur(image, (0, 0), FINE * eye)
    shading = fine - cv2.GaussianBlur(image, (0, 0), BROAD * eye)
    # A fold is darker than the skin around it; lips and nostrils keep their own colours.
    shading = np.clip(shading, -45.0, 25.0)
    softened = image - SOFTENED * openness * shading * mask[..., None]
    return np.asarray(np.clip(np.rint(softened), 0, 255), np.uint8)
