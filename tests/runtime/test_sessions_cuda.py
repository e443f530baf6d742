"""The driver's calls: their order, and that all that was taken is given back."""

from __future__ import annotations

import inspect
import sys

import numpy as np
import pytest

from fakes.cuda_driver import (
    CUDA_MEMCPY2D,
    GREATEST_PRIORITY,
    LEAST_PRIORITY,
    CUmemorytype,
    CUstreamCaptureMode,
    FakeDriver,
    at,
    nothing_left,
)
from halfsecond.errors import ConfigError, GpuError, NoGpuError, UnsupportedModelError
from halfsecond.gpu import this_gpu
from halfsecond.sessions.cuda import Cuda, open_cuda
from halfsecond.sessions.device_array import DeviceArray, DeviceBuffer, device_array
from halfsecond.sessions.staging import Staging


def test_lips_and_voice_get_the_greatest_priority_and_the_rest_the_least() -> None:
    driver = FakeDriver()
    with nothing_left(driver):
        cuda = Cuda(driver)
        high, low = cuda.stream("high"), cuda.stream("low")
        assert [driver.streams[s.handle] for s in (high, low)] == [
            GREATEST_PRIORITY,
            LEAST_PRIORITY,
        ]
        assert {flags for flags, _ in driver.arguments("cuStreamCreateWithPriority")} == {1}
        high.close()
        low.close()
        cuda.close()


def test_a_call_that_fails_is_named_with_what_the_driver_says() -> None:
    driver = FakeDriver(failing="cuMemAlloc")
    with pytest.raises(GpuError, match="CUDA_ERROR_OUT_OF_MEMORY to cuMemAlloc"):
        Cuda(driver).memory(1 << 40)


def test_a_machine_without_a_device_has_no_gpu() -> None:
    with pytest.raises(NoGpuError, match=r"no GPU here: .*CUDA_ERROR_NO_DEVICE to cuDeviceGet"):
        Cuda(FakeDriver(devices=0))


def test_without_cuda_python_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", None)
    with pytest.raises(ConfigError, match=r"cuda-python is not installed; pip install .*gpu"):
        open_cuda()


def test_a_graph_is_captured_once_and_replayed_with_what_lies_in_its_memory_then() -> None:
    driver = FakeDriver()
    with nothing_left(driver):
        cuda = Cuda(driver)
        stream = cuda.stream("high")
        host, device, back = cuda.page_locked(16), cuda.memory(16), cuda.page_locked(16)
        values, result = (m.array((4,), np.dtype(np.float32)) for m in (host, back))
        values[...] = 1
        result[...] = 0

        def work() -> None:
            cuda.upload(device.pointer, host.pointer, 16, stream.handle)
            cuda.download(back.pointer, device.pointer, 16, stream.handle)

        graph = cuda.capture(stream, work)
        assert not result.any()  # what is captured has not run
        values[...] = 5
        graph.launch(stream)
        assert (result == 5).all()
        values[...] = 7
        graph.launch(stream)
        assert (result == 7).all()
        assert len(driver.names("cuStreamBeginCapture")) == 1
        assert driver.arguments("cuStreamBeginCapture")[0][1] == 1  # of this thread alone
        assert len(driver.names("cuGraphLaunch")) == 2
        graph.close()
        for memory in (host, device, back):
            memory.close()
            memory.close()  # the second time does nothing
        stream.close()


def test_work_that_fails_while_it_is_captured_leaves_the_stream_usable() -> None:
    driver = FakeDriver()
    cuda = Cuda(driver)
    stream = cuda.stream("low")

    def work() -> None:
        raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        cuda.capture(stream, work)
    assert not driver.is_capturing


def test_milliseconds_lie_between_two_events() -> None:
    cuda = Cuda(FakeDriver())
    stream = cuda.stream("low")
    before, after = cuda.record(stream.handle), cuda.record(stream.handle)
    assert after.ms_since(before) == pytest.approx(0.5)


