"""Whether the microphone hears the loudspeaker at all, how late and how loud."""

from __future__ import annotations

from collections import deque
from typing import Literal

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RATE_HZ = 8_000
"""Half the microphone's rate: speech below 3.6 kHz is enough to find it again."""
HOP = 512
"""64 ms: how often it looks, while something is played."""
WINDOW = 4096
"""512 ms of microphone. Half of it finds the lag in 88 % of looks instead of 99 %."""
MAX_LAG = 4096
"""512 ms, the longest echo that is searched for; WebRTC's canceller searches as far."""
FFT = WINDOW + MAX_LAG
LOUD_DBFS = -50.0
"""Reference above this is played aloud; below it no echo can be expected."""
SURE = 12.0
"""Peak over the root mean square of the correlation. On the recorded clips an echo 6 dB below the
visitor gives 24 in the median and 14 in the lowest twentieth; a visitor who has nothing to do with
what is played gives 5 and, in the highest hundredth, 10."""
HINT = 8.0
SAME_LAG = 8
"""1 ms: a sure peak counts when the look before had it too. Where both signals have just begun, as
when a visitor and the face start together, chance makes high peaks, and each elsewhere."""
SETTLED_HOPS = 4
"""A path that was just seen is looked at every quarter of a second only."""
ABSENT_AFTER = 8
"""Looks in which something was played and no hint of it heard: 0.5 s."""
LOST_AFTER = 64
"""The same once an echo was heard: a visitor may drown it for a while."""

State = Literal["unknown", "present", "absent"]


class EchoPath:
    """Correlates what was played with what is heard (GCC-PHAT, Knapp and Carter 1976).

    state: "present" once a sure peak was seen twice, "absent" when none comes, and "unknown" before
        enough was played.
    lag_s, gain_db: of the last sure peak: how much later, and how much louder than the reference,
        the echo is in the microphone.
    """

    def __init__(self) -> None:
        self.state: State = "unknown"
        self.lag_s = 0.0
        self.gain_db = 0.0
        self._gains_db: deque[float] = deque(maxlen=32)
        self._misses = 0
        self._microphone = np.zeros(FFT, np.float32)
        self._reference = np.zeros(FFT, np.float32)
        self._new_microphone: list[NDArray[np.float32]] = []
        self._new_reference: list[NDArray[np.float32]] = []
        self._waiting = 0
        self._hops_to_skip = 0
        self._lag_before = -MAX_LAG
        self._taper = np.hanning(WINDOW).astype(np.float32)
        frequency_hz = np.arange(FFT // 2 + 1) * RATE_HZ / FFT
        self._band = (frequency_hz > 250) & (frequency_hz < 3600)

    def push(self, microphone: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        """Takes (n,) of each at 16 kHz, of one moment, n even."""
        self._new_microphone.append(_halved(microphone))
        self._new_reference.append(_halved(reference))
        self._waiting += len(microphone) // 2
        if self._waiting >= HOP:
            self._microphone = _shifted(self._microphone, self._new_microphone)
            self._reference = _shifted(self._reference, self._new_reference)
            self._waiting = 0
            self._hops_to_skip -= 1
            if self._hops_to_skip < 0:
                self._look()

    def _look(self) -> None:
        older_dbfs = _dbfs(self._reference[:MAX_LAG])
        newer_dbfs = _dbfs(self._reference[MAX_LAG:])
        if max(older_dbfs, newer_dbfs) < LOUD_DBFS:
            return
        peak, lag = self._correlate()
        if peak >= SURE:
            is_confirmed = abs(lag - self._lag_before) <= SAME_LAG
            self._lag_before = lag
            if is_confirmed:
                self._misses = 0
                self._hops_to_skip = SETTLED_HOPS - 1
                self._note(lag)
        elif peak < HINT and min(older_dbfs, newer_dbfs) > LOUD_DBFS:
            self._misses += 1
            limit = LOST_AFTER if self.state == "present" else ABSENT_AFTER
            if self._misses >= limit:
                self.state = "absent"

    def _note(self, lag: int) -> None:
        if self.state != "present" or abs(lag / RATE_HZ - self.lag_s) > 0.01:
            self._gains_db.clear()
        self.state, self.lag_s = "present", lag / RATE_HZ
        heard_dbfs = _dbfs(self._microphone[-WINDOW:])
        played_dbfs = _dbfs(self._reference[FFT - WINDOW - lag : FFT - lag])
        self._gains_db.append(heard_dbfs - played_dbfs)
        # A visitor who speaks too makes the echo seem louder than it is: the lower ones count.
        self.gain_db = float(np.percentile(self._gains_db, 30))

    def _correlate(self) -> tuple[float, int]:
        """Height of the highest peak over the root mean square, and its lag in samples."""
        heard = np.asarray(scipy.fft.rfft(self._microphone[-WINDOW:] * self._taper, FFT))
        played = np.asarray(scipy.fft.rfft(self._reference, FFT))
        product = np.conj(heard) * played
        product = np.where(self._band, product / (np.abs(product) + 1e-9), 0)
        correlation = np.abs(np.asarray(scipy.fft.irfft(product, FFT))[: MAX_LAG + 1])
        spread = float(np.sqrt(np.mean(np.square(correlation))))
        start = int(np.argmax(correlation))
        return float(correlation[start]) / max(spread, 1e-9), MAX_LAG - start


def _halved(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Every two samples' mean; what folds back does so in both signals alike."""
    halved: NDArray[np.float32] = samples.reshape(-1, 2).mean(axis=1, dtype=np.float32)
    return halved


def _shifted(old: NDArray[np.float32], new: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The last samples of old and new together, as many as of old; empties `new`."""
    joined: NDArray[np.float32] = np.concatenate([old, *new])[-len(old) :]
    new.clear()
    return joined


def _dbfs(samples: NDArray[np.float32]) -> float:
    return float(10 * np.log10(np.mean(np.square(samples)) + 1e-12))
