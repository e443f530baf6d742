"""Checkpoints that `torch.save` wrote, read without torch and without running anything in them.

Both layouts: the archive of torch 1.6 and later, and the stream of pickles before it. A pickle is a
program; here it may name seven things, of which two are ever called: what rebuilds a tensor, and an
ordered dictionary. Layouts: pytorch/pytorch, `torch/serialization.py`.
"""

from __future__ import annotations

import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_NO_BEGINNING = "it does not begin as a checkpoint does"
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}


@dataclass(frozen=True)
class _StorageKind:
    dtype: str


@dataclass
class _Storage:
    """The numbers that tensors look at; in the older layout they follow the pickle."""

    kind: _StorageKind
    size: int
    values: NDArray[Any] | None = None


@dataclass(frozen=True)
class _View:
    """A tensor before its storage is there."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> NDArray[Any]:
        """A copy; raises ValueError where it reaches outside its storage."""
        values = self.storage.values
        if values is None:
            raise ValueError("a tensor's numbers are not in the file")
        if len(self.shape) != len(self.strides) or min((*self.shape, *self.strides, 0)) < 0:
            raise ValueError(f"a tensor has shape {self.shape} and strides {self.strides}")
        steps = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((size - 1) * step for size, step in steps)
        if 0 in self.shape:
            return np.zeros(self.shape, values.dtype)
        if self.offset < 0 or last >= len(values) or math.prod(self.shape) > len(values):
            raise ValueError(f"a tensor of shape {self.shape} is larger than its storage")
        strides = [step * values.itemsize for step in self.strides]
        return np.array(np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _View:
    return _View(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
    **{("torch", name): _StorageKind(dtype) for name, dtype in _DTYPES.items()},
}


class _Unpickler(pickle.Unpickler):
    """Knows `_ALLOWED` and nothing else."""

    def __init__(self, file: IO[bytes], storage: Callable[[Any], _Storage]) -> None:
        super().__init__(file)
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise UnsupportedModelError(
                f"it names {module}.{name}: it is not only weights, and loading it would run code"
            )
        return _ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        return self._storage(pid)


def read_checkpoint(path: Path) -> Any:
    """What was saved, with every tensor a numpy array.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: it is cut off, or no checkpoint.
        UnsupportedModelError: it holds more than weights, or numbers of a kind that is not read.
    """
    if not path.is_file():
        raise ModelMissingError(f"no checkpoint at {path}")
    try:
        loaded = _read_archive(path) if zipfile.is_zipfile(path) else _read_stream(path)
        return _with_arrays(loaded)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(
            f"{path}: {error}. Take the checkpoint from where it was published"
        ) from error
    except Exception as error:
        # Cut files raise whatever the unpickler stumbles over: EOFError, KeyError, TypeError …
        raise ModelCorruptError(
            f"{path} ({path.stat().st_size} bytes) cannot be read as a checkpoint "
            f"({type(error).__name__}: {error}); fetch or copy it again"
        ) from error


def _read_archive(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        (pickled,) = [name for name in archive.namelist() if name.count("/") == 1
                      and name.endswith("/data.pkl")]  # fmt: skip
        folder = pickled.removesuffix("data.pkl")
        storages: dict[str, _Storage] = {}

        def storage(saved: Any) -> _Storage:
            kind, key, _, size = _checked(saved, 5)[1:5]
            if key not in storages:
                values = np.frombuffer(archive.read(f"{folder}data/{key}"), kind.dtype)
                storages[key] = _Storage(kind, size, values)
            return storages[key]

        return _Unpickler(BytesIO(archive.read(pickled)), storage).load()


def _too_early(_saved: Any) -> _Storage:
    """An archive without its end is read as pickles, and "P" asks for a storage."""
    raise ValueError(_NO_BEGINNING)


def _read_stream(path: Path) -> Any:
    """A magic number, a version, the writer's machine, the object, names and bytes of storages."""
    storages: dict[str, _Storage] = {}

    def storage(saved: Any) -> _Storage:
        kind, key, _, size, view = _checked(saved, 6)[1:6]
        if view is not None:
            raise UnsupportedModelError("it shares storages in a way that is not read")
        return storages.setdefault(key, _Storage(kind, size))

    with path.open("rb") as file:
        magic, version, _ = (_Unpickler(file, _too_early).load() for _ in range(3))
        if (magic, version) != (_MAGIC, _PROTOCOL):
            raise ValueError(_NO_BEGINNING)
        loaded = _Unpickler(file, storage).load()
        for key in _Unpickler(file, storage).load():
            kept = storages[key]
            (count,) = struct.unpack("<q", file.read(8))
            dtype = np.dtype(kept.kind.dtype)
            data = file.read(count * dtype.itemsize) if 0 <= count <= kept.size else b""
            if count != kept.size or len(data) != count * dtype.itemsize:
                raise ValueError(f"storage {key} is not whole")
            kept.values = np.frombuffer(data, dtype)
    return loaded


def _checked(saved: Any, length: int) -> tuple[Any, ...]:
    """What a pickle says of a storage: ("storage", kind, key, device, size, ...)."""
    if not (isinstance(saved, tuple) and len(saved) == length and saved[0] == "storage"):
        raise UnsupportedModelError("it refers to something that is no tensor")
    if not isinstance(saved[1], _StorageKind):
        raise UnsupportedModelError(f"it has a storage of {saved[1]!r}")
    return saved


def _with_arrays(value: Any) -> Any:
    if isinstance(value, _View):
        return value.array()
    if isinstance(value, Mapping):
        return {key: _with_arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_arrays(item) for item in value)
    return value
