"""ONNX Runtime's sessions: on the CPU as they are, on CUDA with a driver that notes calls."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import structlog

from fakes.cuda_driver import GREATEST_PRIORITY, FakeDriver, at, nothing_left
from fakes.cuda_onnxruntime import FakeOnnxRuntime
from fakes.networks import network, node, two_layers
from halfsecond.artifact import (
    Artifact,
    Check,
    Profile,
    Tensor,
    describe_file,
    write_artifact,
)
from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    NoGpuError,
    UnsupportedModelError,
)
from halfsecond.sessions import Session, onnx_file, onnx_runtime, open_session, opening
from halfsecond.sessions.cuda import Cuda
from halfsecond.sessions.device_array import DeviceArray
from halfsecond.sessions.on_device import MOST_GRAPHS, OnDevice
from halfsecond.sessions.onnx_runtime import CPU, CUDA, TENSORRT

X = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def runtime(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> FakeOnnxRuntime:
    """ONNX Runtime with a CUDA provider, in place of the installed one."""
    fake = FakeOnnxRuntime(driver)
    for module in (onnx_runtime, onnx_file, opening):
        monkeypatch.setattr(module, "load_onnxruntime", lambda: fake)
    return fake


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    return two_layers(tmp_path / "net.onnx")


@pytest.fixture
def expected(layers: Path) -> np.ndarray[Any, Any]:
    with open_session(layers) as session:
        return session.run({"x": X})["y"]


@pytest.fixture
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


def on_gpu(path: Path, driver: FakeDriver, **options: Any) -> OnDevice:
    session = open_session(path, device="cuda", open_gpu=lambda: Cuda(driver), **options)
    assert isinstance(session, OnDevice)
    return session


def on_device(driver: FakeDriver, values: np.ndarray[Any, Any]) -> DeviceArray:
    memory = Cuda(driver).memory(values.nbytes)
    at(memory.pointer, values.shape, values.dtype)[...] = values
    return DeviceArray(memory.pointer, values.shape, values.dtype, owner=memory)


def test_a_session_tells_its_inputs_and_outputs(layers: Path) -> None:
    with open_session(layers) as session:
        assert session.inputs == (Tensor(name="x", dtype="float32", shape=("batch", 8)),)
        assert session.outputs == (Tensor(name="y", dtype="float32", shape=("batch", 8)),)
        assert session.runs_on == CPU


def test_on_the_cpu_results_are_written_into_the_callers_memory(
    layers: Path, expected: np.ndarray[Any, Any]
) -> None:
    with open_session(layers) as session:
        into = np.zeros((4, 8), np.float32)
        session.run_into({"x": X}, {"y": into})
        np.testing.assert_array_equal(into, expected)


def test_what_is_bound_is_read_and_written_where_it_lies(layers: Path) -> None:
    with open_session(layers) as session:
        given, into = np.zeros((4, 8), np.float32), np.ones((4, 8), np.float32)
        session.bind({"x": given, "y": into})
        session.run_into({}, {})
        assert not into.any()
        given[...] = X
        session.run_into({}, {})
        np.testing.assert_array_equal(into, session.run({"x": X})["y"])


def test_outputs_of_the_run_before_are_not_written_again(tmp_path: Path) -> None:
    nodes = [node("Relu", ["x"], "kept"), node("Neg", ["x"], "asked"), node("Abs", ["x"], "once")]
    shapes: dict[str, Any] = dict.fromkeys(("kept", "asked", "once"), ("n",))
    onnx.save(network(nodes, {"x": ("n",)}, shapes), str(tmp_path / "three.onnx"))
    with open_session(tmp_path / "three.onnx") as session:
        kept, once, asked = (np.zeros(2, np.float32) for _ in range(3))
        session.bind({"kept": kept})
        session.run_into({"x": np.array([-1, 2], np.float32)}, {"once": once})
        session.run_into({"x": np.array([-3, 4], np.float32)}, {"asked": asked})
        assert (kept.tolist(), once.tolist(), asked.tolist()) == ([0, 4], [1, 2], [3, -4])


def test_memory_that_the_cpu_cannot_use_is_refused_by_name(layers: Path) -> None:
    with open_session(layers) as session:
        with pytest.raises(UnsupportedModelError, match="x is not C-contiguous"):
            session.run_into({"x": X[:, ::-1]}, {"y": np.zeros((4, 8), np.float32)})
        gpu = DeviceArray(0x1000, (4, 8), np.dtype(np.float32))
        with pytest.raises(UnsupportedModelError, match="x lies on a GPU"):
            session.run_into({"x": gpu}, {})
        with pytest.raises(UnsupportedModelError, match="has no stream"):
            session.launch({"x": gpu}, {}, stream=1)


def test_a_file_that_is_not_there_or_no_network_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="models fetch"):
        open_session(tmp_path / "none.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with pytest.raises(ModelCorruptError, match="cannot be read as an ONNX model"):
        open_session(tmp_path / "bad.onnx")


def exported(layers: Path, *, checks: tuple[Check, ...] = ()) -> Path:
    """The directory of an artifact around a network, with its shapes."""
    profile = Profile(smallest=(1, 8), typical=(4, 8), largest=(16, 8))
    artifact = Artifact(
        kind="net",
        precision="fp32",
        runtime="onnxruntime",
        sources={},
        files={layers.name: describe_file(layers)},
        libraries={},
        rebuild="halfsecond export net",
        profiles={"x": profile},
        checks=checks,
    )
    write_artifact(layers.parent, artifact)
    return layers.parent


def test_an_artifact_is_hashed_before_it_is_opened(layers: Path) -> None:
    directory = exported(layers)
    with open_session(directory) as session:
        assert session.run({"x": X})["y"].shape == (4, 8)
    content = bytearray(layers.read_bytes())
    content[len(content) // 2] ^= 1
    layers.write_bytes(content)
    with pytest.raises(ModelCorruptError, match="make it again: halfsecond export net"):
        open_session(directory)


def test_a_rejected_artifact_is_not_opened(layers: Path) -> None:
    directory = exported(layers, checks=(Check(what="error", value=2.0, at_most=1.0),))
    with pytest.raises(UnsupportedModelError, match="was rejected: error 2"):
        open_session(directory)


def test_cuda_gets_the_stream_with_its_priority_and_computes_the_same(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, expected: np.ndarray[Any, Any]
) -> None:
    with nothing_left(driver):
        session = on_gpu(layers, driver, priority="high")
        (stream,) = driver.streams
        assert driver.streams[stream] == GREATEST_PRIORITY
        assert runtime.sessions[-1].options[CUDA]["user_compute_stream"] == str(stream)
        assert runtime.is_preloaded
        assert session.runs_on == CUDA
        np.testing.assert_array_equal(session.run({"x": X})["y"], expected)
        assert runtime.sessions[-1].is_synchronized == [False]
        order = driver.names("cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuStreamSynchronize")
        assert order == ["cuMemcpyHtoDAsync", "cuMemcpyDtoHAsync", "cuStreamSynchronize"]
        session.close()
        session.close()


def test_on_cuda_memory_is_made_once_for_all_runs(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime
) -> None:
    with on_gpu(layers, driver) as session:
        first = session.run({"x": X})["y"]
        kept = first.copy()
        made = driver.names("cuMemAlloc", "cuMemHostAlloc")
        for _ in range(5):
            session.run({"x": -X})
        assert driver.names("cuMemAlloc", "cuMemHostAlloc") == made
        np.testing.assert_array_equal(first, kept)  # what was handed out is the caller's
        assert len(made) == 4


def test_on_cuda_results_go_to_memory_of_host_and_gpu(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, expected: np.ndarray[Any, Any]
) -> None:
    with on_gpu(layers, driver) as session:
        into = np.zeros((4, 8), np.float32)
        session.run_into({"x": on_device(driver, X)}, {"y": into})
        np.testing.assert_array_equal(into, expected)
        place = on_device(driver, np.zeros((4, 8), np.float32))
        uploads = len(driver.names("cuMemcpyHtoDAsync"))
        session.run_into({"x": on_device(driver, X)}, {"y": place})
        np.testing.assert_array_equal(at(place.pointer, (4, 8), np.float32), expected)
        assert len(driver.names("cuMemcpyHtoDAsync")) == uploads  # nothing passed the host


def test_a_launch_on_another_stream_is_tied_by_events_and_waits_for_nothing(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, expected: np.ndarray[Any, Any]
) -> None:
    with on_gpu(layers, driver) as session:
        own, theirs = session.stream.handle, session.cuda.stream("low").handle
        place = on_device(driver, np.zeros((4, 8), np.float32))
        driver.calls.clear()
        session.launch({"x": on_device(driver, X)}, {"y": place}, stream=theirs)
        np.testing.assert_array_equal(at(place.pointer, (4, 8), np.float32), expected)
        assert [stream for _, stream in driver.arguments("cuEventRecord")] == [theirs, own]
        assert [given[0] for given in driver.arguments("cuStreamWaitEvent")] == [own, theirs]
        assert not driver.names("cuStreamSynchronize")


def test_work_that_makes_an_input_is_waited_for(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime
) -> None:
    with on_gpu(layers, driver) as session:
        producer = session.cuda.stream("low").handle
        array = on_device(driver, X)
        made = DeviceArray(array.pointer, array.shape, array.dtype, array.owner, producer)
        session.run_into({"x": made}, {"y": np.zeros((4, 8), np.float32)})
        assert [stream for _, stream in driver.arguments("cuEventRecord")] == [producer]
        assert driver.arguments("cuStreamWaitEvent")[0][0] == session.stream.handle


def test_an_output_whose_shape_only_a_run_tells_comes_back(
    tmp_path: Path, driver: FakeDriver, runtime: FakeOnnxRuntime
) -> None:
    nodes = [node("NonZero", ["x"], "places"), node("Cast", ["places"], "y", to=1)]
    model = network(nodes, {"x": ("n",)}, {"y": (1, "found")})
    onnx.save(model, str(tmp_path / "found.onnx"))
    with on_gpu(tmp_path / "found.onnx", driver) as session:
        for values, found in (([0, 3, 0, 4], [[1, 3]]), ([5, 0, 0, 0], [[0]])):
            assert session.run({"x": np.array(values, np.float32)})["y"].tolist() == found


def test_the_wrong_type_is_refused_before_anything_runs(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime
) -> None:
    with on_gpu(layers, driver) as session:
        with pytest.raises(UnsupportedModelError, match=r"x is given as float64, and .* float32"):
            session.run({"x": X.astype(np.float64)})
        with pytest.raises(UnsupportedModelError, match="no such input"):
            session.run({"z": X})


def test_a_graph_is_asked_for_where_all_runs_on_the_gpu_one_for_each_shape(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, expected: np.ndarray[Any, Any]
) -> None:
    with on_gpu(layers, driver, is_graphed=True) as session:
        asked = runtime.sessions[-1].options[CUDA]
        assert asked["enable_cuda_graph"] == "1"
        np.testing.assert_array_equal(session.run({"x": X})["y"], expected)
        session.run({"x": X})
        np.testing.assert_array_equal(session.run({"x": X[:2]})["y"], expected[:2])
        np.testing.assert_array_equal(session.run({"x": X[1:]})["y"], expected[1:])
        session.run({"x": X})
        assert runtime.sessions[-1].graph_ids == ["1", "1", "2", "3", "1"]
        for size in range(1, 30):
            session.run_into(
                {"x": on_device(driver, X[:1])}, {"y": on_device(driver, np.zeros_like(X[:1]))}
            )
            assert len(set(runtime.sessions[-1].graph_ids)) <= MOST_GRAPHS + 1, size
        assert runtime.sessions[-1].graph_ids[-1] == "-1"


def test_a_network_with_a_part_on_the_cpu_runs_without_a_graph(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, expected: np.ndarray[Any, Any]
) -> None:
    runtime.has_cpu_nodes = True
    with on_gpu(layers, driver, is_graphed=True) as session:
        assert "enable_cuda_graph" not in runtime.sessions[-1].options[CUDA]
        np.testing.assert_array_equal(session.run({"x": X})["y"], expected)


def test_auto_falls_through_to_the_cpu_with_one_line_that_says_why(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, logged: list[Any]
) -> None:
    runtime.available = [TENSORRT, CUDA, CPU]
    runtime.loads = [CPU]
    with (
        nothing_left(driver),
        open_session(layers, device="auto", open_gpu=lambda: Cuda(driver)) as session,
    ):
        assert session.runs_on == CPU
    (line,) = logged
    assert (line["log_level"], line["network"], line["runs_on"]) == ("info", "net.onnx", CPU)
    first, second = line["passed_over"]
    assert first.startswith(f"{TENSORRT}: the file has no manifest with the shapes")
    assert second == f"{CUDA}: ONNX Runtime could not load it and took {CPU}"


def test_auto_says_nothing_where_there_is_nothing_better(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime, logged: list[Any]
) -> None:
    runtime.available = [CPU]
    with open_session(layers, device="auto") as session:
        assert session.runs_on == CPU
    assert logged == []


def test_tensorrt_comes_first_with_the_shapes_of_the_manifest(
    layers: Path,
    driver: FakeDriver,
    runtime: FakeOnnxRuntime,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    runtime.available = runtime.loads = [TENSORRT, CUDA, CPU]
    monkeypatch.setattr(opening, "load_library", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with on_gpu(exported(layers), driver) as session:
        assert session.runs_on == TENSORRT
        asked = runtime.sessions[-1].options[TENSORRT]
        assert asked["trt_profile_min_shapes"] == "x:1x8"
        assert asked["trt_profile_max_shapes"] == "x:16x8"
        assert asked["user_compute_stream"] == str(session.stream.handle)
        assert Path(asked["trt_engine_cache_path"]).is_dir()


def test_cuda_that_cannot_be_had_is_an_error_with_every_reason(
    layers: Path, driver: FakeDriver, runtime: FakeOnnxRuntime
) -> None:
    runtime.loads = [CPU]
    with pytest.raises(NoGpuError, match=r"net\.onnx was to run on a GPU .*could not load it"):
        on_gpu(layers, driver)
    assert not driver.streams
    runtime.available = [CPU]
    with pytest.raises(NoGpuError, match=r"has no CUDAExecutionProvider here; pip install"):
        on_gpu(layers, driver)


def test_without_cuda_python_auto_runs_on_the_cpu(
    layers: Path, runtime: FakeOnnxRuntime, logged: list[Any]
) -> None:
    def absent() -> Cuda:
        raise ConfigError("cuda-python is not installed; pip install 'halfsecond[gpu]'")

    session: Session = open_session(layers, device="auto", open_gpu=absent)
    assert session.runs_on == CPU
    assert "cuda-python is not installed" in logged[0]["passed_over"][0]
    session.close()


def test_a_gpu_without_room_leaves_the_network_to_the_cpu(
    layers: Path, runtime: FakeOnnxRuntime, logged: list[Any]
) -> None:
    driver = FakeDriver(failing="cuStreamCreateWithPriority")
    with open_session(layers, device="auto", open_gpu=lambda: Cuda(driver)) as session:
        assert session.runs_on == CPU
    assert "CUDA_ERROR_OUT_OF_MEMORY" in logged[0]["passed_over"][0]


def test_a_broken_file_is_told_whatever_the_device(
    tmp_path: Path, driver: FakeDriver, runtime: FakeOnnxRuntime
) -> None:
    (tmp_path / "bad.onnx").write_bytes(b"no network")
    with nothing_left(driver), pytest.raises(ModelCorruptError, match="cannot be read"):
        open_session(tmp_path / "bad.onnx", device="auto", open_gpu=lambda: Cuda(driver))
