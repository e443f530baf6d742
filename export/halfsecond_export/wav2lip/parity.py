"""How near pictures are to those of the source: numbers, structure around the mouth, its motion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Artifact, Check, Precision
from halfsecond.models.lipsync.wav2lip import MOUTH_REGION
from halfsecond.sessions import open_session
from halfsecond_export.wav2lip.footage import Patches, Sitter, Windows, pictures
from halfsecond_export.wav2lip.graph import FACE, SOUND

_BATCH_FRAMES = 5
"""As the driver runs it."""

LEAST_MOTION = 0.002
"""Standard deviation of the aperture, in eye distances, below which a mouth does not move."""
LEAST_FRAMES = 10
"""Fewer that show a mouth are no motion to compare."""


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
    """Pearson's r of the mouth's aperture over time."""
    source_motion: float
    """Standard deviation of the aperture of the source's mouth, in eye distances."""


@dataclass(frozen=True)
class Tolerance:
    """What an artifact must reach against torch."""

    ssim: float
    aperture_correlation: float


TOLERANCES: dict[Precision, Tolerance] = {
    "fp32": Tolerance(ssim=0.9995, aperture_correlation=0.99),
    "fp16": Tolerance(ssim=0.995, aperture_correlation=0.99),
    "int8": Tolerance(ssim=0.97, aperture_correlation=0.95),
    "int8_fp16": Tolerance(ssim=0.97, aperture_correlation=0.95),
}


class Judge:
    """Frames that the source drew, to compare files with."""

    def __init__(self, sitter: Sitter, windows: Windows, drawn: NDArray[np.float32]) -> None:
        """drawn: (n, 3, S, S), the source's outputs for the windows."""
        self._sitter = sitter
        self._windows = windows
        self._drawn = drawn
        self._pictures = pictures(drawn)
        self._apertures = sitter.apertures(self._pictures)

    def compare(self, path: Path) -> Likeness:
        """How near the ONNX file at `path` comes, on ONNX Runtime's CPU kernels."""
        drawn = self._run(path)
        found = pictures(drawn)
        error = drawn - self._drawn
        return Likeness(
            len(drawn),
            float(np.abs(error).max()),
            float(np.linalg.norm(error) / np.linalg.norm(self._drawn)),
            mouth_ssim(self._pictures, found),
            correlation(self._apertures, self._sitter.apertures(found)),
            motion(self._apertures),
        )

    def _run(self, path: Path) -> NDArray[np.float32]:
        session, face = open_session(path), self._sitter.face
        drawn: list[NDArray[np.float32]] = []
        for at in range(0, len(self._windows), _BATCH_FRAMES):
            part = self._windows[at : at + _BATCH_FRAMES]
            faces = np.repeat(face[np.newaxis], len(part), axis=0)
            drawn += session.run({SOUND: part, FACE: faces}).values()
        return np.concatenate(drawn)


def motion(apertures: NDArray[np.float32]) -> float:
    """Standard deviation of a mouth's aperture over time, in eye distances; 0 if it is not seen."""
    seen = apertures[np.isfinite(apertures)]
    return float(seen.std()) if len(seen) >= LEAST_FRAMES else 0.0


def correlation(left: NDArray[np.float32], right: NDArray[np.float32]) -> float:
    """Pearson's r of the apertures of two mouths over time, where both are seen.

    0 where one of them is still or not seen: it follows nothing, and nothing follows it.
    """
    seen = np.isfinite(left) & np.isfinite(right)
    a, b = left[seen].astype(np.float64), right[seen].astype(np.float64)
    if len(a) < LEAST_FRAMES or not a.std() or not b.std():
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def mouth_ssim(left: Patches, right: Patches) -> float:
    """Structural similarity of the mouths' brightness, the mean over frames.

    Gaussian windows of 1.5 px and the constants of Wang et al., 2004 (TIP 13/4).
    """
    return float(np.mean([_ssim(a, b) for a, b in zip(left, right, strict=True)]))


def mouth_of(side_px: int) -> tuple[slice, slice]:
    """Rows and columns of the mouth in a square picture."""
    rows, columns = (slice(int(r.start * side_px), int(r.stop * side_px)) for r in MOUTH_REGION)
    return rows, columns


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
    return float(similarity[mouth_of(len(a))].mean())


def checks(found: Likeness, control: Likeness, precision: Precision) -> tuple[Check, ...]:
    """What was measured, and what must hold for it to mean anything.

    A mouth that does not move, as that of untrained weights, has no motion to keep; a negative
    control that passes shows instruments that cannot see.
    """
    frames, tolerance = found.frames, TOLERANCES[precision]
    return (
        Check(what="largest error", value=found.max_error, n=frames),
        Check(what="relative error", value=found.relative_error, n=frames),
        *kept(found.ssim, found.aperture_correlation, tolerance, n=frames),
        Check(
            what="motion of the source's mouth",
            value=found.source_motion,
            n=frames,
            at_least=LEAST_MOTION,
        ),
        *lost(control.ssim, control.aperture_correlation, tolerance, n=frames, by="channels moved"),
    )


def kept(ssim: float, aperture_correlation: float, at_least: Tolerance, *, n: int) -> list[Check]:
    """How alike two mouths are, which must be at least so much."""
    return [
        Check(what="mouth SSIM", value=ssim, n=n, at_least=at_least.ssim),
        Check(
            what="aperture correlation",
            value=aperture_correlation,
            n=n,
            at_least=at_least.aperture_correlation,
        ),
    ]


def lost(
    ssim: float, aperture_correlation: float, at_most: Tolerance, *, n: int, by: str
) -> list[Check]:
    """The same of a negative control, which must fail. by: what was done to it."""
    return [
        Check(what=f"mouth SSIM with {by}", value=ssim, n=n, at_most=at_most.ssim),
        Check(
            what=f"aperture correlation with {by}",
            value=aperture_correlation,
            n=n,
            at_most=at_most.aperture_correlation,
        ),
    ]


def reasons(artifact: Artifact) -> list[str]:
    """Why an artifact was rejected, one sentence for each tolerance that it misses."""
    return [_reason(check) for check in artifact.missed]


def _reason(check: Check) -> str:
    wanted = f"at least {check.at_least}" if check.at_most is None else f"at most {check.at_most}"
    return f"{check.what} is {check.value:.4f}, expected {wanted}"
