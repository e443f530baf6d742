"""Prints what of a lock holds for another Python and machine than this one, less the markers.

    lock_for.py VERSION MACHINE < LOCK

`pip download --python-version` takes that Python's wheels, but judges markers by its own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

try:
    from packaging.markers import Marker
except ImportError:  # pip, which downloads what is printed here, brings its own
    from pip._vendor.packaging.markers import Marker  # type: ignore[assignment]


def lines_for(lock: Iterable[str], *, version: str, machine: str) -> Iterator[str]:
    """What such a Python ("3.10") installs on Linux on such a machine ("aarch64"), with hashes."""
    target = {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "implementation_name": "cpython",
        "platform_machine": machine,
        "platform_system": "Linux",
        "sys_platform": "linux",
        "os_name": "posix",
    }
    is_wanted = True
    for line in lock:
        if line[:1].isalnum():
            package, _, marker = line.rstrip(" \\\n").partition(" ; ")
            is_wanted = not marker or Marker(marker).evaluate(target)
            if is_wanted:
                yield f"{package} \\\n"
        elif is_wanted:
            yield line


if __name__ == "__main__":
    sys.stdout.writelines(lines_for(sys.stdin, version=sys.argv[1], machine=sys.argv[2]))
