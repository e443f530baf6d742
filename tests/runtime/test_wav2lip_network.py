from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from fakes.cuda_driver import GREATEST_PRIORITY, FakeDriver
from fakes.echo_network import write_echo
from fakes.tensorrt_engines import MACHINE, FakeTensorRt, write_engine
from halfsecond.artifact import Artifact, Check, Profile, describe_file, write_artifact
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.lipsync.patch_memory import PatchMemory
from halfsecond.models.lipsync.wav2lip_network import (
    Wav2LipNetwork,
    face_input,
    generator_file,
)
from halfsecond.sessions import open_session
from halfsecond.sessions.cuda import Cuda
from halfsecond_export.wav2lip.untrained import random_inputs, write_untrained


@pytest.mark.parametrize("side", [96, 192, 256, 288])
def test_the_side_of_the_pictures_is_read_from_the_file(tmp_path: Path, side: int) -> None:
    write_echo(tmp_path / "echo.onnx", patch_px=side)
    network = Wav2LipNetwork(tmp_path / "echo.onnx")
    assert network.patch_px == side
    sound = np.full((3, 1, 80, 16), -4, np.float32)
    crop = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    drawn = network.draw(sound, face_input(crop, side))
    np.testing.assert_array_equal(drawn, np.stack([crop] * 3))


def test_the_network_sees_blue_first_and_no_lower_half() -> None:
    crop = np.zeros((40, 60, 3), np.uint8)
    crop[..., 0] = 255  # red
    face = face_input(crop, 96)
    assert face.shape == (6, 96, 96)
    assert [float(channel[:48].mean()) for channel in face] == [0, 0, 1, 0, 0, 1]
    assert [float(channel[48:].mean()) for channel in face] == [0, 0, 0, 0, 0, 1]


def test_the_published_network_answers_the_sound(tmp_path: Path) -> None:
    write_untrained(tmp_path / "w.onnx", width=0.125)
    network = Wav2LipNetwork(tmp_path / "w.onnx")
    sound, face = random_inputs(2)
    drawn = network.draw(sound, face)
    again = network.draw(sound[[0, 0]], face)
    assert np.abs(drawn[0].astype(int) - drawn[1]).max() > 2
    np.testing.assert_array_equal(again[0], again[1])


def test_what_was_drawn_before_is_not_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_untrained(tmp_path / "w.onnx", width=0.125)
    memory = PatchMemory(frames=4)
    network = Wav2LipNetwork(tmp_path / "w.onnx", memory=memory)
    sound, face = random_inputs(6)
    drawn: list[int] = []
    run = network._run

    def counting(part: Any, face: Any, batch: int) -> Any:
        drawn.append(len(part))
        return run(part, face, batch)

    monkeypatch.setattr(network, "_run", counting)
    first = network.draw(sound[:3], face)
    mixed = network.draw(sound[[2, 3, 0]], face)
    assert drawn == [3, 1]
    np.testing.assert_array_equal(mixed[[0, 2]], first[[2, 0]])
    network.draw(sound[4:], face)  # two more: the oldest of four go
    network.draw(sound[:1], face)
    assert drawn == [3, 1, 2, 1]
    other = network.draw(sound[4:5], face[::-1].copy())
    assert drawn[-1] == 1
    assert np.abs(other.astype(int) - network.draw(sound[4:5], face)).max() > 0


def test_a_file_with_a_fixed_batch_draws_any_number_of_frames(tmp_path: Path) -> None:
    write_echo(tmp_path / "open.onnx", depth=0.9)
    write_echo(tmp_path / "fixed.onnx", depth=0.9, batch=4)
    sound, face = random_inputs(6)
    fixed = Wav2LipNetwork(tmp_path / "fixed.onnx").draw(sound, face)
    np.testing.assert_array_equal(fixed, Wav2LipNetwork(tmp_path / "open.onnx").draw(sound, face))


def _with_shape(name: str, shape: list[Any]) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        _keep_only_slice(model)
        for value in model.graph.input:
            if value.name == name:
                value.CopyFrom(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))

    return change


def _keep_only_slice(model: Any) -> None:
    del model.graph.node[1:]
    model.graph.node[0].output[0] = "faces"
    model.graph.output[0].type.tensor_type.ClearField("shape")


def _without_sound(model: Any) -> None:
    _keep_only_slice(model)
    del model.graph.input[0]


def _with_two_channels(model: Any) -> None:
    _keep_only_slice(model)
    last = next(w for w in model.graph.initializer if w.name == "last")
    last.CopyFrom(onnx.numpy_helper.from_array(np.array([5]), "last"))


