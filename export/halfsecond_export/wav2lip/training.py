"""A small generator that was trained on something: the mesh driver's mouth, learned from its sound.

The published weights may not be passed on, and random ones prove nothing about quantisation or
sync. This trains the same layers, narrow, for some minutes on one portrait: enough for a mouth that
moves with the sound, not for faces that it never saw.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from halfsecond_export.formats import Progress
from halfsecond_export.wav2lip.footage import Clip, Patches, Sitter, Windows
from halfsecond_export.wav2lip.inference import draw
from halfsecond_export.wav2lip.layout import PUBLISHED
from halfsecond_export.wav2lip.network import Generator
from halfsecond_export.wav2lip.parity import correlation

BATCH_FRAMES = 8
LEARNING_RATE = 8e-3
"""At the start; it falls to nothing along half a cosine, so that the statistics settle."""
MOUTH_WEIGHT = 30.0
"""How much more an error counts around the mouth: the rest of the face hardly moves."""
LIGHT_SPREAD = 0.2
"""Each colour of a face is darker by up to this part."""
MOST_SHIFT_PX = 1
SETTLING_PART = 0.4
"""The last part of the time, in which the normalisation's statistics stay as they are, so that what
is learned is what is drawn with them later."""


@dataclass(frozen=True)
class Lesson:
    """Frames to learn: what is heard and what is to be drawn."""

    windows: Windows
    patches: Patches


@dataclass(frozen=True)
class Trained:
    """A network and how well it follows its teacher on speech that it never heard."""

    network: Generator
    steps: int
    loss: float
    held_out_frames: int
    aperture_correlation: float
    """Of the mouth's aperture on its frames with that on the mesh driver's."""
    clips: tuple[str, ...]
    held_out_clips: tuple[str, ...]


def lesson(sitter: Sitter, clips: Sequence[Clip]) -> Lesson:
    """What the mesh driver shows for each frame of the clips, as the network's pictures."""
    return Lesson(
        np.concatenate([clip.windows() for clip in clips]),
        np.stack([_patch(sitter, image) for clip in clips for image in sitter.speaking(clip)]),
    )


def _patch(sitter: Sitter, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    import cv2

    size = (sitter.patch_px, sitter.patch_px)
    crop = cv2.resize(sitter.crop(image), size, interpolation=cv2.INTER_AREA)
    return np.asarray(crop, np.uint8)


def train(
    sitter: Sitter,
    clips: Sequence[Clip],
    held_out: Sequence[Clip],
    *,
    width: float,
    seconds: float,
    seed: int = 0,
    most_steps: int | None = None,
    progress: Progress = lambda _done, _text: None,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """A generator of `width` that drew the lessons of `clips` for `seconds`, or `most_steps`."""
    learner = _Learner(lesson(sitter, clips), sitter.face, width=width, seed=seed)
    start, steps, loss = clock(), 0, float("nan")
    while True:
        done = (clock() - start) / seconds
        if most_steps is not None:
            done = max(done, steps / most_steps)
        if done >= 1.0:
            break
        found = learner.step(done)
        loss = found if steps == 0 else 0.98 * loss + 0.02 * found
        steps += 1
        progress(done, f"step {steps}, mean error {loss:.4f}")
    network = learner.network.eval()
    test = lesson(sitter, held_out)
    drawn = draw(network, test.windows, sitter.face)
    return Trained(
        network,
        steps,
        loss,
        len(test.windows),
        correlation(sitter.apertures(test.patches), sitter.apertures(drawn)),
        tuple(clip.name for clip in clips),
        tuple(clip.name for clip in held_out),
    )


class _Learner:
    """A network, its lessons and its optimiser."""

    def __init__(
        self, lessons: Lesson, face: NDArray[np.float32], *, width: float, seed: int
    ) -> None:
        torch.manual_seed(seed)
        self._random = np.random.default_rng(seed)
        self._lessons = lessons
        self._face = torch.from_numpy(face)
        self._weight = _weights(lessons.patches)
        self.network = Generator(PUBLISHED.narrowed(width)).to(memory_format=torch.channels_last)
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE)

    def step(self, done: float) -> float:
        """Learns one batch; gives its mean error, 0 to 1 in brightness."""
        for group in self._optimiser.param_groups:
            group["lr"] = LEARNING_RATE * 0.5 * (1.0 + np.cos(np.pi * done))
        if done > 1.0 - SETTLING_PART:
            self.network.eval()
        windows, faces, wanted = self._batch()
        error = (self.network(windows, faces) - wanted).abs()
        self._optimiser.zero_grad()
        (error * self._weight).mean().backward()
        self._optimiser.step()
        return float(error.detach().mean())

    def _batch(self) -> tuple[Any, Any, Any]:
        chosen = self._random.integers(0, len(self._lessons.windows), BATCH_FRAMES)
        windows = torch.from_numpy(self._lessons.windows[chosen])
        rgb = torch.from_numpy(self._lessons.patches[chosen]).permute(0, 3, 1, 2)
        wanted = rgb.flip(1).float() / 255.0
        faces = self._face.expand(BATCH_FRAMES, -1, -1, -1)
        both = self._varied(torch.cat((faces, wanted), dim=1))
        return windows, both[:, :6].contiguous(memory_format=torch.channels_last), both[:, 6:]

    def _varied(self, pictures: Any) -> Any:
        """Each picture of (n, 9, S, S) moved a little, in a light of its own.

        A batch of one and the same face would leave the normalisation nothing to measure.
        """
        random, side, reach = self._random, pictures.shape[-1], MOST_SHIFT_PX
        wide = torch.nn.functional.pad(pictures, [reach] * 4, mode="replicate")
        corners = random.integers(0, 2 * reach + 1, (len(wide), 2))
        moved = [
            picture[:, y : y + side, x : x + side]
            for picture, (y, x) in zip(wide, corners, strict=True)
        ]
        light = random.uniform(1.0 - LIGHT_SPREAD, 1.0, (len(wide), 3, 1, 1))
        return torch.stack(moved) * torch.from_numpy(np.tile(light, (1, 3, 1, 1))).float()


def _weights(patches: Patches) -> Any:
    """(S, S), mean 1: how much an error counts, more where the teacher's pictures move."""
    some = patches[:: max(1, len(patches) // 200)].astype(np.float32).mean(axis=3)
    motion = torch.from_numpy(some.std(axis=0))
    weight = 1.0 + MOUTH_WEIGHT * motion / motion.max()
    return weight / weight.mean()


def save(trained: Trained, path: Path) -> None:
    """Writes a checkpoint as the published ones are: names under `state_dict`, no optimiser."""
    torch.save(
        {
            "state_dict": {k: v.contiguous() for k, v in trained.network.state_dict().items()},
            "optimizer": None,
            "global_step": trained.steps,
            "global_epoch": 0,
        },
        path,
    )
