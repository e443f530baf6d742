"""Mouths that a network drew before, for sounds that come again: greetings, openings, presets."""

from __future__ import annotations

from collections import OrderedDict
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

REMEMBERED_FRAMES = 1500
"""A minute at 25 frames a second; 41 MB at Wav2Lip's 96 pixels."""

Patch = NDArray[np.uint8]
Key = bytes


class PatchMemory:
    """The latest patches by what they were drawn from. For one thread at a time.

    A voice gives the same phrase the same sound, and so the network the same windows: each is
    drawn once. The oldest go.
    """

    def __init__(self, *, frames: int = REMEMBERED_FRAMES) -> None:
        """frames: how many are kept; 0 keeps none."""
        self._frames = frames
        self._patches: OrderedDict[Key, Patch] = OrderedDict()

    @staticmethod
    def keys(sound: NDArray[np.float32], face: NDArray[np.float32]) -> list[Key]:
        """What each patch is drawn from: its window of `sound`, (n, …), and the face."""
        of_face = blake2b(np.ascontiguousarray(face).data, digest_size=16).digest()
        return [
            blake2b(np.ascontiguousarray(window).data, digest_size=16, key=of_face).digest()
            for window in sound
        ]

    def get(self, key: Key) -> Patch | None:
        """The patch, which the caller must not write to; None if it is not known."""
        return self._patches.get(key)

    def add(self, key: Key, patch: Patch) -> None:
        """Takes the newest in."""
        if self._frames:
            self._patches[key] = patch
            while len(self._patches) > self._frames:
                self._patches.popitem(last=False)
