"""Faces of a picture: the detector says where, the landmark model says what is where in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.face import points
from halfsecond.models.face.detector import Detection, FaceDetector
from halfsecond.models.face.landmarks import FaceLandmarker

MIN_CONFIDENCE = 0.5
"""Below this the landmark model itself says that it is not looking at a face."""


@dataclass(frozen=True)
class Face:
    """One face and its 468 points."""

    landmarks: NDArray[np.float32]
    """(468, 3) pixels of the picture; depth has the scale of x, smaller is nearer."""
    score: float
    """The detector's, 0 to 1."""
    confidence: float
    """The landmark model's, 0 to 1."""

    @property
    def eye_distance_px(self) -> float:
        """Distance of the outer eye corners: the unit in which faces are measured here."""
        span = self.landmarks[points.RIGHT_EYE_OUTER] - self.landmarks[points.LEFT_EYE_OUTER]
        return float(np.hypot(span[0], span[1]))

    @property
    def angles_rad(self) -> tuple[float, float, float]:
        """(yaw, pitch, roll); 0 looks straight into the camera. See `face_angles`."""
        return face_angles(self.landmarks)


class FaceFinder:
    """Both models together. One thread at a time."""

    def __init__(self, detector: Path, landmarks: Path, *, threads: int = 1) -> None:
        self._detector = FaceDetector(detector, threads=threads)
        self._landmarker = FaceLandmarker(landmarks, threads=threads)

    def find_faces(self, image: NDArray[np.uint8]) -> list[Face]:
        """The faces of `image`, (h, w, 3) RGB, widest first."""
        faces = [self._face(image, seen) for seen in self._detector.detect(image)]
        sure = [face for face in faces if face.confidence >= MIN_CONFIDENCE]
        return sorted(sure, key=lambda face: -face.eye_distance_px)

    def _face(self, image: NDArray[np.uint8], seen: Detection) -> Face:
        x0, y0, x1, y1 = seen.box
        corners = np.array([[x0, y0], [x1, y1]], np.float32)
        # The eyes come first: they give the angle. Their box is inside the detector's.
        outline = np.concatenate([seen.keypoints[:2], corners])
        found, confidence = self._landmarker.locate(image, outline)
        return Face(found, seen.score, confidence)


def face_angles(landmarks: NDArray[np.float32]) -> tuple[float, float, float]:
    """Yaw, pitch and roll of a mesh in radians, from the planes that its points span.

    Yaw comes from the edges of the face, roll from the eyes, pitch from forehead to chin; the
    depth that the mesh model invents is good to some 5 degrees.
    """
    across = landmarks[points.RIGHT_EDGE] - landmarks[points.LEFT_EDGE]
    down = landmarks[points.CHIN] - landmarks[points.FOREHEAD]
    eyes = landmarks[points.RIGHT_EYE_OUTER] - landmarks[points.LEFT_EYE_OUTER]
    yaw = float(np.arctan2(across[2], np.hypot(across[0], across[1])))
    pitch = float(np.arctan2(down[2], np.hypot(down[0], down[1])))
    return yaw, pitch, float(np.arctan2(eyes[1], eyes[0]))
