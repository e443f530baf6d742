"""Checkpoints as they are published, read without running any code that is in them."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond_export.wav2lip.layout import recognise
from halfsecond_export.wav2lip.network import Generator

_PREFIX = "module."
"""What training on several GPUs puts before every name."""
_COUNTER = "num_batches_tracked"


def load_generator(path: Path) -> Generator:
    """The network of a checkpoint, ready to draw; its layout and width are in `layout`.

    Takes a state dict, or one under `state_dict` beside an optimiser's state, with or without
    `module.` before its names.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: it is no checkpoint, or not all of one.
        UnsupportedModelError: it holds code, or the weights of another network.
    """
    state = _state(_load(path), path)
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


def _load(path: Path) -> Any:
    if not path.is_file():
        raise ModelMissingError(f"no checkpoint at {path}; give the path of wav2lip.pth")
    _refuse_torchscript(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error):
            raise UnsupportedModelError(
                f"{path} is not only weights: loading it would run code ({_cause(error)}). "
                "Take the checkpoint from where it was published, or, if you trust it, save its "
                "state_dict anew with torch.save"
            ) from error
        raise _corrupt(path, error) from error
    except Exception as error:
        # Cut files raise whatever the unpickler stumbles over: EOFError, RuntimeError, KeyError …
        raise _corrupt(path, error) from error


def _refuse_torchscript(path: Path) -> None:
    """A scripted module is a program, and looks like any other archive until it is opened."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        is_script = any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    if is_script:
        raise UnsupportedModelError(
            f"{path} is a TorchScript module, a program with its weights; expected a checkpoint of "
            "weights alone, such as wav2lip.pth or wav2lip_gan.pth"
        )


def _cause(error: Exception) -> str:
    """The first line of torch's explanation that names what it refused."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = [line for line in lines if "GLOBAL" in line or "Unsupported" in line]
    return (named or lines)[0].rstrip(".")


def _corrupt(path: Path, error: Exception) -> ModelCorruptError:
    return ModelCorruptError(
        f"{path} ({path.stat().st_size} bytes) cannot be read as a checkpoint "
        f"({type(error).__name__}: {error}); copy it again"
    )


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
