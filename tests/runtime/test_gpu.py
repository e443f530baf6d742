"""What the driver says of the GPU, on a stand-in of the driver."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from halfsecond.errors import NoGpuError
from halfsecond.gpu import Gpu, this_gpu


class Driver:
    """The calls of libcuda.so.1 that are made; `failing` answers 100 (no device)."""

    def __init__(self, *, devices: int = 1, failing: str = "") -> None:
        def call(name: str, work: Any) -> Any:
            def function(*arguments: Any) -> int:
                if name == failing:
                    return 100
                work(*arguments)
                return 0

            function.__name__ = name
            return function

        def put(pointer: Any, value: int) -> None:
            pointer._obj.value = value

        def attribute(pointer: Any, which: int, device: Any) -> None:
            put(pointer, {75: 8, 76: 9}[which])

        self.cuInit = call("cuInit", lambda flags: None)
        self.cuDeviceGetCount = call("cuDeviceGetCount", lambda p: put(p, devices))
        self.cuDeviceGet = call("cuDeviceGet", put)
        self.cuDriverGetVersion = call("cuDriverGetVersion", lambda p: put(p, 13020))
        self.cuDeviceGetAttribute = call("cuDeviceGetAttribute", attribute)
        self.cuDeviceGetName = call("cuDeviceGetName", self._name)

    def _name(self, buffer: Any, size: int, device: Any) -> None:
        assert size == len(buffer)
        ctypes.memmove(buffer, b"NVIDIA L4\0", 10)


def test_the_gpu_has_a_name_and_a_capability() -> None:
    assert this_gpu(load=lambda name: Driver()) == Gpu("NVIDIA L4", "8.9", 13)


def test_without_a_driver_there_is_no_gpu() -> None:
    def absent(name: str) -> Any:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.raises(NoGpuError, match=r"no GPU here: .*libcuda\.so\.1"):
        this_gpu(load=absent)


def test_a_driver_without_a_device_is_no_gpu() -> None:
    with pytest.raises(NoGpuError, match=r"no GPU here: number 0 .* the driver has 0"):
        this_gpu(load=lambda name: Driver(devices=0))


@pytest.mark.parametrize("call", ["cuInit", "cuDeviceGet", "cuDeviceGetName"])
def test_a_driver_that_fails_is_named_with_the_call(call: str) -> None:
    with pytest.raises(NoGpuError, match=f"no GPU here: the driver answers 100 to {call}"):
        this_gpu(load=lambda name: Driver(failing=call))
