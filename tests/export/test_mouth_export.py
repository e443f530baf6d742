"""An avatar's mouth, learned from a generator: as near as it, only for its face, or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from fakes.avatars import install
from fakes.tensorrt_engines import write_engine
from halfsecond import audio
from halfsecond.artifact import verified_artifact
from halfsecond.config import Config, FaceConfig
from halfsecond.config.check import check_usable
from halfsecond.errors import ConfigError, HalfsecondError, ModelMissingError, UnsupportedModelError
from halfsecond.models.lipsync.avatar_file import read_avatar
from halfsecond.models.lipsync.compiled_mouth import FOLDER, CompiledMouth
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import Frame
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.wav2lip import MouthNetwork, Wav2LipSync
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond.stages import openers
from halfsecond.store.hashes import sha256_of
from halfsecond_export.cli import app
from halfsecond_export.mouth import exporting
from halfsecond_export.mouth.ear import Ear
from halfsecond_export.mouth.likeness import OPENED_AT_MOST, narrow, opened
from halfsecond_export.prepare.checkpoint_file import read_checkpoint
from halfsecond_export.wav2lip.graph import write_onnx
from halfsecond_export.wav2lip.layout import recognise
from halfsecond_export.wav2lip.parity import correlation

pytestmark = pytest.mark.models

CHECKPOINT = Path(__file__).parent / "wav2lip-narrow.pth"
"""Trained on the bundled portrait; see `test_wav2lip_export`."""
CLIPS = ("jfk", "librivox-0880", "librivox-0890", "librivox-0920", "librivox-0930")
UNHEARD = "librivox-0870.flac"
ModelDir = Callable[[str], Path]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = {
        name: np.asarray(values, np.float32)
        for name, values in read_checkpoint(CHECKPOINT)["state_dict"].items()
        if not name.endswith("num_batches_tracked")
    }
    layout = recognise({name: values.shape for name, values in weights.items()}, source="narrow")
    path = tmp_path_factory.mktemp("teacher") / "narrow.onnx"
    write_onnx(layout, weights, path, is_interleaved=False)
    return path


@pytest.fixture(scope="module")
def speech(clips_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    for name in CLIPS:
        shutil.copy(clips_dir / f"{name}.flac", folder)
    return folder


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, model_dir: ModelDir) -> Path:
    """A store with two faces, told apart by their sizes."""
    folder = tmp_path_factory.mktemp("store")
    install(folder, "nova", 256, model_dir("face"))
    install(folder, "iris", 320, model_dir("face"))
    return folder


@pytest.fixture(autouse=True, scope="module")
def fewer_frames() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exporting, "LEARNED_FRAMES", 300)
        patch.setattr(exporting, "JUDGED_FRAMES", 80)
        yield


@pytest.fixture(scope="module")
def made(home: Path, teacher: Path, speech: Path, fewer_frames: None) -> dict[str, Any]:
    """What the command says of the mouth of "nova"; "iris" has none."""
    directory = str(avatar(home, "nova"))
    result = run(directory, "--wav2lip", str(teacher), "--speech", str(speech), "--json")
    assert result.exit_code == 0, result.output
    report: dict[str, Any] = json.loads(result.stdout)["mouth"]
    return report


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["mouth", *arguments])


def avatar(home: Path, name: str) -> Path:
    return home / "artifacts" / "avatar" / name


def copied(home: Path, tmp_path: Path) -> Path:
    """ "nova" without its mouth."""
    without = shutil.ignore_patterns(FOLDER)
    shutil.copytree(avatar(home, "nova"), tmp_path / "copy", ignore=without)
    return tmp_path / "copy"


def speak(directory: Path, network: MouthNetwork, samples: NDArray[np.float32]) -> list[Frame]:
    driver = Wav2LipSync(network, Compositor(read_avatar(directory)))
    return [*driver.feed(samples), *driver.finish()]


def test_the_mouth_is_nearer_to_its_teacher_than_int8_may_be(made: dict[str, Any]) -> None:
    assert made["is_rejected"] is False
    found = {check["what"]: check["value"] for check in made["artifact"]["checks"]}
    assert found["mouth PSNR"] > 50.0
    assert found["mouth SSIM"] > 0.999
    assert found["aperture correlation"] > 0.995
    assert abs(found["narrowest lips opened by"]) < 0.05
    assert found["aperture correlation with sounds exchanged"] < 0.5


def test_words_that_it_never_heard_look_as_the_teacher_says_them(
    made: dict[str, Any], home: Path, teacher: Path, clips_dir: Path
) -> None:
    assert UNHEARD not in {f"{name}.flac" for name in CLIPS}
    directory = avatar(home, "nova")
    words = audio.load(clips_dir / UNHEARD).samples
    samples = np.concatenate([words, np.zeros(16_000, np.float32)])
    wanted = speak(directory, Wav2LipNetwork(teacher), samples)
    found = speak(directory, CompiledMouth(directory), samples)
    assert [frame.pts_s for frame in found] == [frame.pts_s for frame in wanted]
    moved = np.array([frame.mouth for frame in wanted])
    assert moved.std() > 0.05  # a mouth that does not move is easily followed
    same = np.array([frame.mouth for frame in found])
    assert np.corrcoef(moved, same)[0, 1] > 0.999
    assert np.abs(moved - same).max() < 0.05
    errors = [
        np.abs(a.image.astype(int) - b.image).max() for a, b in zip(wanted, found, strict=True)
    ]
    assert max(errors) < 24
    assert all(frame.mouth == 0.0 for frame in found[-8:])  # silence


def test_the_manifest_says_from_what_and_of_whom(
    made: dict[str, Any], home: Path, teacher: Path
) -> None:
    directory = avatar(home, "nova") / FOLDER
    assert made["directory"] == str(directory)
    artifact = verified_artifact(directory)
    assert set(artifact.sources) == {"portrait.png", "face.npz", teacher.name}
    assert artifact.sources[teacher.name] == sha256_of(teacher)
    assert artifact.details["avatar"] == "nova"
    assert artifact.details["judged_clips"] == "librivox-0920.flac"
    assert artifact.rebuild.startswith(f"halfsecond export mouth {directory.parent} --wav2lip ")
    assert "torch" not in artifact.libraries


def test_a_mouth_that_takes_sounds_for_others_is_refused(
    home: Path,
    teacher: Path,
    speech: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hear = Ear.hear
    monkeypatch.setattr(Ear, "hear", lambda ear, windows: np.roll(hear(ear, windows), 60, axis=0))
    directory = copied(home, tmp_path)
    result = run(str(directory), "--wav2lip", str(teacher), "--speech", str(speech))
    assert result.exit_code == 1
    assert "rejected and will not be used" in result.stdout
    assert "give more and more varied speech with --speech" in " ".join(result.stderr.split())
    with pytest.raises(UnsupportedModelError, match=r"was rejected: mouth SSIM .* correlation"):
        CompiledMouth(directory)


def test_a_mouth_that_tends_to_the_mean_is_seen_by_what_it_leaves_open() -> None:
    wanted = np.random.default_rng(0).gamma(2.0, 0.02, 300).astype(np.float32)
    timid = 0.7 * wanted + 0.3 * wanted.mean()
    assert correlation(wanted, timid) > 0.99  # which says nothing about how far it goes
    at = narrow(wanted, timid)
    assert len(at) == 30
    assert wanted[at].max() <= np.delete(wanted, at).min()
    assert opened(wanted, timid, at) > OPENED_AT_MOST > opened(wanted, wanted, at) == 0.0
    assert opened(np.zeros(300, np.float32), timid, at) == np.inf


def test_another_face_does_not_get_it(made: dict[str, Any], home: Path, tmp_path: Path) -> None:
    shutil.copytree(avatar(home, "iris"), tmp_path / "iris")
    shutil.copytree(avatar(home, "nova") / FOLDER, tmp_path / "iris" / FOLDER)
    with pytest.raises(UnsupportedModelError, match=r"another face; `halfsecond export mouth iris"):
        CompiledMouth(tmp_path / "iris")


def test_config_check_refuses_an_avatar_without_a_mouth(made: dict[str, Any], home: Path) -> None:
    def checked(name: str) -> None:
        face = FaceConfig(driver="compiled", avatar=str(avatar(home, name)))
        check_usable(Config(face=face))

    checked("nova")
    with pytest.raises(ModelMissingError, match=r"no compiled mouth; .* export mouth iris"):
        checked("iris")


def test_a_server_gives_each_face_its_own_mouth_and_the_mesh_driver_where_there_is_none(
    made: dict[str, Any], home: Path, model_dir: ModelDir
) -> None:
    config = FaceConfig(driver="compiled", avatar="nova")
    open_drivers = partial(openers.open_drivers, models=model_dir("face"), home=home)
    open_driver = open_drivers(config)
    own, other = open_driver(), open_driver("iris")
    assert isinstance(own, Wav2LipSync)
    assert own.avatar == "nova"
    assert isinstance(other, MeshLipSync)
    assert other.avatar == "iris"
    visitors = replace(read_avatar(avatar(home, "iris")), name="nova")
    assert isinstance(open_driver(visitors), MeshLipSync)
    shutil.copytree(avatar(home, "iris"), avatar(home, "twin"))
    manifest = avatar(home, "twin") / "artifact.json"
    manifest.write_text(manifest.read_text().replace('"name": "iris"', '"name": "nova"'))
    twin = open_driver("twin")
    assert twin.avatar == "nova"
    assert isinstance(twin, MeshLipSync)
    with pytest.raises(ModelMissingError, match="no compiled mouth"):
        open_drivers(FaceConfig(driver="compiled", avatar="iris"))
    with pytest.raises(ConfigError, match=r"needs face\.avatar"):
        open_drivers(FaceConfig(driver="compiled"))


@pytest.mark.parametrize("kind", ["engine", "missing", "two places", "old"])
def test_what_cannot_teach_is_refused(home: Path, speech: Path, tmp_path: Path, kind: str) -> None:
    path, message = _bad_teacher(tmp_path, kind)
    result = run(str(avatar(home, "iris")), "--wav2lip", str(path), "--speech", str(speech))
    assert isinstance(result.exception, HalfsecondError)
    assert message in str(result.exception)
    assert not (avatar(home, "iris") / FOLDER).exists()


def _bad_teacher(folder: Path, kind: str) -> tuple[Path, str]:
    path = folder / "teacher.onnx"
    if kind == "missing":
        return path, "no Wav2Lip file"
    _write_two_meetings(path, opset=10 if kind == "old" else 17)
    if kind == "engine":
        write_engine(folder / "engine", path, {}, kind="wav2lip")
        return folder / "engine", "an engine, which cannot be taken apart"
    return path, "opset 10" if kind == "old" else "meet in 2 places (sum, power)"


def _write_two_meetings(path: Path, *, opset: int) -> None:
    """A generator that darkens the face by the sound's sum, and then by its power."""
    shapes = {"sound": (1, 80, 16), "face": (6, 96, 96), "picture": (3, 96, 96)}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", *shape])
        for name, shape in shapes.items()
    ]
    cut = {"first": 3, "last": 6, "axis": 1}
    weights = [numpy_helper.from_array(np.array([at], np.int64), name) for name, at in cut.items()]
    nodes = [
        helper.make_node("ReduceL1", ["sound"], ["sum"], axes=[1, 2, 3]),
        helper.make_node("ReduceL2", ["sound"], ["power"], axes=[1, 2, 3]),
        helper.make_node("Mul", ["sum", "face"], ["darker"]),
        helper.make_node("Mul", ["power", "darker"], ["darkest"]),
        helper.make_node("Slice", ["darkest", *cut], ["picture"]),
    ]
    graph = helper.make_graph(nodes, "two", values[:2], values[2:], weights)
    opsets = [helper.make_opsetid("", opset)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
