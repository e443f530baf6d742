"""A process that looks at one file of a visitor and ends: a `Job` in by stdin, a `Made` out.

What a broken or malicious file does to a decoder, it does here.
"""

from __future__ import annotations

import os
import sys

import msgspec

from halfsecond.errors import HalfsecondError
from halfsecond.uploads.confinement import confine
from halfsecond.uploads.job import Job
from halfsecond.uploads.making import make


def main() -> None:
    """Reads, makes, writes."""
    confine(parent=int(sys.argv[1]))
    job = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Job)
    try:
        made = make(job)
    except HalfsecondError as error:  # of ours: a model that is not there
        raise SystemExit(str(error)) from error
    answer = memoryview(msgspec.msgpack.encode(made))
    out = sys.stdout.fileno()
    while answer:
        answer = answer[os.write(out, answer) :]


if __name__ == "__main__":
    main()