def test_staging_makes_its_memory_once_and_more_only_for_more() -> None:
    driver = FakeDriver()
    with nothing_left(driver):
        cuda = Cuda(driver)
        stream = cuda.stream("low")
        staging = Staging(cuda, stream)
        first = staging.put("x", np.arange(8, dtype=np.float32))
        staging.upload("x", first)
        assert at(first.pointer, (8,), np.float32).tolist() == list(range(8))
        smaller = staging.put("x", np.ones(4, np.float32))
        assert smaller.pointer == first.pointer
        assert staging.generation == 1
        larger = staging.put("x", np.ones(1000, np.float32))
        assert staging.generation == 2
        assert larger.size_bytes == 4000
        assert len(driver.names("cuMemHostAlloc", "cuMemAlloc")) == 4
        assert len(driver.names("cuMemFreeHost", "cuMemFree")) == 2
        staging.close()
        stream.close()


def test_a_buffer_takes_a_part_along_any_axis() -> None:
    driver = FakeDriver()
    cuda = Cuda(driver)
    stream = cuda.stream("low")
    for axis in (0, 1, 2):
        whole = DeviceBuffer(cuda, stream, (3, 4, 5), np.float32)
        part = DeviceBuffer(cuda, stream, (3, 4, 5), np.float32)
        shape = [3, 4, 5]
        shape[axis] = 2
        values = np.random.default_rng(axis).normal(size=shape).astype(np.float32)
        at(part.memory.pointer, tuple(shape), np.float32)[...] = values
        whole.paste(part, shape=shape, axis=axis, begin=1, end=2)
        expected = np.zeros((3, 4, 5), np.float32)
        place = (slice(None),) * axis + (slice(1, 2),)
        expected[place] = values[place]
        np.testing.assert_array_equal(whole.read((3, 4, 5)), expected)


class OfAnotherLibrary:
    """What CuPy or pycuda hand over."""

    def __init__(self, pointer: int, **changes: object) -> None:
        self.__cuda_array_interface__ = {
            "version": 3, "shape": (2, 3), "typestr": "<f4", "data": (pointer, False),
            "strides": None, **changes,
        }  # fmt: skip


def test_an_array_of_another_library_is_taken_where_it_lies() -> None:
    array = device_array(OfAnotherLibrary(0x7000, stream=9, strides=(12, 4)), name="x")
    assert (array.pointer, array.shape, array.dtype.name) == (0x7000, (2, 3), "float32")
    assert array.producer == 9


def test_an_array_with_gaps_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedModelError, match=r"mel has the strides \(24, 4\)"):
        device_array(OfAnotherLibrary(0x7000, strides=(24, 4)), name="mel")


def test_what_is_handed_out_reads_back_the_same() -> None:
    array = DeviceArray(0x5000, (2, 4), np.dtype(np.float16))
    said = array.__cuda_array_interface__
    assert (said["typestr"], said["data"], said["strides"]) == ("<f2", (0x5000, False), None)
    again = device_array(OfAnotherLibrary(0x5000, **said), name="x")
    assert (again.pointer, again.shape, again.dtype) == (array.pointer, array.shape, array.dtype)


def parameters(documented: str) -> int:
    """How many arguments the first line of a docstring of cuda-python names."""
    inside = documented.split("\n")[0].partition("(")[2].rpartition(")")[0]
    return len([part for part in inside.split(",") if part.strip()])


def test_the_stand_in_has_the_calls_of_cuda_python() -> None:
    driver = pytest.importorskip("cuda.bindings.driver", reason="pip install 'halfsecond[gpu]'")
    calls = [name for name in vars(FakeDriver) if name.startswith("cu")]
    assert len(calls) > 25
    for name in calls:
        signature = inspect.signature(getattr(FakeDriver, name))
        real = getattr(driver, name)
        assert parameters(real.__doc__) == len(signature.parameters) - 1, name
    for name in CUDA_MEMCPY2D.__slots__:
        assert hasattr(type(driver.CUDA_MEMCPY2D()), name), name
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    assert int(mode) == CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    assert int(driver.CUmemorytype(2)) == CUmemorytype.CU_MEMORYTYPE_DEVICE


def test_without_a_driver_cuda_python_leads_to_the_same_error() -> None:
    pytest.importorskip("cuda.bindings.driver", reason="pip install 'halfsecond[gpu]'")
    try:
        this_gpu()
    except NoGpuError:
        with pytest.raises(NoGpuError, match="no GPU here"):
            open_cuda()
    else:
        pytest.skip("this machine has a GPU")
