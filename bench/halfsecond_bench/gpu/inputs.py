"""Inputs for a network of which only the shapes are known: the same numbers on every device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from halfsecond.artifact import Profile, Tensor
from halfsecond.errors import UnsupportedModelError
from halfsecond.sessions.session import Array

OPEN_SIZE = 16
"""For a size that varies and of which no manifest tells: frames, symbols or tokens."""
BATCH = 1
"""For the first size, where it varies and no manifest tells."""

KNOWN: dict[str, float] = {"sr": 16_000, "speed": 1.0}
"""What inputs of these names must be: Silero's rate, and the pace of a voice."""


def make_inputs(
    tensors: Sequence[Tensor], profiles: Mapping[str, Profile], *, seed: int = 0
) -> dict[str, Array]:
    """Random numbers for floats, zeros for integers: token, position and row 0 are always there.

    profiles: the typical shape is taken where there is one.

    Raises UnsupportedModelError for an input whose type numpy lacks.
    """
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for tensor in tensors:
        profile = profiles.get(tensor.name)
        shape = profile.typical if profile else _shape(tensor)
        try:
            dtype = np.dtype(tensor.dtype)
        except TypeError as error:
            raise UnsupportedModelError(f"{tensor.name} has the type {tensor.dtype}") from error
        if tensor.name in KNOWN:
            made[tensor.name] = np.full(shape, KNOWN[tensor.name], dtype)
        elif dtype.kind == "f":
            made[tensor.name] = rng.standard_normal(shape).astype(dtype)
        else:
            made[tensor.name] = np.zeros(shape, dtype)
    return made


def _shape(tensor: Tensor) -> tuple[int, ...]:
    sizes = [size if isinstance(size, int) else OPEN_SIZE for size in tensor.shape]
    if tensor.shape and isinstance(tensor.shape[0], str) and len(tensor.shape) > 1:
        sizes[0] = BATCH
    return tuple(sizes)
