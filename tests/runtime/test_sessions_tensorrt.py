"""Engines: refused where they do not fit, else run on their own stream in memory made once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fakes.cuda_driver import GREATEST_PRIORITY, LEAST_PRIORITY, FakeDriver, at, nothing_left
from fakes.networks import network, node, two_layers
from fakes.tensorrt_engines import MACHINE, REBUILD, FakeContext, FakeTensorRt, write_engine
from halfsecond.artifact import Profile
from halfsecond.engine import ENGINE_NAME, Machine
from halfsecond.errors import (
    ConfigError,
    GpuError,
    ModelCorruptError,
    NoGpuError,
    UnsupportedModelError,
)
from halfsecond.gpu import Gpu
from halfsecond.sessions import open_session
from halfsecond.sessions.cuda import Cuda
from halfsecond.sessions.device_array import DeviceArray
from halfsecond.sessions.on_device import MOST_GRAPHS
from halfsecond.sessions.tensorrt import EngineSession

X = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)
PROFILE = {"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(16, 8))}


@pytest.fixture
def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
def library(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRt:
    fake = FakeTensorRt(driver)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", fake)
    return fake


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write_engine(tmp_path / "engine", two_layers(tmp_path / "net.onnx"), PROFILE)


@pytest.fixture
def expected(engine: Path) -> np.ndarray[Any, Any]:
    with open_session(engine.parent / "net.onnx") as session:
        return session.run({"x": X})["y"]


def opened(directory: Path, driver: FakeDriver, **options: Any) -> EngineSession:
    return EngineSession(directory, machine=MACHINE, open_gpu=lambda: Cuda(driver), **options)


def test_an_engine_runs_on_its_own_stream_and_gives_all_back(
    engine: Path, driver: FakeDriver, library: FakeTensorRt, expected: np.ndarray[Any, Any]
) -> None:
    with nothing_left(driver):
        session = opened(engine, driver, priority="high")
        assert driver.streams[session.stream.handle] == GREATEST_PRIORITY
        np.testing.assert_allclose(session.run({"x": X})["y"], expected, atol=1e-6)
        assert library.contexts[0].streams == [session.stream.handle]
        session.close()


def test_priorities_follow_what_was_asked_for_each_session(
    engine: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    lips, words = opened(engine, driver, priority="high"), opened(engine, driver, priority="low")
    assert driver.streams[lips.stream.handle] == GREATEST_PRIORITY
    assert driver.streams[words.stream.handle] == LEAST_PRIORITY
    assert lips.stream.handle != words.stream.handle


def test_memory_is_made_for_the_largest_shape_at_first_use(
    engine: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    with opened(engine, driver) as session:
        for rows in (1, 16, 4, 9):
            given = np.ones((rows, 8), np.float32)
            assert session.run({"x": given})["y"].shape == (rows, 8)
        assert [size for size, _ in driver.arguments("cuMemHostAlloc")] == [16 * 8 * 4] * 2
        assert len(driver.names("cuMemAlloc")) == 2


def test_a_graph_is_captured_once_a_shape_and_replayed_on_new_input(
    engine: Path, driver: FakeDriver, library: FakeTensorRt, expected: np.ndarray[Any, Any]
) -> None:
    with nothing_left(driver):
        session = opened(engine, driver, is_graphed=True)
        for _ in range(5):
            np.testing.assert_allclose(session.run({"x": X})["y"], expected, atol=1e-6)
        assert len(driver.names("cuStreamBeginCapture")) == 1
        assert len(driver.names("cuGraphLaunch")) == 4  # the first run was as it is
        np.testing.assert_allclose(
            session.run({"x": X[::-1].copy()})["y"], expected[::-1], atol=1e-6
        )
        for _ in range(3):
            np.testing.assert_allclose(session.run({"x": X[:2]})["y"], expected[:2], atol=1e-6)
        assert len(driver.names("cuStreamBeginCapture")) == 2
        assert len(library.contexts[0].streams) == 4  # executed plain or captured, not replayed
        session.close()


def test_graphs_are_bounded(engine: Path, driver: FakeDriver, library: FakeTensorRt) -> None:
    with opened(engine, driver, is_graphed=True) as session:
        for rows in range(1, 17):
            for _ in range(3):
                session.run({"x": np.ones((rows, 8), np.float32)})
        assert len(driver.graphs) == MOST_GRAPHS


def test_without_being_asked_nothing_is_captured(
    engine: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    with opened(engine, driver) as session:
        for _ in range(3):
            session.run({"x": X})
        assert not driver.names("cuStreamBeginCapture")


def test_a_launch_goes_to_the_stream_that_is_handed_over(
    engine: Path, driver: FakeDriver, library: FakeTensorRt, expected: np.ndarray[Any, Any]
) -> None:
    with opened(engine, driver) as session:
        cuda = Cuda(driver)
        theirs = cuda.stream("low").handle
        given, place = cuda.memory(X.nbytes), cuda.memory(X.nbytes)
        at(given.pointer, X.shape, X.dtype)[...] = X
        driver.calls.clear()
        session.launch(
            {"x": DeviceArray(given.pointer, X.shape, X.dtype)},
            {"y": DeviceArray(place.pointer, X.shape, X.dtype)},
            stream=theirs,
        )
        assert library.contexts[0].streams == [theirs]
        assert not driver.names("cuStreamSynchronize", "cuMemcpyHtoDAsync", "cuMemAlloc")
        np.testing.assert_allclose(at(place.pointer, X.shape, X.dtype), expected, atol=1e-6)
        with pytest.raises(UnsupportedModelError, match="x lies on the host"):
            session.launch({"x": X}, {}, stream=theirs)  # type: ignore[dict-item]


def test_a_shape_outside_the_profile_is_told_with_the_command(
    engine: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    with opened(engine, driver) as session:
        with pytest.raises(UnsupportedModelError, match=r"\[17, 8\].*\[1, 8\] to \[16, 8\]") as one:
            session.run({"x": np.ones((17, 8), np.float32)})
        assert REBUILD in str(one.value)
        with pytest.raises(UnsupportedModelError, match="was not given x"):
            session.run({})


def test_an_engine_of_another_gpu_is_refused_with_the_command_that_builds_it(
    engine: Path, driver: FakeDriver, library: FakeTensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Machine(MACHINE.versions, MACHINE.cuda_majors, Gpu("RTX 5090", "12.0", 13))
    monkeypatch.setattr("halfsecond.engine.this_machine", lambda: other)
    with pytest.raises(UnsupportedModelError, match=f"RTX 5090 with 12.0; .*{REBUILD}"):
        open_session(engine, device="auto", open_gpu=lambda: Cuda(driver))
    assert not driver.calls


def test_a_tampered_engine_is_refused_with_the_command_that_builds_it(
    engine: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    content = bytearray((engine / ENGINE_NAME).read_bytes())
    content[100] ^= 1
    (engine / ENGINE_NAME).write_bytes(content)
    with pytest.raises(ModelCorruptError, match=f"make it again: {REBUILD}"):
        opened(engine, driver)


def test_an_engine_on_the_cpu_or_without_a_gpu_is_refused(
    engine: Path, library: FakeTensorRt, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="runs on a GPU alone"):
        open_session(engine, device="cpu")
    nowhere = Machine(MACHINE.versions, MACHINE.cuda_majors, None, "no GPU here: no driver")
    monkeypatch.setattr("halfsecond.engine.this_machine", lambda: nowhere)
    with pytest.raises(NoGpuError, match="no GPU here: no driver"):
        open_session(engine, device="auto")


def test_a_gpu_without_room_is_told(
    engine: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    library.is_out_of_memory = True
    with nothing_left(driver), pytest.raises(GpuError, match="cannot be used"):
        opened(engine, driver)


def test_a_graph_brings_back_what_was_asked_for(
    tmp_path: Path, driver: FakeDriver, library: FakeTensorRt
) -> None:
    nodes = [node("Neg", ["x"], "less"), node("Abs", ["x"], "size")]
    model = network(nodes, {"x": ("n", 2)}, {"less": ("n", 2), "size": ("n", 2)})
    onnx.save(model, str(tmp_path / "two.onnx"))
    profile = {"x": Profile(smallest=(1, 2), typical=(1, 2), largest=(4, 2))}
    engine = write_engine(tmp_path / "two", tmp_path / "two.onnx", profile)
    with opened(engine, driver, is_graphed=True) as session:
        for value in (1.0, 2.0, 3.0):
            given = {"x": np.full((1, 2), -value, np.float32)}
            assert session.run(given, ["less"])["less"].tolist() == [[value, value]]
            assert session.run(given, ["size"])["size"].tolist() == [[value, value]]


def test_the_stand_in_has_the_calls_of_tensorrt() -> None:
    library = pytest.importorskip("tensorrt_rtx", reason="pip install 'halfsecond[rtx]'")
    calls = [name for name in vars(FakeContext) if not name.startswith("_")]
    assert set(calls) == {
        "set_input_shape", "get_tensor_shape", "get_max_output_size", "set_tensor_address",
        "execute_async_v3",
    }  # fmt: skip
    assert all(hasattr(library.IExecutionContext, name) for name in calls)
    assert hasattr(library.ICudaEngine, "create_execution_context")
