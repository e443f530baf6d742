"""Requests and replies of stages as bytes: msgpack, with arrays as an extension type."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from halfsecond import errors
from halfsecond.errors import HalfsecondError, StageError, WireError

_ARRAY = 1
"""Code of the msgpack extension type: msgpack of (dtype string, shape, C-ordered bytes)."""


def _encode_array(value: Any) -> msgspec.msgpack.Ext:
    if isinstance(value, np.ndarray):
        packed = (value.dtype.str, value.shape, np.ascontiguousarray(value).data)
        return msgspec.msgpack.Ext(_ARRAY, msgspec.msgpack.encode(packed))
    raise NotImplementedError(f"a stage's messages cannot hold a {type(value).__name__}")


def _decode_array(code: int, data: memoryview) -> Any:
    if code != _ARRAY:
        raise WireError(f"unknown msgpack extension {code}")
    dtype, shape, raw = msgspec.msgpack.decode(data, type=tuple[str, tuple[int, ...], bytes])
    try:
        return np.frombuffer(raw, np.dtype(dtype)).reshape(shape)
    except (TypeError, ValueError) as error:
        raise WireError(f"an array of {dtype} {shape} has {len(raw)} bytes") from error


def _accept_array(expected: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value
    raise NotImplementedError(f"expected {expected}, found {type(value).__name__}")


def encode(value: Any) -> bytes:
    """A dataclass or struct, arrays included, as bytes."""
    return msgspec.msgpack.encode(value, enc_hook=_encode_array)


def decode(data: bytes, kind: Any) -> Any:
    """The value of type `kind` that `encode` wrote; its arrays are read-only views.

    Raises:
        WireError: the bytes are not such a value.
    """
    try:
        return msgspec.msgpack.decode(
            data, type=kind, ext_hook=_decode_array, dec_hook=_accept_array
        )
    except (
        msgspec.DecodeError,  # msgspec passes on bytes that are no UTF-8, and deep nesting
        UnicodeDecodeError,
        RecursionError,
        NotImplementedError,
    ) as error:
        raise WireError(f"not a {kind}: {error}") from error


def encode_error(error: Exception) -> bytes:
    """An error's name and message."""
    return msgspec.msgpack.encode((type(error).__name__, str(error)))


def decode_error(data: bytes) -> HalfsecondError:
    """The error as its own class where it is one of ours, else a StageError."""
    name, message = msgspec.msgpack.decode(data, type=tuple[str, str])
    kind = getattr(errors, name, None)
    if isinstance(kind, type) and issubclass(kind, HalfsecondError):
        return kind(message)
    return StageError(message)
