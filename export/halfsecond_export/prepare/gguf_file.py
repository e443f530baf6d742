"""A GGUF file as metadata and float32 tensors."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError

MAGIC = b"GGUF"

# What the `gguf` package raises where counts or offsets lead outside the file.
_PARSE_ERRORS = (ValueError, IndexError, KeyError, TypeError, OverflowError, MemoryError)

Value = TypeVar("Value", str, int, float, bool, list)  # type: ignore[type-arg]


class GgufFile:
    """An opened GGUF file, whose tensors stay on disk until they are asked for.

    Keeps a record of the tensors that were read, so that a converter can tell whether it left
    one out.
    """

    def __init__(self, path: Path) -> None:
        """Reads the metadata. Raises ModelCorruptError for a damaged file."""
        from gguf import GGUFReader

        self.name = path.name
        with path.open("rb") as file:
            found = file.read(len(MAGIC))
        if found != MAGIC:
            raise ModelCorruptError(
                f"{self.name}: no GGUF file (it begins with {found!r}, expected {MAGIC!r}). "
                "Fetch it again."
            )
        try:
            reader: Any = GGUFReader(path)
        except _PARSE_ERRORS as error:
            raise ModelCorruptError(
                f"{self.name}: cannot be parsed after {path.stat().st_size} bytes, it is cut off "
                f"or damaged ({error}). Fetch it again."
            ) from error
        self._fields = reader.fields
        self._tensors: dict[str, Any] = {tensor.name: tensor for tensor in reader.tensors}
        self._unread = set(self._tensors)

    @property
    def unread_tensors(self) -> list[str]:
        """The names of the tensors that nobody asked for yet."""
        return sorted(self._unread)

    def has_tensor(self, name: str) -> bool:
        """Tells whether the file has this tensor."""
        return name in self._tensors

    def tensor(self, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Returns a tensor, dequantised; a matrix is (outputs, inputs).

        Raises ModelCorruptError where it is not there or has another shape than `shape`, and
        UnsupportedModelError for a quantisation that the `gguf` package cannot undo.
        """
        from gguf import dequantize

        if name not in self._tensors:
            raise ModelCorruptError(f"{self.name}: no tensor {name!r}; the file is incomplete")
        stored = self._tensors[name]
        # GGUF lists the fastest axis first.
        found = tuple(int(size) for size in reversed(stored.shape))
        if found != shape:
            raise ModelCorruptError(
                f"{self.name}: tensor {name!r} has shape {found}, its metadata says {shape}"
            )
        try:
            values = dequantize(stored.data, stored.tensor_type)
        except NotImplementedError as error:
            raise UnsupportedModelError(
                f"{self.name}: tensor {name!r} is quantised as {stored.tensor_type.name}, which "
                "cannot be undone in numpy; take a Q4_K_M, Q8_0 or F16 file"
            ) from error
        self._unread.discard(name)
        return np.array(values, np.float32).reshape(shape)

    def value(self, key: str, kind: type[Value], default: Value | None = None) -> Value:
        """Returns a metadata value. Raises ModelCorruptError where it is missing or no `kind`."""
        if key not in self._fields:
            if default is not None:
                return default
            raise ModelCorruptError(f"{self.name}: no metadata {key!r}; the file is incomplete")
        try:
            found = self._fields[key].contents()
        except _PARSE_ERRORS as error:
            raise ModelCorruptError(f"{self.name}: metadata {key!r} is damaged") from error
        if kind is float and isinstance(found, int):
            found = float(found)
        if not isinstance(found, kind):
            raise ModelCorruptError(
                f"{self.name}: metadata {key!r} is {type(found).__name__}, expected {kind.__name__}"
            )
        return found

    def has(self, key: str) -> bool:
        """Tells whether the file has this metadata."""
        return key in self._fields

    def texts(self, keys: Iterable[str]) -> dict[str, str]:
        """Returns those of the given metadata that are there, as text."""
        return {key: str(self._fields[key].contents()) for key in keys if key in self._fields}
