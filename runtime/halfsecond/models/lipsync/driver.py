"""What a lip-sync driver is: 16 kHz speech in as it streams, frames with times out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.tts.voice import Phone

LIPSYNC_RATE_HZ = 16_000
"""Rate of the audio that drivers listen to (Wav2Lip's mel front end is fixed to it)."""


@dataclass(frozen=True)
class Frame:
    """One picture of the face."""

    image: NDArray[np.uint8]
    """(height, width, 3) RGB; the receiver may keep it but must not write to it."""
    pts_s: float
    """When it is shown: seconds on the timeline of the speech fed since `begin`."""
    mouth: float
    """Commanded opening of the mouth, 0 (closed) to 1 (wide open)."""
    is_driven: bool
    """False for idle frames, whose mouth no audio moves."""


class LipSync(Protocol):
    """A driver bound to one portrait. One thread at a time.

    The order of calls is `begin`, then `feed` for each stretch of speech, then `finish`; `idle`
    at any time outside that. `begin` during a stream drops what was pending (an interruption).
    Expression (blinks, head motion) goes on smoothly across all of them.
    """

    @property
    def fps(self) -> int: ...

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the frames in pixels."""
        ...

    @property
    def avatar(self) -> str:
        """The name of the avatar; empty where the face is a bare picture."""
        ...

    def feel(self, mood: MoodName) -> None:
        """The face eases into what goes with this state of the conversation, from the next frame
        on."""
        ...

    def begin(self) -> None:
        """Starts a new stream of speech at pts 0."""
        ...

    def feed(
        self, samples: NDArray[np.float32], *, phones: Sequence[Phone] = ()
    ) -> Iterator[Frame]:
        """Frames that the speech so far is enough for, in order of pts, each made when asked for.

        samples: (n,) mono at LIPSYNC_RATE_HZ, following what was fed before without a gap.
        phones: phoneme times relative to the first of these samples, where the voice tells them.
        """
        ...

    def skip(self, before_s: float) -> None:
        """Frames with a `pts_s` below this are left out undrawn, until the next `begin`: their
        moment has passed. The face lives on as if they had been shown."""
        ...

    def finish(self) -> Iterator[Frame]:
        """The frames of the speech that is left, then those in which the mouth settles closed."""
        ...

    def idle(self) -> Frame:
        """The next frame of the resting face: mouth closed, alive."""
        ...

    def idle_jpeg(self) -> bytes | None:
        """The next frame of the resting face as JPEG where it lies ready, instead of `idle`; None
        where it must be drawn."""
        ...

    def close(self) -> None: ...
