"""What an echo canceller is: microphone and loudspeaker in, the visitor out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000


@dataclass(frozen=True)
class Cleaned:
    """A block of the microphone without the loudspeaker in it. Owned by the receiver."""

    samples: NDArray[np.float32]
    """(n,) for the recogniser: as much of the visitor as could be kept, with a rest of the echo."""
    audible: NDArray[np.float32]
    """(n,) for whatever decides who speaks: the same, silent where nobody but the loudspeaker is
    heard."""


class EchoCanceller(Protocol):
    """The canceller of one microphone stream. One thread at a time."""

    @property
    def name(self) -> str: ...

    @property
    def latency_samples(self) -> int:
        """How much later a sample leaves than it came, in samples of 16 kHz."""
        ...

    def process(self, microphone: NDArray[np.float32], reference: NDArray[np.float32]) -> Cleaned:
        """Blocks of any length n, as long as what goes in.

        microphone, reference: (n,) mono 16 kHz in [-1, 1]. The reference is what was played; its
        echo may come up to half a second later, never earlier.

        Raises:
            AudioError: lengths that differ, or more than one channel.
        """
        ...


class NoCanceller:
    """Hands the microphone on: for microphones that cancel the echo themselves, or hear none."""

    name = "none"
    latency_samples = 0

    def process(self, microphone: NDArray[np.float32], reference: NDArray[np.float32]) -> Cleaned:
        del reference
        return Cleaned(microphone, microphone)
