"""A build in a process of its own, seen from the command that wants the engine."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import IO

import msgspec

from halfsecond import errors
from halfsecond.errors import EngineBuildError
from halfsecond_export.engines.job import BuildEvent, BuildJob, Built, Failed, Step

WORKER: Sequence[str] = (sys.executable, "-m", "halfsecond_export.engines.worker")
_TAIL_BYTES = 2000


def run_build(
    job: BuildJob, *, on_step: Callable[[Step], None], worker: Sequence[str] = WORKER
) -> Built:
    """Builds an engine in a process that ends with this call, however this call ends.

    Raises whatever the process reports, by class; EngineBuildError where it dies without a word.
    """
    command = [*worker]
    with (
        tempfile.TemporaryFile() as printed,
        subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=printed,
            start_new_session=True,  # Ctrl-C comes here only, and here decides
        ) as process,
    ):
        try:
            outcome = _follow(process, job, on_step)
        except BaseException:
            process.kill()
            raise
        code = process.wait()
        if outcome is None:
            raise EngineBuildError(_died(job, code, printed))
    if isinstance(outcome, Failed):
        raise getattr(errors, outcome.error, EngineBuildError)(outcome.message)
    return outcome


def _follow(
    process: subprocess.Popen[bytes], job: BuildJob, on_step: Callable[[Step], None]
) -> Built | Failed | None:
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(msgspec.json.encode(job))
        process.stdin.close()
    except BrokenPipeError:
        return None
    for line in process.stdout:
        event: BuildEvent = msgspec.json.decode(line, type=BuildEvent)
        if not isinstance(event, Step):
            return event
        on_step(event)
    return None


def _died(job: BuildJob, code: int, printed: IO[bytes]) -> str:
    size_bytes = printed.seek(0, 2)
    printed.seek(max(0, size_bytes - _TAIL_BYTES))
    said = printed.read().decode(errors="replace").strip()
    if code == -signal.SIGKILL:
        how = "was killed: most often no memory was left (`dmesg` tells)"
    elif code < 0:
        how = f"crashed with {signal.Signals(-code).name}"
    else:
        how = f"ended with code {code}"
    return f"the process that builds with {job.library} {how}" + (
        f"; it said: {said}" if said else ""
    )
