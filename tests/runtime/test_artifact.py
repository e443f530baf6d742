"""Manifests of what was exported or built."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from halfsecond.artifact import (
    MANIFEST_NAME,
    Artifact,
    Check,
    Profile,
    Tensor,
    artifact_of_kind,
    describe_file,
    is_directory_name,
    read_artifact,
    verified_artifact,
    write_artifact,
)
from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)


def written(directory: Path, *checks: Check) -> Artifact:
    (directory / "model.onnx").write_bytes(b"a network")
    artifact = Artifact(
        kind="wav2lip",
        precision="int8",
        runtime="onnxruntime",
        sources={"wav2lip.pth": "00" * 32},
        files={"model.onnx": describe_file(directory / "model.onnx")},
        libraries={"onnx": "1.23.2"},
        rebuild="halfsecond export wav2lip wav2lip.pth",
        inputs=(Tensor(name="mel", dtype="float32", shape=("batch", 1, 80, 16)),),
        profiles={
            "mel": Profile(smallest=(1, 1, 80, 16), typical=(5, 1, 80, 16), largest=(8, 1, 80, 16))
        },
        checks=checks,
    )
    write_artifact(directory, artifact)
    return artifact


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    artifact = written(tmp_path, Check(what="SSIM", value=0.99, at_least=0.97, n=40))
    assert read_artifact(tmp_path) == artifact
    assert verified_artifact(tmp_path) == artifact


@pytest.mark.parametrize(
    ("check", "is_met"),
    [
        (Check(what="error", value=0.1, at_most=0.1), True),
        (Check(what="error", value=0.11, at_most=0.1), False),
        (Check(what="SSIM", value=0.97, at_least=0.97), True),
        (Check(what="SSIM", value=0.96, at_least=0.97), False),
        (Check(what="SSIM", value=math.nan, at_least=0.97), False),
        (Check(what="error", value=math.nan, at_most=0.1), False),
        (Check(what="size", value=7.0), True),
    ],
)
def test_a_tolerance_is_kept_or_missed(check: Check, is_met: bool) -> None:
    assert check.is_met is is_met


def test_what_missed_a_tolerance_is_kept_with_the_reason_and_not_used(tmp_path: Path) -> None:
    written(tmp_path, Check(what="SSIM of the mouth", value=0.5, at_least=0.97))
    assert read_artifact(tmp_path).is_rejected
    with pytest.raises(UnsupportedModelError, match=r"rejected: SSIM of the mouth 0\.5"):
        verified_artifact(tmp_path)


def test_a_file_that_was_cut_changed_or_removed_is_named_with_the_command(tmp_path: Path) -> None:
    written(tmp_path)
    model = tmp_path / "model.onnx"
    for content, says in (
        (b"a net", "5 bytes, expected 9"),
        (b"a netwerk", "not what was written"),
    ):
        model.write_bytes(content)
        with pytest.raises(ModelCorruptError, match=rf"{says}; .*halfsecond export wav2lip"):
            verified_artifact(tmp_path)
    model.unlink()
    with pytest.raises(ModelCorruptError, match=r"gone; .*halfsecond export wav2lip"):
        verified_artifact(tmp_path)


def test_no_manifest_and_a_broken_one_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="no artifact"):
        read_artifact(tmp_path)
    (tmp_path / MANIFEST_NAME).write_text('{"kind": 3}')
    with pytest.raises(ModelCorruptError, match="cannot be read"):
        read_artifact(tmp_path)


def test_an_artifact_is_taken_for_what_it_is(tmp_path: Path) -> None:
    written(tmp_path)
    assert artifact_of_kind(str(tmp_path), "wav2lip") == tmp_path
    with pytest.raises(ConfigError, match="holds a wav2lip, expected a whisper"):
        artifact_of_kind(str(tmp_path), "whisper")


def test_a_config_names_a_directory_with_a_slash() -> None:
    assert is_directory_name("./exported") and is_directory_name("/exported/onnx-int8")
    assert not is_directory_name("whisper-tiny.en-onnx")
