"""Every error that halfsecond raises on purpose.

    HalfsecondError
    ├── ConfigError (ValueError)          a config file or option that cannot be used
    ├── AudioError (ValueError)           audio that cannot be read or heard
    ├── PortraitError (ValueError)        a picture that cannot become a face
    ├── ModelError (RuntimeError)         a model that cannot be loaded or run
    │   ├── ModelMissingError (FileNotFoundError)   not fetched yet
    │   ├── ModelCorruptError             the bytes are not those of the catalog
    │   ├── LicenceError                  the licence was not accepted
    │   ├── UnsupportedModelError         an architecture or version that is not supported
    │   ├── EngineBuildError              an engine could not be built
    │   ├── NoGpuError                    no CUDA device, or no driver for it
    │   └── GpuError                      a GPU that refuses what it is asked for
    ├── FetchError (OSError)              a source that could not be reached or read
    ├── StageError (RuntimeError)         a stage that failed or went away
    ├── WireError (ValueError)            a message that breaks the protocol
    ├── AccessError (PermissionError)     a token that is missing, or cannot be trusted any more
    │   └── ScopeError                    a token that allows something else
    └── ServerError (ConnectionError)     the server refused, is busy or is not there

A message says what was found, what was expected, and the next command or step.
"""

from __future__ import annotations


class HalfsecondError(Exception):
    """Root of the tree: catch this to catch everything that is raised on purpose."""


class ConfigError(HalfsecondError, ValueError):
    """A config file, key or command line option that cannot be used."""


class AudioError(HalfsecondError, ValueError):
    """Audio that cannot be read, or in which there is nothing to hear."""

    def __init__(self, message: str, *, reason: str = "bad_audio") -> None:
        super().__init__(message)
        self.reason = reason
        """For a program that says it in its own words; docs/wire.md lists those of uploads."""


class PortraitError(HalfsecondError, ValueError):
    """A picture that cannot become a face; the message says what to do about it."""

    def __init__(self, message: str, *, reason: str = "bad_picture") -> None:
        super().__init__(message)
        self.reason = reason
        """As of `AudioError`."""


class ModelError(HalfsecondError, RuntimeError):
    """A model that cannot be loaded or run."""


class ModelMissingError(ModelError, FileNotFoundError):
    """A model that has not been fetched yet."""

    # FileNotFoundError would otherwise rewrite the message from its errno arguments.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class ModelCorruptError(ModelError):
    """Bytes that are not those that the catalog pins, or that cannot be parsed."""


class LicenceError(ModelError):
    """A model whose licence has to be accepted first."""


class UnsupportedModelError(ModelError):
    """An architecture, version or layout that is not supported."""


class EngineBuildError(ModelError):
    """A build that ended without an engine; what was there before is untouched."""


class NoGpuError(ModelError):
    """There is no CUDA device here, or no driver for it."""


class GpuError(ModelError):
    """The GPU, its driver or TensorRT refused a call: out of memory, or a fault before it."""


class FetchError(HalfsecondError, OSError):
    """A source that could not be reached, or did not hold what the catalog says."""


class StageError(HalfsecondError, RuntimeError):
    """A stage that failed, timed out or went away."""


class WireError(HalfsecondError, ValueError):
    """A message that breaks the protocol of docs/wire.md."""


class AccessError(HalfsecondError, PermissionError):
    """A token that is missing, cannot be trusted, or has expired."""


class ScopeError(AccessError):
    """A token that allows something else."""


class ServerError(HalfsecondError, ConnectionError):
    """The server refused the session, is busy, or is not there."""
