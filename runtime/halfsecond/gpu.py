"""The GPU of this machine, asked of its driver alone: no CUDA toolkit and no Python package."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from halfsecond.errors import NoGpuError

DRIVER = "libcuda.so.1"

# Of CUdevice_attribute in cuda.h.
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NAME_BYTES = 256


@dataclass(frozen=True)
class Gpu:
    """What an engine must fit.

    compute_capability: "8.9". cuda_major: of the newest CUDA that the driver runs.
    """

    name: str
    compute_capability: str
    cuda_major: int


def this_gpu(index: int = 0, *, load: Callable[[str], Any] = ctypes.CDLL) -> Gpu:
    """The CUDA device of this number.

    load: how the driver's library is opened; another one in tests.

    Raises:
        NoGpuError: there is no driver, no such device, or the driver fails; the message says which.
    """
    try:
        driver = load(DRIVER)
    except OSError as error:
        raise NoGpuError(f"no GPU here: the driver's {DRIVER} cannot be opened") from error
    _ask(driver.cuInit, 0)
    count, device, version = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    _ask(driver.cuDeviceGetCount, ctypes.byref(count))
    if not 0 <= index < count.value:
        raise NoGpuError(f"no GPU here: number {index} was asked for, the driver has {count.value}")
    _ask(driver.cuDeviceGet, ctypes.byref(device), index)
    _ask(driver.cuDriverGetVersion, ctypes.byref(version))
    name = ctypes.create_string_buffer(_NAME_BYTES)
    _ask(driver.cuDeviceGetName, name, _NAME_BYTES, device)
    capability = []
    for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
        value = ctypes.c_int()
        _ask(driver.cuDeviceGetAttribute, ctypes.byref(value), attribute, device)
        capability.append(str(value.value))
    return Gpu(
        name=name.value.decode(errors="replace"),
        compute_capability=".".join(capability),
        cuda_major=version.value // 1000,
    )


def _ask(function: Any, *arguments: Any) -> None:
    code = function(*arguments)
    if code:
        raise NoGpuError(f"no GPU here: the driver answers {code} to {function.__name__}")
