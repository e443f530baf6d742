"""Checkpoints as they are published, read without running any code that is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.torch_file import load_weights
from halfsecond_export.wav2lip.layout import recognise
from halfsecond_export.wav2lip.network import Generator

_PREFIX = "module."
"""What training on several GPUs puts before every name."""
_COUNTER = "num_batches_tracked"
_EXAMPLE = "wav2lip.pth or wav2lip_gan.pth"


def load_generator(path: Path) -> Generator:
    """The network of a checkpoint, ready to draw; its layout and width are in `layout`.

    Takes a state dict, or one under `state_dict` beside an optimiser's state, with or without
    `module.` before its names.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: it is no checkpoint, or not all of one.
        UnsupportedModelError: it holds code, or the weights of another network.
    """
    state = _state(load_weights(path, example=_EXAMPLE), path)
    tensors = {
        name.removeprefix(_PREFIX): value
        for name, value in state.items()
        if not name.endswith(_COUNTER)
    }
    layout = recognise({name: tuple(t.shape) for name, t in tensors.items()}, source=str(path))
    broken = [name for name, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise ModelCorruptError(
            f"{path} has numbers that are not finite in {broken[0]} and {len(broken) - 1} other "
            "tensors; copy it again, or take an earlier checkpoint"
        )
    network: Generator = Generator(layout)
    network.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False)
    network.eval()
    return network


def _state(loaded: Any, path: Path) -> Mapping[str, Any]:
    """The tensors by name, whatever they are wrapped in."""
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else loaded
    if isinstance(state, Mapping):
        tensors = {k: v for k, v in state.items() if torch.is_tensor(v)}
        if tensors and len(tensors) == len(state):
            return tensors
    keys = f" with {', '.join(map(str, list(loaded)[:5]))}" if isinstance(loaded, Mapping) else ""
    raise UnsupportedModelError(
        f"{path} holds a {type(loaded).__name__}{keys}; expected tensors by name, or those under "
        "'state_dict'"
    )
