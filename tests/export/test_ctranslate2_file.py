"""Reading the weights of CTranslate2 models."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.ctranslate2_file import Ctranslate2File
from halfsecond_export.prepare.whisper_network import read_ctranslate2

CODES = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.float16): 4}
WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5


def packed(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def content(
    variables: dict[str, NDArray[Any]],
    *,
    spec: str = "WhisperSpec",
    version: int = 6,
    aliases: tuple[tuple[str, str], ...] = (),
) -> bytes:
    """A `model.bin`, written from CTranslate2's description of it."""
    data = struct.pack("<I", version) + packed(spec) + struct.pack("<II", 3, len(variables))
    for name, values in variables.items():
        data += packed(name) + struct.pack("<B", values.ndim)
        data += b"".join(struct.pack("<I", size) for size in values.shape)
        data += struct.pack("<BI", CODES.get(values.dtype, 9), values.nbytes) + values.tobytes()
    data += struct.pack("<I", len(aliases))
    return data + b"".join(packed(alias) + packed(name) for alias, name in aliases)


def test_weights_come_back_as_float32_whatever_they_were_kept_in(tmp_path: Path) -> None:
    scale = np.array([127 / 2.5, 127 / 2.5], np.float32)
    path = tmp_path / "model.bin"
    path.write_bytes(
        content(
            {
                "half": WEIGHT.astype(np.float16),
                "int": np.rint(WEIGHT * scale[:, None]).astype(np.int8),
                "int_scale": scale,
            },
            aliases=(("other", "half"),),
        )
    )
    file = Ctranslate2File(path)
    assert (file.spec, file.revision) == ("WhisperSpec", 3)
    assert file.float32("half").tolist() == WEIGHT.tolist()
    assert file.float32("other").tolist() == WEIGHT.tolist()
    np.testing.assert_allclose(file.float32("int"), WEIGHT, atol=0.5 / scale[0])
    with pytest.raises(ModelCorruptError, match="no variable missing"):
        file.float32("missing")


def test_a_file_that_is_cut_anywhere_is_corrupt(tmp_path: Path) -> None:
    whole = content({"a": WEIGHT, "b": WEIGHT.astype(np.float16)}, aliases=(("c", "a"),))
    path = tmp_path / "model.bin"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelCorruptError):
            Ctranslate2File(path)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (content({}, version=5), "binary version 5, expected 6"),
        (content({"a": WEIGHT.astype(np.float64)}), "a has the number type 9"),
    ],
)
def test_a_layout_that_is_not_known_is_named(tmp_path: Path, data: bytes, says: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(data)
    with pytest.raises(UnsupportedModelError, match=says):
        Ctranslate2File(path)


def test_another_kind_of_model_is_no_whisper(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content({"a": WEIGHT}, spec="TransformerDecoderModelSpec"))
    with pytest.raises(UnsupportedModelError, match="holds a TransformerDecoderModelSpec"):
        read_ctranslate2(Ctranslate2File(path))
