"""Builds with the real TensorRT-RTX, which needs no GPU; skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from fakes.networks import two_layers
from halfsecond.artifact import Profile
from halfsecond.engine import Machine, intact_engine, open_engine
from halfsecond.errors import NoGpuError, UnsupportedModelError
from halfsecond.gpu import Gpu
from halfsecond_export.engines.building import BuildResult, build_engine
from halfsecond_export.engines.job import Step
from halfsecond_export.engines.planning import BuildRequest
from halfsecond_export.wav2lip.untrained import write_untrained, write_untrained_int8

trt: Any = pytest.importorskip(
    "tensorrt_rtx", reason="needs tensorrt_rtx: pip install 'halfsecond[rtx]'"
)

LONGEST_BUILD_S = 30


class Heard:
    def __init__(self) -> None:
        self.steps: list[Step] = []

    def step(self, step: Step) -> None:
        self.steps.append(step)

    def note(self, message: str) -> None:
        raise AssertionError(message)


def build(source: Path, folder: Path, **changes: Any) -> BuildResult:
    heard = Heard()
    result = build_engine(
        BuildRequest(source=source, folder=folder, **changes), progress=heard, rebuild=["again"]
    )
    assert len({step.phase for step in heard.steps}) > 3
    assert heard.steps[-1].done == heard.steps[-1].total
    assert float(result.artifact.details["build_s"]) < LONGEST_BUILD_S
    assert intact_engine(result.directory) == result.artifact
    return result


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Wav2Lip's network with a quarter of its channels, in fp32 and INT8."""
    folder = tmp_path_factory.mktemp("wav2lip")
    write_untrained(folder / "fp32.onnx", width=0.25)
    write_untrained_int8(folder / "int8.onnx", width=0.25)
    return folder


@pytest.mark.parametrize(
    ("precision", "at_most_mb"), [("fp32", 12.0), ("fp16", 7.0), ("int8", 15.0)]
)
def test_wav2lip_builds_for_every_gpu_without_one(
    narrow: Path, tmp_path: Path, precision: str, at_most_mb: float
) -> None:
    source = narrow / ("int8.onnx" if precision == "int8" else "fp32.onnx")
    result = build(source, tmp_path, precision=precision, recipe="wav2lip")
    artifact = result.artifact
    assert artifact.compute_capabilities == ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")
    assert [tensor.name for tensor in artifact.outputs] == ["faces"]
    assert artifact.outputs[0].shape == ("?", 3, 96, 96)
    assert not artifact.is_rejected
    assert artifact.files["engine.plan"].size_bytes < at_most_mb * 1e6


def test_without_a_gpu_a_sound_engine_is_not_opened_and_that_is_said(
    narrow: Path, tmp_path: Path
) -> None:
    result = build(narrow / "fp32.onnx", tmp_path, recipe="wav2lip")
    major = result.artifact.cuda_major
    pretended = Machine(
        {"tensorrt_rtx": trt.__version__}, {"tensorrt_rtx": major}, Gpu("pretended", "8.9", major)
    )
    try:
        engine = open_engine(result.directory, pretended)
    except NoGpuError as error:
        assert "no GPU here: tensorrt_rtx finds no driver" in str(error)
    else:
        assert engine.num_io_tensors == 3


def test_a_node_that_it_cannot_read_is_named(tmp_path: Path) -> None:
    source = two_layers(tmp_path / "net.onnx")
    model = onnx.load(str(source))
    model.graph.node.append(onnx.helper.make_node("NonZero", ["x"], ["where"], name="/dp/NonZero"))
    kind = onnx.TensorProto.INT64
    model.graph.output.append(onnx.helper.make_tensor_value_info("where", kind, [2, "found"]))
    onnx.save(model, str(source))
    profiles = {"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(16, 8))}
    with pytest.raises(UnsupportedModelError, match=r"node '/dp/NonZero' \(NonZero\): "):
        build(source, tmp_path / "built", profiles=profiles)
    assert list((tmp_path / "built").glob("[!.]*")) == []


@pytest.mark.models
def test_the_back_of_the_hibari_voice_builds(
    model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    source = model_dir("hibari") / "hibari.onnx"
    result = build(source, tmp_path, recipe="hibari-back")
    assert result.artifact.details["passes"] == "dequantize 29, fp16"
    assert {tensor.name for tensor in result.artifact.outputs} >= {"lh", "f0"}
