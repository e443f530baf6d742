"""A narrow generator that was trained for minutes, exported and judged on real speech."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed: pip install 'halfsecond[export]'"
)

from halfsecond.artifact import Artifact, Precision, read_artifact, verified_artifact  # noqa: E402
from halfsecond.errors import ConfigError, ModelError, UnsupportedModelError  # noqa: E402
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork  # noqa: E402
from halfsecond_export.cli import app  # noqa: E402
from halfsecond_export.wav2lip import exporting  # noqa: E402
from halfsecond_export.wav2lip.exporting import PRECISIONS, Request, export  # noqa: E402
from halfsecond_export.wav2lip.layout import PUBLISHED  # noqa: E402
from halfsecond_export.wav2lip.network import Generator  # noqa: E402
from halfsecond_export.wav2lip.parity import reasons  # noqa: E402
from halfsecond_export.wav2lip.quantisation import LAST_CONVOLUTION  # noqa: E402

pytestmark = pytest.mark.models

CHECKPOINT = Path(__file__).parent / "wav2lip-narrow.pth"
"""Made by `halfsecond export wav2lip-train --width 0.125 --minutes 6`, stored in fp16."""
ModelDir = Callable[[str], Path]
CLIPS = ("librivox-0870", "librivox-0880", "librivox-0890", "librivox-0920", "librivox-0930")


@pytest.fixture(scope="module")
def speech(clips_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("speech")
    for name in CLIPS:
        shutil.copy(clips_dir / f"{name}.flac", folder)
    return folder


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def request_of(
    checkpoint: Path,
    out: Path,
    speech: Path,
    model_dir: ModelDir,
    *precisions: Precision,
    frames: int = 100,
) -> Request:
    return Request(
        checkpoint=checkpoint,
        out=out,
        face_models=model_dir("face"),
        speech=speech,
        precisions=precisions or PRECISIONS,
        judged_frames=frames,
    )


Exported = tuple[Path, dict[Precision, Artifact]]


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, speech: Path, model_dir: ModelDir
) -> Exported:
    out = tmp_path_factory.mktemp("artifacts") / "wav2lip"
    return out, export(request_of(CHECKPOINT, out, speech, model_dir))


def values(artifact: Artifact) -> dict[str, float]:
    return {check.what: check.value for check in artifact.checks}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_each_precision_keeps_its_tolerance_on_trained_weights(
    exported: Exported, precision: Precision
) -> None:
    out, artifacts = exported
    assert reasons(artifacts[precision]) == []
    assert verified_artifact(out / precision) == artifacts[precision]
    assert Wav2LipNetwork(out / precision).patch_px == 96


def test_precisions_lose_what_they_are_known_to_lose(exported: Exported) -> None:
    errors = [values(exported[1][p])["relative error"] for p in ("fp32", "fp16", "int8")]
    assert errors[0] < 1e-5 < errors[1] < 1e-3 < errors[2] < 0.05


def test_the_negative_control_is_seen_by_both_instruments(exported: Exported) -> None:
    found = values(exported[1]["fp32"])
    assert found["mouth SSIM with channels moved"] < 0.95
    assert found["aperture correlation with channels moved"] < 0.9


def test_the_manifest_says_from_what_and_on_what(exported: Exported) -> None:
    _, artifacts = exported
    found = artifacts["int8"]
    assert found.details["width"] == 0.125
    assert found.details["judged_clips"] == "librivox-0920.flac"
    assert list(found.sources) == ["wav2lip-narrow.pth"]
    assert found.inputs[0].shape == ("N", 1, 80, 16)
    assert found.libraries["torch"] == torch.__version__
    assert found.rebuild.endswith("--precision int8")


def test_int8_has_every_convolution_but_the_last_in_int8(exported: Exported) -> None:
    types, makers, convolutions = _network(exported[0] / "int8")
    assert len(convolutions) == 51
    for node in convolutions:
        if node.name == LAST_CONVOLUTION:
            assert types[node.input[1]] == onnx.TensorProto.FLOAT
            continue
        assert types[makers[node.input[1]].input[0]] == onnx.TensorProto.INT8
        assert types[makers[node.input[0]].input[2]] == onnx.TensorProto.UINT8


def test_mixed_keeps_the_layers_that_it_names_in_fp16_and_no_others(exported: Exported) -> None:
    out, artifacts = exported
    details = str(artifacts["int8_fp16"].details["kept_in_fp16"])
    kept = {entry.split(" ")[0] for entry in details.split(", ")}
    types, makers, convolutions = _network(out / "int8_fp16")
    halves = {n.name for n in convolutions if types.get(n.input[1]) == onnx.TensorProto.FLOAT16}
    assert halves == kept
    assert 1 <= len(kept) < 15
    for node in convolutions:
        if node.name not in kept:
            scale = makers[node.input[0]]
            assert types[scale.input[2]] == onnx.TensorProto.INT8  # symmetric, as TensorRT wants


def _network(directory: Path) -> tuple[dict[str, int], dict[str, Any], list[Any]]:
    """Types of the weights, nodes by what they make, and the convolutions."""
    graph = onnx.load(str(directory / "wav2lip.onnx")).graph
    types = {w.name: w.data_type for w in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    return types, makers, [node for node in graph.node if node.op_type == "Conv"]


@pytest.fixture
def random_checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(Generator(PUBLISHED.narrowed(0.0625)).state_dict(), tmp_path / "random.pth")
    return tmp_path / "random.pth"


def test_weights_that_move_no_mouth_are_written_as_rejected(
    random_checkpoint: Path, tmp_path: Path, speech: Path, model_dir: ModelDir
) -> None:
    request = request_of(random_checkpoint, tmp_path / "out", speech, model_dir, "fp32", frames=30)
    artifact = export(request)["fp32"]
    assert "motion of the source's mouth is 0.0" in " ".join(reasons(artifact))
    assert read_artifact(tmp_path / "out" / "fp32").is_rejected
    with pytest.raises(UnsupportedModelError, match=r"was rejected: .*motion of the source"):
        Wav2LipNetwork(tmp_path / "out" / "fp32")


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_an_export_that_ends_badly_leaves_the_old_artifact_and_nothing_else(
    exported: Exported,
    tmp_path: Path,
    speech: Path,
    model_dir: ModelDir,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:
    shutil.copytree(exported[0] / "int8", tmp_path / "int8")

    def fail(source: Path, target: Path, *_: Any) -> None:
        target.write_bytes(source.read_bytes()[:1000])
        raise failure

    monkeypatch.setattr(exporting, "write_int8", fail)
    with pytest.raises(type(failure)):
        export(request_of(CHECKPOINT, tmp_path, speech, model_dir, "int8", frames=10))
    assert verified_artifact(tmp_path / "int8") == exported[1]["int8"]
    assert [path.name for path in tmp_path.iterdir()] == ["int8"]


def test_a_full_disk_is_an_error_that_names_the_place(
    tmp_path: Path, speech: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "write_fp16", fail)
    result = run(str(CHECKPOINT), "--out", str(tmp_path), "--speech", str(speech),
                 "--precision", "fp16")  # fmt: skip
    assert isinstance(result.exception, ModelError)
    assert f"{tmp_path} could not be written" in str(result.exception)
    assert "No space left" in str(result.exception)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["wav2lip", "--frames", "30", *arguments])


def test_the_command_reports_as_json(tmp_path: Path, speech: Path) -> None:
    result = run(str(CHECKPOINT), "--out", str(tmp_path), "--speech", str(speech),
                 "--precision", "fp32", "--json")  # fmt: skip
    assert result.exit_code == 0
    report = json.loads(result.stdout)["fp32"]
    assert report["directory"] == str(tmp_path / "fp32")
    assert report["is_rejected"] is False
    assert {c["what"] for c in report["artifact"]["checks"]} >= {"mouth SSIM"}


def test_the_command_shows_a_table_and_ends_with_1_when_something_was_rejected(
    random_checkpoint: Path, tmp_path: Path, speech: Path
) -> None:
    result = run(str(random_checkpoint), "--out", str(tmp_path / "o"), "--speech", str(speech),
                 "--precision", "fp32")  # fmt: skip
    assert result.exit_code == 1
    assert "rejected" in result.stdout
    assert "motion of the source's mouth" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--precision", "int4"), "it can be fp32, fp16, int8 or int8_fp16"),
        (("--speech", "nowhere"), "no recording"),
    ],
)
def test_a_mistake_is_an_error_that_says_what_is_possible(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = run(str(CHECKPOINT), "--out", str(tmp_path), *arguments)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)


def test_a_clip_s_windows_are_what_the_driver_cuts(clips_dir: Path) -> None:
    from halfsecond.models.lipsync.mel import first_step, mel_spectrogram
    from halfsecond_export.wav2lip.footage import load_speech

    clip = load_speech(clips_dir / "librivox-0880.flac")[0]
    windows = clip.windows()
    steps = mel_spectrogram(clip.samples)
    assert len(windows) == clip.frames == -(-len(clip.samples) * 25 // 16_000)
    at = first_step(30, 25)
    np.testing.assert_array_equal(windows[30, 0], steps[at : at + 16].T)
