"""Engines of another machine or version, stale, cut off or forged: each is refused, by name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fakes.libraries import stand_in
from halfsecond.artifact import (
    MANIFEST_NAME,
    Artifact,
    Check,
    Profile,
    describe_file,
    write_artifact,
)
from halfsecond.engine import (
    ENGINE_NAME,
    Machine,
    engine_key,
    intact_engine,
    open_engine,
    this_machine,
    usable_engine,
)
from halfsecond.engine_library import load_library
from halfsecond.errors import (
    ConfigError,
    EngineBuildError,
    ModelCorruptError,
    ModelMissingError,
    NoGpuError,
    UnsupportedModelError,
)
from halfsecond.gpu import Gpu
from halfsecond.store.hashes import sha256_of

L4 = Gpu("NVIDIA L4", "8.9", 13)
ORIN = Gpu("Orin", "8.7", 12)
HERE = Machine({"tensorrt_rtx": "1.7.1.116"}, {"tensorrt_rtx": 13}, L4)
ON_ORIN = Machine({"tensorrt": "10.3.0.30"}, {"tensorrt": 12}, ORIN)
REBUILD = "halfsecond engines build net.onnx"


def written(folder: Path, *, on_orin: bool = False, checks: tuple[Check, ...] = ()) -> Path:
    """An engine of a network with its weights beside it, for an L4 or built on an Orin."""
    network, weights = folder / "net.onnx", folder / "net.onnx.data"
    network.write_bytes(b"nodes")
    weights.write_bytes(b"weights")
    directory = folder / "engine"
    directory.mkdir()
    (directory / ENGINE_NAME).write_bytes(b"compiled for this machine")
    library, version = ("tensorrt", "10.3.0.30") if on_orin else ("tensorrt_rtx", "1.7.1.116")
    artifact = Artifact(
        kind="wav2lip",
        precision="fp16",
        runtime="tensorrt" if on_orin else "tensorrt_rtx",
        sources={path.name: sha256_of(path) for path in (network, weights)},
        files={ENGINE_NAME: describe_file(directory / ENGINE_NAME)},
        libraries={library: version},
        rebuild=REBUILD,
        profiles={"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(8, 8))},
        compute_capabilities=("8.7",) if on_orin else ("8.6", "8.9"),
        device="Orin" if on_orin else "",
        source_path=str(network),
        cuda_major=12 if on_orin else 13,
        flags={"passes": "1"},
        checks=checks,
    )
    artifact = msgspec.structs.replace(artifact, key=engine_key(artifact))
    write_artifact(directory, artifact)
    return directory


def edited(directory: Path, **changes: object) -> None:
    path = directory / MANIFEST_NAME
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | changes))


def test_an_engine_of_this_machine_is_usable(tmp_path: Path) -> None:
    assert usable_engine(written(tmp_path), HERE).compute_capabilities == ("8.6", "8.9")


def test_an_engine_that_was_built_on_this_device_is_usable(tmp_path: Path) -> None:
    assert usable_engine(written(tmp_path, on_orin=True), ON_ORIN).device == "Orin"


def test_an_engine_whose_source_is_not_here_is_usable(tmp_path: Path) -> None:
    directory = written(tmp_path)
    for path in tmp_path.glob("net.onnx*"):
        path.unlink()
    assert usable_engine(directory, HERE).kind == "wav2lip"


def cut_off(directory: Path) -> None:
    path = directory / ENGINE_NAME
    path.write_bytes(path.read_bytes()[:-1])


def empty(directory: Path) -> None:
    (directory / ENGINE_NAME).write_bytes(b"")


def one_bit(directory: Path) -> None:
    content = bytearray((directory / ENGINE_NAME).read_bytes())
    content[7] ^= 1
    (directory / ENGINE_NAME).write_bytes(bytes(content))


def gone(directory: Path) -> None:
    (directory / ENGINE_NAME).unlink()


def other_nodes(directory: Path) -> None:
    (directory.parent / "net.onnx").write_bytes(b"other nodes")


def other_weights(directory: Path) -> None:
    (directory.parent / "net.onnx.data").write_bytes(b"trained on")


FAULTS_OF_FILES: list[tuple[Callable[[Path], None], type[Exception], str]] = [
    (cut_off, ModelCorruptError, "24 bytes, expected 25"),
    (empty, ModelCorruptError, "0 bytes, expected 25"),
    (one_bit, ModelCorruptError, "not what was written"),
    (gone, ModelCorruptError, "is gone"),
    (other_nodes, UnsupportedModelError, r"stale: .*net\.onnx has changed"),
    (other_weights, UnsupportedModelError, r"stale: .*net\.onnx\.data has changed"),
    (
        lambda d: edited(d, compute_capabilities=["8.6", "8.9", "12.0"]),
        ModelCorruptError,
        "manifest in .* is not what was written",
    ),
    (
        lambda d: edited(d, libraries={"tensorrt_rtx": "1.8.0"}),
        ModelCorruptError,
        "manifest in .* is not what was written",
    ),
    (lambda d: edited(d, precision="fp32"), ModelCorruptError, "manifest in .* is not what"),
    (lambda d: edited(d, profiles={}), ModelCorruptError, "manifest in .* is not what"),
]


@pytest.mark.parametrize(("fault", "error", "says"), FAULTS_OF_FILES)
def test_a_faulty_engine_is_refused_with_the_command_that_rebuilds_it(
    tmp_path: Path, fault: Callable[[Path], None], error: type[Exception], says: str
) -> None:
    directory = written(tmp_path)
    fault(directory)
    with pytest.raises(error, match=f"{says}.*again: {REBUILD}"):
        usable_engine(directory, HERE)


OTHER_MACHINES = [
    (Machine(HERE.versions, HERE.cuda_majors, Gpu("RTX 5090", "12.0", 13)), "RTX 5090 with 12.0"),
    (Machine(HERE.versions, HERE.cuda_majors, Gpu("H100", "9.0", 13)), "8.6, 8.9; here is H100"),
    (Machine({"tensorrt_rtx": "1.7.2.0"}, HERE.cuda_majors, L4), "1.7.1.116 .* here is .*1.7.2.0"),
    (Machine(HERE.versions, {"tensorrt_rtx": 12}, L4), "for CUDA 13, here is .* for CUDA 12"),
]


@pytest.mark.parametrize(("machine", "says"), OTHER_MACHINES)
def test_an_engine_of_another_machine_is_refused_with_the_command_that_rebuilds_it(
    tmp_path: Path, machine: Machine, says: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{says}.*again: {REBUILD}"):
        usable_engine(written(tmp_path), machine)


def test_the_command_for_another_gpu_names_that_gpu(tmp_path: Path) -> None:
    directory = written(tmp_path)
    edited(directory, rebuild=f"{REBUILD} --sm 8.6 --sm 8.9")
    machine = Machine(HERE.versions, HERE.cuda_majors, Gpu("RTX 5090", "12.0", 13))
    with pytest.raises(UnsupportedModelError, match=r"--sm 8\.6 --sm 8\.9 --sm 12\.0$"):
        usable_engine(directory, machine)


OTHER_DEVICES = [
    (Machine(ON_ORIN.versions, ON_ORIN.cuda_majors, Gpu("Orin NX", "8.7", 12)), "built on Orin;"),
    (Machine(ON_ORIN.versions, ON_ORIN.cuda_majors, Gpu("Thor", "11.0", 12)), "8.7; here is Thor"),
    (Machine({"tensorrt": "10.16.2.10"}, ON_ORIN.cuda_majors, ORIN), "stale: .*10.3.0.30"),
]


@pytest.mark.parametrize(("machine", "says"), OTHER_DEVICES)
def test_an_engine_of_another_device_is_refused_with_the_command_that_rebuilds_it(
    tmp_path: Path, machine: Machine, says: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{says}.*again: {REBUILD}"):
        usable_engine(written(tmp_path, on_orin=True), machine)


def test_without_a_gpu_an_engine_is_intact_and_not_usable(tmp_path: Path) -> None:
    directory = written(tmp_path)
    machine = Machine(HERE.versions, HERE.cuda_majors, None, "no GPU here: no driver")
    assert intact_engine(directory).kind == "wav2lip"
    with pytest.raises(NoGpuError, match="no GPU here: no driver"):
        usable_engine(directory, machine)


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"needs tensorrt_rtx.*halfsecond\[rtx\]"):
        usable_engine(written(tmp_path), Machine({}, {}, L4))


def test_an_engine_that_missed_a_tolerance_is_refused(tmp_path: Path) -> None:
    bad = Check(what="rewritten y", value=-200.0, unit=" dB", at_least=25.0)
    with pytest.raises(UnsupportedModelError, match="rejected: rewritten y -200 dB"):
        usable_engine(written(tmp_path, checks=(bad,)), HERE)


def test_an_artifact_that_is_no_engine_is_told(tmp_path: Path) -> None:
    directory = written(tmp_path)
    edited(directory, runtime="onnxruntime")
    with pytest.raises(UnsupportedModelError, match="no TensorRT engine"):
        usable_engine(directory, HERE)


def test_half_a_directory_is_no_engine(tmp_path: Path) -> None:
    directory = written(tmp_path)
    (directory / MANIFEST_NAME).unlink()
    with pytest.raises(ModelMissingError, match="engines build"):
        usable_engine(directory, HERE)


@pytest.mark.parametrize(
    "change",
    [
        {"sources": {"net.onnx": "11" * 32}},
        {"libraries": {"tensorrt_rtx": "1.7.1.117"}},
        {"cuda_major": 12},
        {"compute_capabilities": ("8.6",)},
        {"device": "NVIDIA L4"},
        {"precision": "fp32"},
        {"profiles": {"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(9, 8))}},
        {"flags": {"passes": "2"}},
        {"runtime": "tensorrt"},
    ],
)
def test_all_that_decides_an_engine_is_in_its_key(tmp_path: Path, change: object) -> None:
    artifact = intact_engine(written(tmp_path))
    assert isinstance(change, dict)
    assert engine_key(msgspec.structs.replace(artifact, **change)) != artifact.key


def test_what_does_not_decide_an_engine_is_not_in_its_key(tmp_path: Path) -> None:
    artifact = intact_engine(written(tmp_path))
    same = msgspec.structs.replace(
        artifact, files={}, details={"build_s": 3}, compute_capabilities=("8.9", "8.6")
    )
    assert engine_key(same) == artifact.key


def test_an_engine_is_opened_by_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", stand_in)
    assert open_engine(written(tmp_path), HERE) == b"compiled for this machine"


def test_an_engine_that_its_library_refuses_is_told_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", stand_in)
    monkeypatch.setenv("STAND_IN", "refuse")
    with pytest.raises(EngineBuildError, match=f"another tactic set; build it again: {REBUILD}"):
        open_engine(written(tmp_path), HERE)


def test_a_library_without_a_driver_means_no_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", stand_in)
    monkeypatch.setenv("STAND_IN", "no driver")
    with pytest.raises(NoGpuError, match="no GPU here: tensorrt_rtx finds no driver"):
        open_engine(written(tmp_path), HERE)


def test_a_library_that_is_not_installed_is_one_line_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(ConfigError, match=r"^tensorrt_rtx is not installed; pip install .*rtx"):
        load_library("tensorrt_rtx")


def test_the_machine_tells_what_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Gpu:
        raise NoGpuError("no GPU here: none in this test")

    monkeypatch.setattr(stand_in, "__version__", "10.3.0.30", raising=False)
    monkeypatch.setitem(sys.modules, "tensorrt", stand_in)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    assert this_machine(lambda: ORIN) == Machine({"tensorrt": "10.3.0.30"}, {"tensorrt": 12}, ORIN)
    without = this_machine(absent)
    assert (without.gpu, without.no_gpu) == (None, "no GPU here: none in this test")
