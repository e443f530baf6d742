"""The two TensorRT libraries: loaded when they are needed, and what they have to say."""

from __future__ import annotations

import importlib
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal, TypeAlias

from halfsecond.errors import ConfigError
from halfsecond.gpu import Gpu

EngineLibrary: TypeAlias = Literal["tensorrt", "tensorrt_rtx"]

LIBRARIES: dict[str, str] = {
    "tensorrt_rtx": "pip install 'halfsecond[rtx]'",
    "tensorrt": (
        "on a Jetson, `apt install python3-libnvinfer` and a virtual environment made with "
        "--system-site-packages"
    ),
}
"""The modules, and how each is installed."""

_CUDA_MAJORS = (13, 12, 11)


def load_library(name: str) -> Any:
    """The Python module of a TensorRT library.

    Raises ConfigError, with what to install, where it is not there or cannot be loaded.
    """
    try:
        return importlib.import_module(name)
    except (ImportError, OSError) as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"fails: {error}"
        raise ConfigError(f"{name} {reason}; {LIBRARIES[name]}") from error


def cuda_major_of(name: str, gpu: Gpu | None) -> int:
    """The CUDA that a library was made for: its package's name tells, or else the driver; or 0."""
    for major in _CUDA_MAJORS:
        try:
            version(f"{name}_cu{major}")
        except PackageNotFoundError:
            continue
        return major
    return gpu.cuda_major if gpu else 0


class LibraryLog:
    """What a TensorRT library has to say: its errors and warnings, kept until they are taken.

    The libraries raise nothing when they fail; all they say goes to their logger.
    """

    def __init__(self, library: Any) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []
        self.logger = _logger(library, self)

    def take(self) -> list[str]:
        """The errors since the last call, each once."""
        errors = list(dict.fromkeys(self.errors))
        self.errors.clear()
        return errors


@cache
def library_log(library: Any) -> LibraryLog:
    """The one log of a library in this process: it keeps the first logger and ignores others."""
    return LibraryLog(library)


def _logger(library: Any, log: LibraryLog) -> Any:
    severity = library.ILogger

    class Collecting(library.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, level: Any, message: str) -> None:
            if level in (severity.INTERNAL_ERROR, severity.ERROR):
                log.errors.append(message.strip())
            elif level == severity.WARNING:
                log.warnings.append(message.strip())

    return Collecting()
