"""Reading the weights of a CTranslate2 model: `model.bin` to arrays, without CTranslate2.

The layout is that of CTranslate2's `model_spec.py` (binary version 6): a header, then each variable
with its name, shape, type and bytes, then second names of the same variables.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError

BINARY_VERSION = 6

_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


class Ctranslate2File:
    """The variables of a `model.bin` by name, mapped and not read; `spec` is what kind it is.

    Raises ModelCorruptError for a file that is cut or is none, and UnsupportedModelError for a
    layout or a number type that is not known.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # An empty file cannot be mapped.
        mapped = np.memmap(path, np.uint8, mode="r") if path.stat().st_size else None
        self._bytes: NDArray[np.uint8] = np.empty(0, np.uint8) if mapped is None else mapped
        self._at = 0
        self.variables: dict[str, NDArray[Any]] = {}
        version = self._number("I")
        if version != BINARY_VERSION:
            raise UnsupportedModelError(
                f"{path} has the binary version {version}, expected {BINARY_VERSION}; "
                "convert the model again with CTranslate2 4"
            )
        self.spec = self._text()
        self.revision = self._number("I")
        for _ in range(self._number("I")):
            name = self._text()
            self.variables[name] = self._variable(name)
        for _ in range(self._number("I")):
            alias, name = self._text(), self._text()
            if name not in self.variables:
                raise ModelCorruptError(f"{path}: {alias} stands for {name}, which is not there")
            self.variables[alias] = self.variables[name]

    def float32(self, name: str) -> NDArray[np.float32]:
        """A variable as float32; weights in 8 bits are multiplied by the scale of their row.

        Raises ModelCorruptError where it is missing.
        """
        values = self.variables.get(name)
        if values is None:
            raise ModelCorruptError(f"{self.path} has no variable {name}")
        if values.dtype == np.int8:
            # Kept is the number that a row was multiplied by.
            scales = self.float32(f"{name}_scale").reshape(-1, *[1] * (values.ndim - 1))
            return np.ascontiguousarray(values.astype(np.float32) / scales)
        return np.ascontiguousarray(values, dtype=np.float32)

    def _variable(self, name: str) -> NDArray[Any]:
        shape = [self._number("I") for _ in range(self._number("B"))]
        kind = _TYPES.get(code := self._number("B"))
        if kind is None:
            raise UnsupportedModelError(
                f"{self.path}: {name} has the number type {code}; float32, float16 and int8 are "
                "supported: convert the model with one of these"
            )
        content = self._take(self._number("I"))
        count = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        if count != len(content):
            raise ModelCorruptError(
                f"{self.path}: {name} has {len(content)} bytes, expected {count} for {shape}"
            )
        return content.view(kind).reshape(shape)

    def _take(self, count: int) -> NDArray[np.uint8]:
        taken = self._bytes[self._at : self._at + count]
        if len(taken) < count:
            raise ModelCorruptError(
                f"{self.path} ends at byte {len(self._bytes)}, in the middle of a variable"
            )
        self._at += count
        return taken

    def _number(self, kind: str) -> int:
        (number,) = struct.unpack(f"<{kind}", self._take(struct.calcsize(kind)).tobytes())
        return int(number)

    def _text(self) -> str:
        length = self._number("H")
        try:
            return self._take(length).tobytes().rstrip(b"\0").decode()
        except UnicodeDecodeError as error:
            raise ModelCorruptError(f"{self.path} is no CTranslate2 model ({error})") from error
