"""On a real GPU; skipped with the reason where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fakes.networks import two_layers
from halfsecond.errors import ConfigError, NoGpuError
from halfsecond.gpu import this_gpu
from halfsecond.sessions import open_session
from halfsecond.sessions.cuda import Cuda, open_cuda
from halfsecond.sessions.onnx_runtime import CUDA, load_onnxruntime

pytestmark = pytest.mark.gpu

X = np.random.default_rng(3).normal(size=(4, 8)).astype(np.float32)


@pytest.fixture
def cuda() -> Cuda:
    try:
        this_gpu()
        return open_cuda()
    except (NoGpuError, ConfigError) as error:
        pytest.skip(str(error))


def test_memory_comes_back_from_the_gpu_as_it_went(cuda: Cuda) -> None:
    stream, host, device = cuda.stream("high"), cuda.page_locked(4096), cuda.memory(4096)
    values = host.array((1024,), np.dtype(np.float32))
    values[...] = np.arange(1024)
    before = cuda.record(stream.handle)
    cuda.upload(device.pointer, host.pointer, 4096, stream.handle)
    stream.synchronize()
    values[...] = 0
    cuda.download(host.pointer, device.pointer, 4096, stream.handle)
    after = cuda.record(stream.handle)
    assert after.ms_since(before) > 0
    np.testing.assert_array_equal(values, np.arange(1024))
    host.close()
    device.close()
    stream.close()


def test_a_captured_copy_is_replayed(cuda: Cuda) -> None:
    stream, host, device, back = (
        cuda.stream("low"), cuda.page_locked(64), cuda.memory(64), cuda.page_locked(64)
    )  # fmt: skip
    values, result = (memory.array((16,), np.dtype(np.float32)) for memory in (host, back))

    def work() -> None:
        cuda.upload(device.pointer, host.pointer, 64, stream.handle)
        cuda.download(back.pointer, device.pointer, 64, stream.handle)

    graph = cuda.capture(stream, work)
    for value in (3.0, 4.0):
        values[...] = value
        graph.launch(stream)
        stream.synchronize()
        assert (result == value).all()
    graph.close()


@pytest.mark.parametrize("is_graphed", [False, True])
def test_a_network_computes_on_cuda_what_it_computes_on_the_cpu(
    cuda: Cuda, tmp_path: Path, is_graphed: bool
) -> None:
    if CUDA not in load_onnxruntime().get_available_providers():
        pytest.skip("this ONNX Runtime has no CUDA provider; pip install 'halfsecond[gpu]'")
    path = two_layers(tmp_path / "net.onnx")
    with open_session(path) as session:
        expected = session.run({"x": X})["y"]
    with open_session(path, device="cuda", is_graphed=is_graphed) as session:
        for _ in range(5):
            np.testing.assert_allclose(session.run({"x": X})["y"], expected, rtol=1e-2, atol=1e-2)
