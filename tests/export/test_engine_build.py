"""Builds with stand-ins of the two libraries: what comes out, for whom, and from which request."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from fakes.engine_libraries import install
from fakes.networks import network, node, two_layers
from halfsecond.artifact import (
    Artifact,
    Check,
    Profile,
    Tensor,
    describe_file,
    read_artifact,
    write_artifact,
)
from halfsecond.engine import ENGINE_NAME, Machine, engine_key, usable_engine
from halfsecond.errors import (
    ConfigError,
    EngineBuildError,
    ModelCorruptError,
    ModelMissingError,
    NoGpuError,
    UnsupportedModelError,
)
from halfsecond.gpu import Gpu
from halfsecond_export.engines.adapters import parse_capability
from halfsecond_export.engines.building import BuildResult, build_engine
from halfsecond_export.engines.comparing import NOT_FINITE_DB, signal_to_noise_db
from halfsecond_export.engines.conditions import engine_conditions
from halfsecond_export.engines.job import Step
from halfsecond_export.engines.network import chosen_profiles, format_profile, parse_profile
from halfsecond_export.engines.planning import BuildRequest
from halfsecond_export.engines.recipes import RECIPES
from halfsecond_export.engines.resources import check_disk, check_memory

ROWS = {"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(16, 8))}
ORIN = Gpu("Orin", "8.7", 12)


class Heard:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.notes: list[str] = []

    def step(self, step: Step) -> None:
        self.steps.append(step)

    def note(self, message: str) -> None:
        self.notes.append(message)


def no_gpu() -> Gpu:
    raise NoGpuError("no GPU here: none in this test")


def build(
    request: BuildRequest, *, gpu: Gpu | None = None, heard: Heard | None = None
) -> BuildResult:
    return build_engine(
        request,
        progress=heard or Heard(),
        rebuild=["halfsecond", "engines", "build", str(request.source)],
        find_gpu=no_gpu if gpu is None else lambda: gpu,
    )


@pytest.fixture
def request_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., BuildRequest]:
    """Requests for a small network, with the stand-ins in place."""
    install(monkeypatch)
    source = two_layers(tmp_path / "net.onnx")

    def make(**changes: Any) -> BuildRequest:
        request = BuildRequest(source=source, folder=tmp_path / "built", profiles=ROWS)
        return dataclasses.replace(request, **changes)

    return make


RequestOf = Callable[..., BuildRequest]


def plan_of(result: BuildResult) -> str:
    return (result.directory / ENGINE_NAME).read_bytes().rstrip(b"\0").decode()


def test_an_engine_for_several_gpus_is_built_without_one(request_of: RequestOf) -> None:
    result = build(request_of(capabilities=("8.9", "8.6")))
    assert result.outcome == "built"
    assert " SM86 SM89 " in plan_of(result)
    assert "{'x': ((1, 8), (4, 8), (16, 8))}" in plan_of(result)
    assert result.artifact.compute_capabilities == ("8.6", "8.9")
    assert result.artifact.device == ""
    assert sorted(path.name for path in result.directory.iterdir()) == [
        "artifact.json",
        ENGINE_NAME,
    ]


def test_without_a_wish_it_is_for_every_gpu_that_the_library_knows(request_of: RequestOf) -> None:
    result = build(request_of())
    assert result.artifact.compute_capabilities == ("7.5", "8.0", "8.6", "8.9", "12.0", "12.1")


def test_classic_tensorrt_builds_for_the_gpu_that_is_here(request_of: RequestOf) -> None:
    result = build(request_of(library="tensorrt"), gpu=ORIN)
    assert "this GPU" in plan_of(result)
    artifact = result.artifact
    assert (artifact.compute_capabilities, artifact.device) == (("8.7",), "Orin")
    assert artifact.libraries["tensorrt"] == "10.16.2.10"
    machine = Machine({"tensorrt": "10.16.2.10"}, {"tensorrt": artifact.cuda_major}, ORIN)
    assert usable_engine(result.directory, machine) == artifact


def test_classic_tensorrt_without_a_gpu_names_the_library_that_needs_none(
    request_of: RequestOf,
) -> None:
    with pytest.raises(NoGpuError, match=r"no GPU here.*tensorrt_rtx builds without one"):
        build(request_of(library="tensorrt"))


def test_classic_tensorrt_builds_for_no_other_gpu(request_of: RequestOf) -> None:
    with pytest.raises(ConfigError, match=r"Orin with 8\.7, not for 8\.9"):
        build(request_of(library="tensorrt", capabilities=("8.9",)), gpu=ORIN)


def test_a_gpu_that_the_library_does_not_know_is_refused_with_those_it_knows(
    request_of: RequestOf,
) -> None:
    with pytest.raises(ConfigError, match=r"7\.5, .*12\.1, not 8\.7; a Jetson builds for itself"):
        build(request_of(capabilities=("8.7",)))


def test_the_manifest_tells_what_was_built_and_how_to_build_it_again(request_of: RequestOf) -> None:
    result = build(request_of(precision="fp16", workspace_bytes=1_000_000))
    artifact = read_artifact(result.directory)
    assert artifact == result.artifact
    assert artifact.precision == "fp16"
    assert artifact.inputs == (Tensor(name="x", dtype="float32", shape=("?", 8)),)
    assert set(artifact.sources) == {"net.onnx"}
    assert artifact.rebuild.startswith("halfsecond engines build /")
    assert artifact.details["passes"] == "fp16"
    assert float(artifact.details["peak_memory_bytes"]) > 1e6
    assert artifact.key == engine_key(artifact)
    [check] = artifact.checks
    assert check.what.startswith("rewritten y against its source")
    assert 40 < check.value < 100
    assert "WORKSPACE" in plan_of(result)


def test_fp16_inputs_are_asked_for(request_of: RequestOf) -> None:
    result = build(request_of(precision="fp16", keeps_io=False))
    assert [tensor.dtype for tensor in result.artifact.inputs] == ["float16"]


def test_the_progress_is_the_librarys_own(request_of: RequestOf) -> None:
    heard = Heard()
    build(request_of(), heard=heard)
    assert ("Tactics", 2, 3) in [(s.phase, s.done, s.total) for s in heard.steps]
    assert heard.steps[-1].done == 3


def test_the_same_engine_is_not_built_twice(request_of: RequestOf) -> None:
    first = build(request_of())
    again = build(request_of())
    assert (first.outcome, again.outcome) == ("built", "up to date")
    assert again.artifact == first.artifact
    assert build(request_of(is_forced=True)).outcome == "built"


@pytest.mark.parametrize(
    "changes",
    [
        {"capabilities": ("8.9",)},
        {"profiles": {"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(32, 8))}},
        {"keeps_io": False},
        {"workspace_bytes": 5_000_000},
        {"cut_inputs": ("hidden",), "profiles": {"hidden": ROWS["x"]}},
    ],
)
def test_another_request_builds_again_in_the_same_place(
    request_of: RequestOf, changes: dict[str, Any]
) -> None:
    first = build(request_of(name="lips"))
    second = build(request_of(name="lips", **changes))
    assert second.outcome == "built"
    assert second.directory == first.directory
    assert second.artifact.key != first.artifact.key


def test_a_source_that_changed_builds_again(request_of: RequestOf) -> None:
    build(request_of())
    two_layers(request_of().source, seed=7)
    assert build(request_of()).outcome == "built"


def test_an_engine_that_was_damaged_is_built_again(request_of: RequestOf) -> None:
    first = build(request_of())
    (first.directory / ENGINE_NAME).write_bytes(b"half")
    assert build(request_of()).outcome == "built"
    assert "SM89" in plan_of(first)


def test_weights_beside_the_network_belong_to_its_source(request_of: RequestOf) -> None:
    request = request_of()
    model = onnx.load(str(request.source))
    onnx.save_model(
        model,
        str(request.source),
        save_as_external_data=True,
        location="net.onnx.data",
        size_threshold=0,
    )
    first = build(request)
    assert set(first.artifact.sources) == {"net.onnx", "net.onnx.data"}
    weights = request.source.with_name("net.onnx.data")
    content = bytearray(weights.read_bytes())
    content[0] ^= 1
    weights.write_bytes(bytes(content))
    assert build(request).outcome == "built"
    weights.unlink()
    with pytest.raises(ModelMissingError, match=r"net\.onnx\.data, which is not beside it"):
        build(request)


def exported(request: BuildRequest, *checks: Check) -> Path:
    """The directory of an exported network that brings its shapes."""
    write_artifact(
        request.source.parent,
        Artifact(
            kind="lips",
            precision="fp32",
            runtime="onnxruntime",
            sources={},
            files={"net.onnx": describe_file(request.source)},
            libraries={},
            rebuild="halfsecond export",
            profiles=ROWS,
            checks=checks,
        ),
    )
    return request.source.parent


def test_shapes_and_precision_come_from_the_manifest_of_an_export(request_of: RequestOf) -> None:
    directory = exported(request_of())
    result = build(request_of(source=directory, profiles={}))
    assert result.artifact.profiles == ROWS
    assert result.artifact.precision == "fp32"
    assert result.directory.name == "lips-fp32-tensorrt_rtx"


def test_an_option_goes_before_the_manifest(request_of: RequestOf) -> None:
    larger = {"x": Profile(smallest=(1, 8), typical=(8, 8), largest=(64, 8))}
    result = build(request_of(source=exported(request_of()), profiles=larger))
    assert result.artifact.profiles == larger


def test_an_export_that_was_rejected_is_not_built(request_of: RequestOf) -> None:
    directory = exported(request_of(), Check(what="SSIM", value=0.1, at_least=0.9))
    with pytest.raises(UnsupportedModelError, match=r"rejected: SSIM 0\.1"):
        build(request_of(source=directory))


def test_an_input_that_varies_needs_a_shape_and_the_option_is_shown(request_of: RequestOf) -> None:
    with pytest.raises(ConfigError, match=r"x is batchx8: .* --profile x=1x8:4x8:8x8"):
        build(request_of(profiles={}))


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("x=1x8:4x8", "expected INPUT="),
        ("x=1x8:fourx8:8x8", "expected INPUT="),
        ("y=1x8:4x8:8x8", "no input 'y'; it has x"),
        ("x=1x8:4x8:8x9", "x is batchx8; 8x9 is not"),
        ("x=1x8x1:4x8x1:8x8x1", "x is batchx8; 1x8x1 is not"),
        ("x=4x8:1x8:8x8", "must grow from smallest to largest: 4, 1, 8"),
    ],
)
def test_shapes_that_do_not_fit_are_told(option: str, says: str) -> None:
    inputs = (Tensor(name="x", dtype="float32", shape=("batch", 8)),)
    with pytest.raises(ConfigError, match=says):
        chosen_profiles(inputs, dict([parse_profile(option)]))


def test_a_profile_is_read_as_it_is_written() -> None:
    text = "/Add_output_0=1x192x16:1x192x300:1x192x2000"
    assert format_profile(*parse_profile(text)) == text


@pytest.mark.parametrize(("text", "meant"), [("89", "8.9"), ("8.9", "8.9"), ("sm120", "12.0")])
def test_a_compute_capability_may_be_written_in_three_ways(text: str, meant: str) -> None:
    assert parse_capability(text) == meant
    with pytest.raises(ConfigError, match="no compute capability"):
        parse_capability("ada")


def test_an_int8_engine_wants_a_quantised_network_and_says_who_makes_one(
    request_of: RequestOf,
) -> None:
    with pytest.raises(ConfigError, match=r"not quantised.*halfsecond export"):
        build(request_of(precision="int8"))


def test_a_quantised_network_is_not_built_in_another_precision(
    request_of: RequestOf, tmp_path: Path
) -> None:
    constants: dict[str, Any] = {"s": np.array(0.1, np.float32), "z": np.array(0, np.int8)}
    nodes = [
        node("QuantizeLinear", ["x", "s", "z"], "q"),
        node("DequantizeLinear", ["q", "s", "z"], "y"),
    ]
    model = network(nodes, {"x": ("batch", 8)}, {"y": ("batch", 8)}, constants)
    onnx.save(model, str(tmp_path / "qdq.onnx"))
    with pytest.raises(ConfigError, match="quantised: build it with --precision int8"):
        build(request_of(source=tmp_path / "qdq.onnx", precision="fp16"))
    assert build(request_of(source=tmp_path / "qdq.onnx", precision="int8")).outcome == "built"


def test_a_network_that_overflows_in_fp16_is_written_as_rejected_and_not_used(
    request_of: RequestOf,
) -> None:
    request = request_of(name="loud", precision="fp16")
    model = onnx.load(str(request.source))
    for tensor in model.graph.initializer:
        values = onnx.numpy_helper.to_array(tensor) * 1000
        tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, str(request.source))
    result = build(request)
    assert result.artifact.is_rejected
    assert result.artifact.checks[0].value == NOT_FINITE_DB
    [condition] = engine_conditions(request.folder, is_thorough=True)
    assert condition.state == "refused"
    assert "rejected: rewritten y" in condition.detail


def test_a_measure_of_noise_that_can_tell() -> None:
    ones = np.ones(100)
    assert signal_to_noise_db(ones, ones) == 200.0
    assert signal_to_noise_db(ones, ones * 1.1) == pytest.approx(20.0)
    assert signal_to_noise_db(ones, ones * np.nan) == NOT_FINITE_DB
    assert signal_to_noise_db(ones, np.ones(99)) == NOT_FINITE_DB


def test_too_little_memory_is_told_before_the_build(
    request_of: RequestOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal: 8000000 kB\nMemAvailable: 250000 kB\n")
    with pytest.raises(EngineBuildError, match=r"about 1\.5 GB of memory, 0\.3 GB are available"):
        check_memory(100_000_000, meminfo=meminfo)
    meminfo.write_text("MemTotal: 8000000 kB\nMemAvailable: 1600000 kB\n")
    check_memory(100_000_000, meminfo=meminfo)
    with pytest.raises(EngineBuildError, match=r"about 2\.5 GB"):
        check_memory(100_000_000, workspace_bytes=1_000_000_000, meminfo=meminfo)


def test_too_little_disk_is_told_before_the_build(tmp_path: Path) -> None:
    check_disk(tmp_path, 1000)
    with pytest.raises(EngineBuildError, match="MB are free; make room"):
        check_disk(tmp_path, 10**15)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_gives_shapes_for_all_that_it_cuts_at(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.profiles or recipe.sizes
    assert set(recipe.cut_inputs) <= set(recipe.profiles)


def test_shapes_may_be_given_by_the_names_of_sizes() -> None:
    inputs = (
        Tensor(name="past", dtype="float32", shape=(1, 8, "past", 64)),
        Tensor(name="fixed", dtype="float32", shape=(1, 8)),
    )
    found = chosen_profiles(inputs, {}, sizes={"past": (0, 32, 447)})
    expected = Profile(smallest=(1, 8, 0, 64), typical=(1, 8, 32, 64), largest=(1, 8, 447, 64))
    assert found == {"past": expected}
    with pytest.raises(ConfigError, match="past is 1x8xpastx64"):
        chosen_profiles(inputs, {}, sizes={"f": (1, 2, 3)})


def test_a_recipe_that_is_not_there_names_those_that_are(request_of: RequestOf) -> None:
    with pytest.raises(ConfigError, match="no recipe 'lips'; there are wav2lip"):
        build(request_of(recipe="lips"))


def test_a_directory_without_a_network_or_with_two_is_told(
    request_of: RequestOf, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelMissingError, match="no ONNX network in"):
        build(request_of(source=empty))
    two_layers(tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match=r"several networks; name one of net\.onnx, other\.onnx"):
        build(request_of(source=tmp_path))


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_network_that_is_cut_off_is_corrupt_and_the_engine_stays(
    request_of: RequestOf, share: float
) -> None:
    first = build(request_of())
    content = request_of().source.read_bytes()
    request_of().source.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelCorruptError, match=r"net\.onnx"):
        build(request_of())
    assert read_artifact(first.directory) == first.artifact
    assert (first.directory / ENGINE_NAME).stat().st_size == 200_000


def test_the_conditions_of_engines_tell_usable_intact_and_refused(request_of: RequestOf) -> None:
    request = request_of(capabilities=("8.9",))
    artifact = build(request).artifact
    build(request_of(name="other", capabilities=("12.0",)))
    majors = {"tensorrt_rtx": artifact.cuda_major}
    versions = {"tensorrt_rtx": "1.7.1.116"}
    l4 = Machine(versions, majors, Gpu("NVIDIA L4", "8.9", 13))
    found = engine_conditions(request.folder, is_thorough=True, machine=l4)
    assert [(each.name, each.state) for each in found] == [
        ("net-fp16-tensorrt_rtx", "usable"),
        ("other", "refused"),
    ]
    nowhere = Machine(versions, majors, None, "no GPU here: no driver")
    found = engine_conditions(request.folder, is_thorough=True, machine=nowhere)
    assert {each.state for each in found} == {"intact"}
    assert {each.detail for each in found} == {"no GPU here: no driver"}


def test_a_manifest_survives_json(request_of: RequestOf) -> None:
    artifact = build(request_of()).artifact
    again = msgspec.convert(json.loads(msgspec.json.encode(artifact)), Artifact)
    assert again == artifact


def test_a_source_that_changes_while_it_is_read_is_told(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    from halfsecond_export.engines import preparing

    monkeypatch.setattr(preparing, "source_hashes", lambda path: {path.name: "00" * 32})
    with pytest.raises(EngineBuildError, match="changed while it was read; build again"):
        build(request_of())


def test_a_build_that_lacks_memory_leaves_no_trace(
    request_of: RequestOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*sizes: int, **more: int) -> None:
        raise EngineBuildError("the build needs about 2 GB of memory")

    monkeypatch.setattr("halfsecond_export.engines.building.check_memory", lacking)
    with pytest.raises(EngineBuildError, match="about 2 GB of memory"):
        build(request_of())
    assert [path.name for path in request_of().folder.iterdir()] == [".net-fp16-tensorrt_rtx.lock"]
