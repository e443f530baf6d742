"""How near pictures are to those of the source: numbers, structure around the mouth, its motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.wav2lip import MOUTH_REGION
from halfsecond_export.wav2lip.footage import Patches

LEAST_MOTION = 0.002
"""Standard deviation of the aperture, in eye distances, below which a mouth does not move: landmarks
alone jitter by about this much."""


@dataclass(frozen=True)
class Likeness:
    """Candidate frames against the source's."""

    frames: int
    max_error: float
    """Largest difference of an output, of a range of 0 to 1."""
    relative_error: float
    """Norm of the difference over the norm of the source's output."""
    ssim: float
    """Structural similarity around the mouth, the mean over frames; 1 is the same."""
    aperture_correlation: float
    """Pearson's r of the mouth's aperture over time; NaN where the source's mouth does not move."""


def correlation(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Pearson's r of two apertures over time, where both were seen.

    NaN where the first does not move, or too little was seen; 0 where only the second is still.
    """
    seen = np.isfinite(left) & np.isfinite(right)
    if seen.sum() < 10:
        return float("nan")
    a, b = left[seen].astype(np.float64), right[seen].astype(np.float64)
    if a.std() < LEAST_MOTION:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1]) if b.std() > 0.0 else 0.0


def mouth_ssim(left: Patches, right: Patches) -> float:
    """Structural similarity of the mouths' brightness, the mean over frames.

    Gaussian windows of 1.5 px and the constants of Wang et al., 2004 (TIP 13/4).
    """
    return float(np.mean([_ssim(a, b) for a, b in zip(left, right, strict=True)]))


def _ssim(left: NDArray[np.uint8], right: NDArray[np.uint8]) -> float:
    import cv2

    def blurred(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5), np.float64)

    a, b = (patch.astype(np.float64).mean(axis=2) for patch in (left, right))
    mean_a, mean_b = blurred(a), blurred(b)
    c1, c2 = (0.01 * 255.0) ** 2, (0.03 * 255.0) ** 2
    spread = blurred(a * a) - mean_a**2 + blurred(b * b) - mean_b**2
    shared = blurred(a * b) - mean_a * mean_b
    level = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    similarity = level * (2 * shared + c2) / (spread + c2)
    rows, columns = (slice(int(r.start * len(a)), int(r.stop * len(a))) for r in MOUTH_REGION)
    return float(similarity[rows, columns].mean())
