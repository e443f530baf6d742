"""A voiceprint: the numbers that make a voice of many speakers sound like one person.

One file in the safetensors format (eight bytes of length, a JSON header, the numbers), which other
tools read too:

- one tensor `voiceprint`, float32, one axis; voices take its direction, so that its norm is free;
- under `__metadata__`, texts: `format` ("halfsecond-voiceprint-1"), `encoder` (what computed it; a
  voice understands only those of the encoder it was trained with), `name` (of the person, or "").
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.store.hashes import write_atomically

FORMAT = "halfsecond-voiceprint-1"
_TENSOR = "voiceprint"
_MOST_BYTES = 1 << 20
"""No voiceprint is nearly as large; what is larger is another file."""


@dataclass(frozen=True)
class Voiceprint:
    """One person's voice."""

    values: NDArray[np.float32]
    """(n,), finite and not all zero; 512 of YourTTS."""
    encoder: str
    name: str = ""


def read_voiceprint(path: Path) -> Voiceprint:
    """The voiceprint in a file.

    Raises:
        ModelMissingError: there is no such file.
        ModelCorruptError: it is cut off, or holds no voiceprint.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    except FileNotFoundError as error:
        raise ModelMissingError(
            f"no voiceprint at {path}; `halfsecond export voice` makes one of a recording"
        ) from error
    try:
        return _parsed(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorruptError(
            f"{path} holds no voiceprint ({error}); `halfsecond export voice` makes one of a "
            "recording"
        ) from error


def _parsed(data: bytes) -> Voiceprint:
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= len(data) - 8:
        raise ValueError("expected a safetensors file with one small tensor")
    header: dict[str, Any] = json.loads(data[8 : 8 + length])
    metadata, entry = header["__metadata__"], header[_TENSOR]
    if metadata["format"] != FORMAT:
        raise ValueError(f"its format is {metadata['format']!r}, expected {FORMAT!r}")
    first, last = entry["data_offsets"]
    stored = data[8 + length + first : 8 + length + last]
    if entry["dtype"] != "F32" or len(entry["shape"]) != 1 or len(stored) != 4 * entry["shape"][0]:
        raise ValueError(f"{_TENSOR} is {entry['dtype']} {entry['shape']} in {len(stored)} bytes")
    values = np.frombuffer(stored, "<f4").astype(np.float32)
    _check_values(values)
    return Voiceprint(values, str(metadata["encoder"]), str(metadata.get("name", "")))


def _check_values(values: NDArray[np.float32]) -> None:
    if not values.size or not np.isfinite(values).all() or not values.any():
        raise ValueError("its numbers are not finite, or all zero")


def write_voiceprint(path: Path, voiceprint: Voiceprint) -> None:
    """Writes the file, whole or not at all.

    Raises:
        ConfigError: numbers that are no voiceprint.
        OSError: it cannot be written; what was there before is as it was.
    """
    values = np.ascontiguousarray(voiceprint.values, "<f4").reshape(-1)
    try:
        _check_values(values)
    except ValueError as error:
        raise ConfigError(f"a voiceprint of {values.size} numbers: {error}") from error
    header = {
        "__metadata__": {
            "format": FORMAT,
            "encoder": voiceprint.encoder,
            "name": voiceprint.name,
        },
        _TENSOR: {"dtype": "F32", "shape": [values.size], "data_offsets": [0, values.nbytes]},
    }
    encoded = json.dumps(header, ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)  # the numbers begin where 8 bytes do
    write_atomically(path, len(encoded).to_bytes(8, "little") + encoded + values.tobytes())
