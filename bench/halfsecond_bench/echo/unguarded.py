"""AEC3 as it comes, for comparison."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.echo.guard import EchoGuard


class Unguarded(EchoGuard):
    """Lets through whatever AEC3 leaves."""

    def push(self, microphone: NDArray[np.float32], reference: NDArray[np.float32]) -> None:
        """Looks at nothing."""

    def judge(
        self, heard: NDArray[np.float32], cleaned: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What AEC3 left, for both purposes."""
        del heard
        return cleaned, cleaned
