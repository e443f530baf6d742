"""What a generator in torch draws, in the pictures that the runtime makes of it."""

from __future__ import annotations

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from halfsecond_export.wav2lip.footage import Patches, Windows, pictures
from halfsecond_export.wav2lip.network import Generator

_BATCH_FRAMES = 8


def outputs(network: Generator, windows: Windows, face: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 3, S, S), 0 to 1, BGR: the network's own output for each window."""
    drawn: list[NDArray[np.float32]] = []
    with torch.no_grad():
        for at in range(0, len(windows), _BATCH_FRAMES):
            part = torch.from_numpy(np.ascontiguousarray(windows[at : at + _BATCH_FRAMES]))
            faces = torch.from_numpy(face).expand(len(part), -1, -1, -1)
            drawn.append(network(part, faces).numpy())
    return np.concatenate(drawn)


def draw(network: Generator, windows: Windows, face: NDArray[np.float32]) -> Patches:
    """(n, S, S, 3) RGB pictures."""
    return pictures(outputs(network, windows, face))
