"""From what was seen to what is said about a driver."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ
from halfsecond.models.lipsync.visemes import BILABIALS
from halfsecond_bench.av_offset import offset_of
from halfsecond_bench.lipsync.take import Take
from halfsecond_bench.statistics import wilson_interval

QUIET_DBFS = -50.0
"""Below this a tenth of a second is silence: voices breathe below it, and do not speak."""
SETTLED_S = 0.3
"""After this much silence a mouth must be closed."""
AHEAD_S = 0.22
"""And as long as it lasts for this much longer: lips part before they are heard, and Wav2Lip hears
213 ms ahead."""
SHUT = 0.03
"""Commanded openings below this are closed."""
SHUT_SEEN = 0.04
"""Apertures below this, in eye distances, look closed: closed lips of photos read 0.00 to 0.03, by
the noise of the landmarks; the smallest vowel 0.06."""
SHUT_MARGIN, SHUT_MOST = 0.012, 0.055
"""Of a photo whose closed lips read more (a grainy one 0.044), so much more than at rest, and at
most so much, counts as closed."""
SHUT_AT_BILABIAL = 0.10
"""At p, b and m the lips press: a commanded opening below this lets no light through."""
BILABIAL_REACH_S = 0.06
"""A picture this near to the closure may show it."""


class Share(msgspec.Struct, frozen=True):
    """How many of how many, with the 95 % interval of the rate."""

    hits: int
    n: int
    low: float
    high: float

    @property
    def rate(self) -> float:
        """NaN of none."""
        return self.hits / self.n if self.n else math.nan


def share(hits: NDArray[np.bool_]) -> Share:
    """Of booleans."""
    count, n = int(hits.sum()), len(hits)
    low, high = wilson_interval(count, n)
    return Share(count, n, round(low, 4), round(high, 4))


class MouthFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One driver that says one voice's sentences with one portrait, head and eyes still."""

    aperture_r: float
    """Pearson's r of the aperture seen with the mouth commanded."""
    lag_ms: float
    """How much later the seen mouth is than the commanded one; noise of the landmarks included."""
    av_offset_ms: float | None
    """From content; positive: the sound is ahead. None where mouth and sound share no shape."""
    av_correlation: float | None
    closed_by_driver: Share
    """Frames in silence."""
    closed_by_detector: Share
    jitter_px: float
    """Root mean square of how far the lips' outline wanders from its mean in silence."""
    bilabials_by_driver: Share | None
    """Of p, b and m, where the voice tells its phonemes."""
    bilabials_by_detector: Share | None
    frames: int
    unseen: int
    """Frames in which no face was found."""


def mouth_figures(take: Take, *, commands_opening: bool = True) -> MouthFigures:
    """The figures of a take.

    commands_opening: False where `Frame.mouth` says something else: of Wav2Lip, which hears no
    phonemes, how far its picture is from the resting mouth.
    """
    seen = np.isfinite(take.seen)
    quiet = settled(take)
    offset = (
        offset_of(take.at_s[seen], take.seen[seen], take.speech.samples, LIPSYNC_RATE_HZ)
        if seen.sum() > 25
        else None
    )
    by_driver, by_detector = bilabials(take)
    return MouthFigures(
        aperture_r=round(correlation(take.seen[seen], take.mouth[seen]), 4),
        lag_ms=round(lag_ms(take, seen), 1),
        av_offset_ms=None if offset is None else round(1000 * offset.offset_s, 1),
        av_correlation=None if offset is None else round(offset.correlation, 3),
        closed_by_driver=share(take.mouth[quiet] < SHUT),
        closed_by_detector=share(take.seen[quiet & seen] < shut_seen(take)),
        jitter_px=round(jitter_px(take, quiet & seen), 3),
        bilabials_by_driver=by_driver if commands_opening else None,
        bilabials_by_detector=by_detector,
        frames=len(seen),
        unseen=int((~seen).sum()),
    )


def shut_seen(take: Take) -> float:
    """The aperture below which this portrait's lips look closed."""
    return max(SHUT_SEEN, min(take.rest_aperture + SHUT_MARGIN, SHUT_MOST))


def correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Pearson's r; NaN where either does not move."""
    spread = float(a.std() * b.std()) if len(a) > 2 else 0.0
    return float(((a - a.mean()) * (b - b.mean())).mean()) / spread if spread else math.nan


def lag_ms(take: Take, seen: NDArray[np.bool_]) -> float:
    """The shift, in steps of 5 ms up to 120, at which seen and commanded mouths agree best."""
    at, mouth, aperture = take.at_s[seen], take.mouth[seen], take.seen[seen]
    shifts = np.arange(-0.12, 0.1201, 0.005)
    scores = [correlation(np.interp(at + shift, at, aperture), mouth) for shift in shifts]
    return 1000 * float(shifts[int(np.nanargmax(scores))]) if np.isfinite(scores).any() else 0.0


def settled(take: Take) -> NDArray[np.bool_]:
    """(n,) whether it has been silent for SETTLED_S before a frame, and still is for AHEAD_S."""
    samples = np.concatenate([take.speech.samples, np.zeros(LIPSYNC_RATE_HZ, np.float32)])
    energy = np.concatenate([[0.0], np.cumsum(np.square(samples, dtype=np.float64))])
    step, limit = LIPSYNC_RATE_HZ // 10, 10 ** (QUIET_DBFS / 10)

    def is_quiet(from_s: float, to_s: float) -> bool:
        first, last = max(0, int(from_s * LIPSYNC_RATE_HZ)), int(to_s * LIPSYNC_RATE_HZ)
        starts = np.clip(np.arange(first, max(last - step, first + 1), step // 2), 0, len(samples))
        ends = np.clip(starts + step, 0, len(samples))
        return bool(((energy[ends] - energy[starts]) / step < limit).all())

    return np.array([is_quiet(t - SETTLED_S, t + AHEAD_S) for t in take.times_s], bool)


def jitter_px(take: Take, quiet: NDArray[np.bool_]) -> float:
    """Over every stretch of silence by itself."""
    wandering: list[float] = []
    lips = np.asarray(take.lips)
    for stretch in np.split(
        np.flatnonzero(quiet), np.flatnonzero(np.diff(np.flatnonzero(quiet)) > 1) + 1
    ):
        if len(stretch) > 2:
            away = lips[stretch] - lips[stretch].mean(axis=0)
            wandering += np.square(away).sum(axis=-1).ravel().tolist()
    return math.sqrt(float(np.mean(wandering))) if wandering else 0.0


def bilabials(take: Take) -> tuple[Share | None, Share | None]:
    """Whether some frame of each p, b and m shows closed lips: as commanded, and as seen."""
    closures = [phone for phone in take.speech.phones if phone.symbol in BILABIALS]
    if not closures:
        return None, None
    least = []
    for phone in closures:
        near = (take.at_s >= phone.start_s - BILABIAL_REACH_S) & (
            take.at_s <= phone.end_s + BILABIAL_REACH_S
        )
        seen = take.seen[near]
        seen = seen[np.isfinite(seen)]
        least.append((take.mouth[near].min(initial=1.0), seen.min(initial=1.0)))
    commanded, looked = np.array(least).T
    return share(commanded < SHUT_AT_BILABIAL), share(looked < shut_seen(take))
