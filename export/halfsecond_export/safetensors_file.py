"""The weights of a Hugging Face directory by name, as float32 arrays, without torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond_export.prepare.decoder_network import Array

INDEX_NAME = "model.safetensors.index.json"
SINGLE_NAME = "model.safetensors"

# numpy has no bfloat16: it is the upper half of a float32.
_TYPES = {"F64": np.float64, "F32": np.float32, "F16": np.float16, "BF16": np.uint16}


class SafetensorsWeights:
    """The tensors of one file or of several, mapped and not read until they are asked for.

    Keeps a record of what was read, so that a converter can tell whether it left one out.
    """

    def __init__(self, directory: Path, *, single: str = SINGLE_NAME) -> None:
        """`single` is the file where there is no index of several.

        Raises ModelMissingError, ModelCorruptError, and UnsupportedModelError for weights that
        are pickled.
        """
        self.files = _weight_files(directory, single)
        self._entries: dict[str, tuple[Path, int, dict[str, Any]]] = {}
        for file in self.files:
            start, header = _header(file)
            header.pop("__metadata__", None)
            self._entries |= {name: (file, start, entry) for name, entry in header.items()}
        self._unread = set(self._entries)

    @property
    def names(self) -> frozenset[str]:
        """The names of all tensors."""
        return frozenset(self._entries)

    @property
    def unread(self) -> list[str]:
        """The names of the tensors that nobody asked for yet."""
        return sorted(self._unread)

    def tensor(self, name: str, shape: tuple[int, ...] | None = None) -> Array:
        """A tensor in float32.

        Raises ModelCorruptError where it is not there or has another shape than `shape`, and
        UnsupportedModelError for a number type that holds no plain numbers.
        """
        if name not in self._entries:
            raise ModelCorruptError(
                f"{self.files[0].parent} has no tensor {name!r}; it is incomplete, or of another "
                "architecture than its config.json says"
            )
        file, start, entry = self._entries[name]
        found = tuple(entry["shape"])
        if shape is not None and found != shape:
            raise ModelCorruptError(
                f"{file}: tensor {name!r} has shape {found}, config.json says {shape}"
            )
        kind = _TYPES.get(entry["dtype"])
        if kind is None:
            raise UnsupportedModelError(
                f"{file}: tensor {name!r} is stored as {entry['dtype']}; take the weights in "
                "float32, float16 or bfloat16, before any quantisation"
            )
        first, last = entry["data_offsets"]
        stored = np.memmap(file, np.uint8, "r")[start + first : start + last].view(kind)
        self._unread.discard(name)
        if kind is np.uint16:
            stored = (stored.astype(np.uint32) << 16).view(np.float32)
        return np.array(stored, np.float32).reshape(found)


def _weight_files(directory: Path, single: str) -> list[Path]:
    index = directory / INDEX_NAME
    names = {single}
    if index.is_file():
        try:
            names = set(json.loads(index.read_bytes())["weight_map"].values())
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelCorruptError(
                f"{index} cannot be read ({error!r}); fetch it again"
            ) from error
    files = [directory / name for name in sorted(names)]
    missing = [file.name for file in files if not file.is_file()]
    if missing and (pickled := sorted(file.name for file in directory.glob("*.bin"))):
        raise UnsupportedModelError(
            f"{directory} holds pickled weights ({pickled[0]}), which can run code when they are "
            "opened; take the model in safetensors"
        )
    if missing:
        raise ModelMissingError(f"{directory} has no {', '.join(missing)}; fetch the model again")
    return files


def _header(file: Path) -> tuple[int, dict[str, Any]]:
    """Where the tensors begin, and what the library accepted as a description of them."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, "np"):
            pass
    except SafetensorError as error:
        raise ModelCorruptError(
            f"{file} cannot be read ({error}); it is cut off or damaged: fetch it again"
        ) from error
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        return 8 + length, json.loads(opened.read(length))
