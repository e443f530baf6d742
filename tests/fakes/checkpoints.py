"""Checkpoints as `torch.save` writes them, in both layouts, written without torch."""

from __future__ import annotations

import io
import pickle
import struct
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
from numpy.typing import NDArray

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class FloatStorage:
    """Stands for torch's class of this name."""


def _rebuild_tensor_v2(*_: Any) -> None:
    """Stands for torch's function of this name."""


@contextmanager
def _torch_by_name() -> Iterator[None]:
    """Modules that `pickle` finds the two names in."""
    torch, utils = ModuleType("torch"), ModuleType("torch._utils")
    FloatStorage.__module__, _rebuild_tensor_v2.__module__ = "torch", "torch._utils"
    torch.FloatStorage = FloatStorage  # type: ignore[attr-defined]
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, {"torch": torch, "torch._utils": utils}):
        yield


class _Storage:
    def __init__(self, key: str, values: NDArray[np.float32]) -> None:
        self.key = key
        self.values = values


class _Pickler(pickle.Pickler):
    """Writes arrays as tensors, whose numbers are named and kept."""

    def __init__(self, file: io.BytesIO, *, extra: tuple[Any, ...]) -> None:
        super().__init__(file, protocol=2)
        self.kept: dict[str, NDArray[np.float32]] = {}
        self._extra = extra

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        key = str(len(self.kept))
        self.kept[key] = np.ascontiguousarray(obj, "<f4")
        strides = tuple(step // 4 for step in self.kept[key].strides)
        storage = _Storage(key, self.kept[key])
        return _rebuild_tensor_v2, (storage, 0, obj.shape, strides, False, {})

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, _Storage):
            return None
        return ("storage", FloatStorage, obj.key, "cpu", obj.values.size, *self._extra)


def save_stream(path: Path, content: Any) -> None:
    """The layout before torch 1.6, which Resemblyzer's checkpoint has."""
    file = io.BytesIO()
    with _torch_by_name():
        for part in (MAGIC, PROTOCOL, {"little_endian": True}):
            pickle.dump(part, file, protocol=2)
        pickler = _Pickler(file, extra=(None,))
        pickler.dump(content)
        pickle.dump(list(pickler.kept), file, protocol=2)
    for values in pickler.kept.values():
        file.write(struct.pack("<q", values.size) + values.tobytes())
    path.write_bytes(file.getvalue())


def save_archive(path: Path, content: Any) -> None:
    """The layout since torch 1.6."""
    file = io.BytesIO()
    with _torch_by_name():
        pickler = _Pickler(file, extra=())
        pickler.dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", file.getvalue())
        for key, values in pickler.kept.items():
            archive.writestr(f"archive/data/{key}", values.tobytes())
