"""The process that builds one engine: a job on its standard input, events on its standard output.

A process of its own because a library that crashes, or that the kernel ends for want of memory,
must not take the command along, and because nothing else can interrupt a build at any moment.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import BinaryIO

import msgspec

from halfsecond.engine_library import load_library
from halfsecond.errors import EngineBuildError, HalfsecondError
from halfsecond_export.engines.compiling import compile_engine
from halfsecond_export.engines.job import BuildEvent, BuildJob, Failed

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Builds what standard input says; whatever happens, the last line says how it ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # What the library prints on its own must not get between the events.
    events = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=BuildJob)
    _say(events, _build(job, events))


def _build(job: BuildJob, events: BinaryIO) -> BuildEvent:
    try:
        library = load_library(job.library)
        return compile_engine(job, library, lambda step: _say(events, step))
    except HalfsecondError as error:
        return Failed(error=type(error).__name__, message=str(error))
    except MemoryError:
        return Failed(error=EngineBuildError.__name__, message="no memory is left")
    except OSError as error:
        return Failed(
            error=EngineBuildError.__name__, message=f"the engine cannot be written: {error}"
        )


def _say(events: BinaryIO, event: BuildEvent) -> None:
    events.write(msgspec.json.encode(event) + b"\n")
    events.flush()


if __name__ == "__main__":
    main()
