"""A voiceprint: the numbers that make a voice of many speakers sound like one person.

One file in the safetensors format (eight bytes of length, a JSON header, the numbers), which other
tools read too. It holds no audio:

- one tensor `voiceprint`, float32, one axis; of speaker encoders voices take the direction, so that
  the norm is free; a style of Kokoro ("kokoro-82m") is taken as it is;
- under `__metadata__`, texts: `format` ("halfsecond-voiceprint-1"), `encoder` (what computed it; a
  voice understands only those of the encoder it was trained with) and `name` (of the person, or
  "");
- of a person also `consent` (who agreed, and when), without which it is neither written nor read,
  `made`, `encoder_sha256`, and what is known of the recording: the fields of `Provenance`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.store.hashes import write_atomically

FORMAT = "halfsecond-voiceprint-1"
SUFFIX = ".voiceprint"
_TENSOR = "voiceprint"
_MOST_BYTES = 1 << 20
"""No voiceprint is nearly as large; what is larger is another file."""


@dataclass(frozen=True)
class Provenance:
    """Where a person's voiceprint comes from; all texts, as the file holds them."""

    consent: str
    """Who agreed that this voice may be spoken with, and when."""
    made: str
    """The day, as YYYY-MM-DD."""
    encoder_sha256: str
    """Of the encoder's weights."""
    reference_sha256: str
    """Of the recording, which is not kept."""
    reference_s: str
    """How long it was."""
    used_s: str
    """Speech that was left without its pauses."""
    signal_to_noise_db: str
    denoiser: str = ""
    """What cleaned it; empty where nothing did."""
    likeness: str = ""
    """Of a style of Kokoro: the cosine of what it says with the recording, by Resemblyzer."""


@dataclass(frozen=True)
class Voiceprint:
    """One person's voice."""

    values: NDArray[np.float32]
    """(n,), finite and not all zero; 512 of YourTTS, 256 of Resemblyzer."""
    encoder: str
    name: str = ""
    """Of a person; empty for what is nobody's."""
    provenance: Provenance | None = None

    def for_encoder(self, encoder: str) -> NDArray[np.float32]:
        """The values, where this encoder made them.

        Raises:
            UnsupportedModelError: another one did.
        """
        if self.encoder != encoder:
            raise UnsupportedModelError(
                f'the voiceprint "{self.name}" was made by the speaker encoder {self.encoder}, and '
                f"this voice understands those of {encoder}: numbers of one mean nothing to the "
                "other. Make it again with `halfsecond export voice`: --engine kokoro for Kokoro, "
                "--encoder model_se.pth for a YourTTS"
            )
        return self.values


def refuse_voiceprint(speaker: str | Voiceprint, engine: str) -> None:
    """For an engine with one speaker.

    Raises:
        ConfigError: `speaker` is a voiceprint, or the file of one; the message says who takes them.
    """
    name = speaker.name if isinstance(speaker, Voiceprint) else speaker
    if isinstance(speaker, Voiceprint) or name.endswith(SUFFIX):
        raise ConfigError(
            f"{engine} cannot speak with the voiceprint {name}: it has only the speaker that it "
            'was trained with. Voices that take one are Kokoro (tts.model = "kokoro", and '
            "`halfsecond export voice --engine kokoro`) and a YourTTS that you exported"
        )


def checked_consent(consent: str) -> str:
    """The consent without needless spaces.

    Raises:
        ConfigError: it names nobody, or no day.
    """
    if fault := consent_fault(consent):
        raise ConfigError(fault)
    return " ".join(consent.split())


def consent_fault(consent: str) -> str:
    """Why this is no consent; empty where it is one."""
    text = " ".join(consent.split())
    has_name = any(sum(map(str.isalpha, word)) >= 2 for word in text.split())
    if has_name and any(map(str.isdigit, text)):
        return ""
    return (
        f"the consent is {text!r}; it must say who agreed that this voice may be spoken with, "
        'and when: --consent "Ada Lovelace, in writing, 2026-11-29"'
    )


def read_voiceprint(path: Path) -> Voiceprint:
    """The voiceprint in a file.

    Raises:
        ModelMissingError: there is no such file.
        ModelCorruptError: it is cut off, or holds no voiceprint.
        ConfigError: it is a person's, and nobody's consent is in it.
    """
    try:
        data = path.read_bytes() if path.stat().st_size <= _MOST_BYTES else b""
    except FileNotFoundError as error:
        raise ModelMissingError(
            f"no voiceprint at {path}; `halfsecond export voice` makes one of a recording"
        ) from error
    return decode_voiceprint(data, str(path))


def decode_voiceprint(data: bytes, name: str) -> Voiceprint:
    """The voiceprint in the bytes of a file; raises as `read_voiceprint`, which calls it `name`."""
    try:
        voiceprint = _parsed(data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelCorruptError(
            f"{name} holds no voiceprint ({error}); `halfsecond export voice` makes one of a "
            "recording"
        ) from error
    _check_consent(voiceprint)
    return voiceprint


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
    return Voiceprint(
        values, str(metadata["encoder"]), str(metadata.get("name", "")), _provenance(metadata)
    )


def _provenance(metadata: dict[str, Any]) -> Provenance | None:
    if "consent" not in metadata:
        return None
    # Files of before there was a likeness have none.
    known = {"likeness": ""} | metadata
    return Provenance(**{field.name: str(known[field.name]) for field in fields(Provenance)})


def _check_values(values: NDArray[np.float32]) -> None:
    if not values.size or not np.isfinite(values).all() or not values.any():
        raise ValueError("its numbers are not finite, or all zero")


def _check_consent(voiceprint: Voiceprint) -> None:
    if voiceprint.name:
        checked_consent(voiceprint.provenance.consent if voiceprint.provenance else "")


def write_voiceprint(path: Path, voiceprint: Voiceprint) -> None:
    """Writes the file, whole or not at all.

    Raises:
        ConfigError: numbers that are no voiceprint, or a person without consent.
        OSError: it cannot be written; what was there before is as it was.
    """
    write_atomically(path, encode_voiceprint(voiceprint))


def encode_voiceprint(voiceprint: Voiceprint) -> bytes:
    """The bytes of the file.

    Raises:
        ConfigError: numbers that are no voiceprint, or a person without consent.
    """
    values = np.ascontiguousarray(voiceprint.values, "<f4").reshape(-1)
    try:
        _check_values(values)
    except ValueError as error:
        raise ConfigError(f"a voiceprint of {values.size} numbers: {error}") from error
    _check_consent(voiceprint)
    metadata = {"format": FORMAT, "encoder": voiceprint.encoder, "name": voiceprint.name}
    if voiceprint.provenance is not None:
        metadata |= asdict(voiceprint.provenance)
    header = {
        "__metadata__": metadata,
        _TENSOR: {"dtype": "F32", "shape": [values.size], "data_offsets": [0, values.nbytes]},
    }
    encoded = json.dumps(header, ensure_ascii=False).encode()
    encoded += b" " * (-len(encoded) % 8)  # the numbers begin where 8 bytes do
    return len(encoded).to_bytes(8, "little") + encoded + values.tobytes()
