"""How near a learned mouth comes to its teacher's, on speech that it did not learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Check
from halfsecond_export.wav2lip.footage import Patches, Sitter
from halfsecond_export.wav2lip.parity import (
    LEAST_MOTION,
    TOLERANCES,
    correlation,
    kept,
    lost,
    motion,
    mouth_of,
    mouth_ssim,
)

TOLERANCE = TOLERANCES["int8"]
"""A mouth may lose what the same generator loses in INT8, and no more."""
NARROWEST_PART = 0.1
"""Of the frames, those with the teacher's narrowest apertures: p, b, m, and the ends of words."""
OPENED_AT_MOST = 0.25
"""Of the standard deviation of the teacher's aperture: how far a mouth may be open where the
teacher's is narrowest. One that tends to the mean opens there: linear regression on the sound
itself by 0.35."""


@dataclass(frozen=True)
class Likeness:
    """Frames of the learned mouth against the teacher's."""

    frames: int
    psnr_db: float
    """Around the mouth, over all frames."""
    ssim: float
    aperture_correlation: float
    opened: float
    """By how much further open in the frames with the teacher's narrowest lips, in standard
    deviations of its aperture."""
    narrowest_frames: int
    source_motion: float
    exchanged_ssim: float
    """With each frame's sound taken for another's."""
    exchanged_correlation: float

    @classmethod
    def of(
        cls, sitter: Sitter, teacher: Patches, own: Patches, shown: NDArray[np.bool_]
    ) -> Likeness:
        """shown: (S, S), what of the pictures is; the rest is not compared."""
        own = np.where(shown[..., np.newaxis], own, teacher)
        wanted, found = sitter.apertures(teacher), sitter.apertures(own)
        half = len(own) // 2
        error = (_mouth(teacher) - _mouth(own)) / 255.0
        narrowest = narrow(wanted, found)
        return cls(
            frames=len(own),
            psnr_db=float(-10.0 * np.log10(max(float(np.square(error).mean()), 1e-12))),
            ssim=mouth_ssim(teacher, own),
            aperture_correlation=correlation(wanted, found),
            opened=opened(wanted, found, narrowest),
            narrowest_frames=len(narrowest),
            source_motion=motion(wanted),
            exchanged_ssim=mouth_ssim(teacher, np.roll(own, half, axis=0)),
            exchanged_correlation=correlation(wanted, np.roll(found, half)),
        )


def narrow(wanted: NDArray[np.float32], found: NDArray[np.float32]) -> NDArray[np.intp]:
    """Where both are seen and `wanted` is narrowest."""
    seen = np.flatnonzero(np.isfinite(wanted) & np.isfinite(found))
    return seen[np.argsort(wanted[seen])][: int(np.ceil(NARROWEST_PART * len(seen)))]


def opened(wanted: NDArray[np.float32], found: NDArray[np.float32], at: NDArray[np.intp]) -> float:
    """How much wider `found` is there, in standard deviations of `wanted`; infinite where it does
    not move."""
    spread = motion(wanted)
    return float((found[at] - wanted[at]).mean()) / spread if spread else float("inf")


def _mouth(patches: Patches) -> NDArray[np.float32]:
    rows, columns = mouth_of(patches.shape[1])
    return patches[:, rows, columns].astype(np.float32)


def checks(found: Likeness) -> tuple[Check, ...]:
    """What was measured, and what must hold for it to mean anything: see `wav2lip.parity`."""
    n = found.frames
    return (
        Check(what="mouth PSNR", value=found.psnr_db, unit=" dB", n=n),
        *kept(found.ssim, found.aperture_correlation, TOLERANCE, n=n),
        Check(
            what="narrowest lips opened by",
            value=found.opened,
            unit=" of the motion",
            n=found.narrowest_frames,
            at_most=OPENED_AT_MOST,
        ),
        Check(
            what="motion of the source's mouth",
            value=found.source_motion,
            unit=" eye distances",
            n=n,
            at_least=LEAST_MOTION,
        ),
        *lost(
            found.exchanged_ssim,
            found.exchanged_correlation,
            TOLERANCE,
            n=n,
            by="sounds exchanged",
        ),
    )
