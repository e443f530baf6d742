"""What a torch checkpoint holds, read without running any code that is in it."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError


def load_weights(path: Path, *, example: str) -> Any:
    """The content of a checkpoint: tensors, numbers and texts in whatever they were saved in.

    example: the names of checkpoints that are expected, for messages.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: it is no checkpoint, or not all of one.
        UnsupportedModelError: it holds code.
    """
    import torch  # pyright: ignore[reportMissingImports]

    if not path.is_file():
        raise ModelMissingError(f"no checkpoint at {path}; give the path of {example}")
    _refuse_torchscript(path, example)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Weights only load failed" in str(error):
            raise UnsupportedModelError(
                f"{path} is not only weights: loading it would run code ({_cause(error)}). "
                "Take the checkpoint from where it was published, or, if you trust it, save its "
                "weights anew with torch.save"
            ) from error
        raise _corrupt(path, error) from error
    except Exception as error:
        # Cut files raise whatever the unpickler stumbles over: EOFError, RuntimeError, KeyError …
        raise _corrupt(path, error) from error


def _refuse_torchscript(path: Path, example: str) -> None:
    """A scripted module is a program, and looks like any other archive until it is opened."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        is_script = any(name.split("/")[1:2] == ["code"] for name in archive.namelist())
    if is_script:
        raise UnsupportedModelError(
            f"{path} is a TorchScript module, a program with its weights; expected a checkpoint of "
            f"weights alone, such as {example}"
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
