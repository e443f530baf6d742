"""Transparent huge pages under the models: less to look up for the processor at each access."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLE = "glibc.malloc.hugetlb"
KERNEL_CHOICE = Path("/sys/kernel/mm/transparent_hugepage/enabled")
LEAST_GLIBC = (2, 35)
"""The first whose `malloc` can ask for huge pages."""


def restart_with_huge_pages() -> None:
    """Starts this program again with a heap of huge pages, where the kernel leaves that open.

    glibc asks for them if it is told so before the program begins, hence the second start: the
    process, its arguments and its files stay what they are. Nothing happens where the kernel gives
    huge pages to all or to nobody, and where `GLIBC_TUNABLES` says something about them already:
    `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` leaves the heap as it is.

    docs/latency.md has the figures.
    """
    choice = KERNEL_CHOICE.read_text(encoding="ascii") if KERNEL_CHOICE.exists() else ""
    if not has_choice(choice, libc=platform.libc_ver(), environment=os.environ):
        return
    tunables = [part for part in (os.environ.get("GLIBC_TUNABLES"), f"{TUNABLE}=1") if part]
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(  # noqa: S606  (the program itself)
        sys.executable,
        [sys.executable, *sys.orig_argv[1:]],
        {**os.environ, "GLIBC_TUNABLES": ":".join(tunables)},
    )


def has_choice(choice: str, *, libc: tuple[str, str], environment: Mapping[str, str]) -> bool:
    """Whether a program gets huge pages if it asks, and nobody has decided about this one.

    choice: of the kernel, with the one that holds in brackets ("always [madvise] never").
    libc: name and version, as `platform.libc_ver` gives them.
    """
    name, version = libc
    if name != "glibc" or tuple(int(part) for part in version.split(".")[:2]) < LEAST_GLIBC:
        return False
    return "[madvise]" in choice and TUNABLE not in environment.get("GLIBC_TUNABLES", "")
