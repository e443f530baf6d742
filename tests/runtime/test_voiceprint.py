from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.voiceprint import FORMAT, Voiceprint, read_voiceprint, write_voiceprint

VALUES = np.random.default_rng(0).standard_normal(512).astype(np.float32)


def test_a_voiceprint_comes_back_as_it_was_written(tmp_path: Path) -> None:
    write_voiceprint(tmp_path / "ann.safetensors", Voiceprint(VALUES, "encoder-1", "Ann Ó"))
    found = read_voiceprint(tmp_path / "ann.safetensors")
    np.testing.assert_array_equal(found.values, VALUES)
    assert (found.encoder, found.name) == ("encoder-1", "Ann Ó")


def test_the_file_is_what_the_safetensors_library_reads_and_writes(tmp_path: Path) -> None:
    write_voiceprint(tmp_path / "ours.safetensors", Voiceprint(VALUES, "encoder-1"))
    np.testing.assert_array_equal(load_file(tmp_path / "ours.safetensors")["voiceprint"], VALUES)
    metadata = {"format": FORMAT, "encoder": "encoder-2", "name": "Bob"}
    save_file({"voiceprint": VALUES}, tmp_path / "theirs.safetensors", metadata)
    found = read_voiceprint(tmp_path / "theirs.safetensors")
    np.testing.assert_array_equal(found.values, VALUES)
    assert (found.encoder, found.name) == ("encoder-2", "Bob")


def test_a_file_that_is_not_there_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"no voiceprint at .*; `halfsecond export voice`"):
        read_voiceprint(tmp_path / "nobody.safetensors")


@pytest.mark.parametrize("kept", [0, 5, 40, 200, 2000])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.safetensors"
    write_voiceprint(path, Voiceprint(VALUES, "encoder-1"))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelCorruptError, match="holds no voiceprint"):
        read_voiceprint(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "reason"),
    [
        ({"weights": VALUES}, {"format": FORMAT, "encoder": "e"}, "voiceprint"),
        ({"voiceprint": VALUES}, {"format": "other", "encoder": "e"}, "its format is 'other'"),
        ({"voiceprint": VALUES}, {"format": FORMAT}, "encoder"),
        ({"voiceprint": VALUES.reshape(2, 256)}, {"format": FORMAT, "encoder": "e"}, r"\[2, 256\]"),
        ({"voiceprint": VALUES * np.nan}, {"format": FORMAT, "encoder": "e"}, "not finite"),
        ({"voiceprint": VALUES * 0}, {"format": FORMAT, "encoder": "e"}, "all zero"),
    ],
)
def test_what_is_no_voiceprint_is_refused_with_the_reason(
    tmp_path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str], reason: str
) -> None:
    save_file(tensors, tmp_path / "other.safetensors", metadata)
    with pytest.raises(ModelCorruptError, match=reason):
        read_voiceprint(tmp_path / "other.safetensors")


def test_numbers_that_are_none_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not finite, or all zero"):
        write_voiceprint(tmp_path / "x.safetensors", Voiceprint(VALUES * 0, "encoder-1"))
    assert not list(tmp_path.iterdir())