BROKEN: dict[str, tuple[Callable[[Any], None], str]] = {
    "sound of another length": (_with_shape("audio_sequences", ["N", 1, 80, 20]), "80, 20"),
    "faces of three channels": (_with_shape("face_sequences", ["N", 3, 96, 96]), "3, 96, 96"),
    "pictures that are no squares": (_with_shape("face_sequences", ["N", 6, 96, 64]), "96, 64"),
    "pictures of open size": (_with_shape("face_sequences", ["N", 6, "h", "w"]), "'h', 'w'"),
    "no sound": (_without_sound, "inputs face_sequences"),
    "two channels out": (_with_two_channels, r"output of \[1, 2, 96, 96\]"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_model_of_another_shape_is_refused_with_what_was_found(
    tmp_path: Path, fault: str
) -> None:
    path = tmp_path / "other.onnx"
    write_echo(path, depth=0.5)
    model = onnx.load(str(path))
    change, found = BROKEN[fault]
    change(model)
    onnx.save(model, str(path))
    with pytest.raises(UnsupportedModelError, match=found) as refusal:
        Wav2LipNetwork(path)
    assert "expected inputs (N, 1, 80, 16) for the sound and (N, 6, S, S)" in str(refusal.value)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    write_untrained(path, width=0.125)
    path.write_bytes(path.read_bytes()[:-5_000])
    with pytest.raises(ModelCorruptError, match=r"cut\.onnx cannot be read"):
        Wav2LipNetwork(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"nothing\.onnx"):
        Wav2LipNetwork(tmp_path / "nothing.onnx")


def artifact_of(directory: Path, **changes: Any) -> Path:
    """An artifact's directory with the published layers in it."""
    directory.mkdir()
    write_untrained(directory / "wav2lip.onnx", width=0.0625)
    fields: dict[str, Any] = {
        "kind": "wav2lip",
        "precision": "fp32",
        "runtime": "onnxruntime",
        "sources": {},
        "files": {"wav2lip.onnx": describe_file(directory / "wav2lip.onnx")},
        "libraries": {},
        "rebuild": "halfsecond export wav2lip w.pth",
    }
    write_artifact(directory, Artifact(**fields | changes))
    return directory


def test_the_directory_of_an_artifact_is_taken_for_its_file(tmp_path: Path) -> None:
    directory = artifact_of(tmp_path / "fp32")
    assert generator_file(directory) == directory / "wav2lip.onnx"
    assert Wav2LipNetwork(directory).patch_px == 96


def test_an_artifact_that_was_changed_is_refused(tmp_path: Path) -> None:
    directory = artifact_of(tmp_path / "fp32")
    with (directory / "wav2lip.onnx").open("r+b") as file:
        file.seek(2_000)
        file.write(b"\x00\x01\x02")
    with pytest.raises(ModelCorruptError, match=r"make it again: halfsecond export wav2lip w\.pth"):
        Wav2LipNetwork(directory)


def test_a_rejected_artifact_is_refused_with_the_reason(tmp_path: Path) -> None:
    missed = Check(what="mouth SSIM", value=0.9, at_least=0.97)
    directory = artifact_of(tmp_path / "int8", checks=(missed,))
    with pytest.raises(UnsupportedModelError, match=r"was rejected: mouth SSIM 0\.9"):
        Wav2LipNetwork(directory)


@pytest.mark.parametrize("change", [{"kind": "whisper"}, {"runtime": "tensorrt"}])
def test_an_artifact_of_something_else_is_refused(tmp_path: Path, change: Any) -> None:
    directory = artifact_of(tmp_path / "other", **change)
    with pytest.raises(UnsupportedModelError, match=f"holds .*{next(iter(change.values()))}"):
        Wav2LipNetwork(directory)


def test_a_directory_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="no artifact in"):
        Wav2LipNetwork(tmp_path)


def test_an_engine_draws_what_its_network_draws_in_batches_that_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On stand-ins of the driver and of TensorRT, which compute on the CPU."""
    write_untrained(tmp_path / "w.onnx", width=0.125)
    shapes = {"audio_sequences": (1, 80, 16), "face_sequences": (6, 96, 96)}
    profiles = {
        name: Profile(smallest=(1, *shape), typical=(5, *shape), largest=(8, *shape))
        for name, shape in shapes.items()
    }
    engine = write_engine(tmp_path / "e", tmp_path / "w.onnx", profiles, kind="wav2lip")
    driver = FakeDriver()
    library = FakeTensorRt(driver)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", library)
    monkeypatch.setattr("halfsecond.engine.this_machine", lambda: MACHINE)
    monkeypatch.setattr(
        "halfsecond.models.lipsync.wav2lip_network.open_session",
        partial(open_session, open_gpu=lambda: Cuda(driver)),
    )
    assert generator_file(engine) == engine / "engine.plan"
    network = Wav2LipNetwork(engine, device="auto")
    sound, face = random_inputs(19)
    expected = Wav2LipNetwork(tmp_path / "w.onnx").draw(sound, face)
    for _ in range(3):
        drawn = network.draw(sound, face)  # by 8, 8 and 3 frames
        assert np.abs(drawn.astype(int) - expected).max() <= 1
    # Of ten runs, the frame at opening and each shape's first are as they are.
    assert list(driver.streams.values()) == [GREATEST_PRIORITY]
    assert len(driver.names("cuStreamBeginCapture")) == 2
    assert len(driver.names("cuGraphLaunch")) == 7
    assert len(driver.names("cuMemAlloc")) == 3  # made for eight frames at once
