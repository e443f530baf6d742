"""The heap that models lie on is asked for in huge pages, once, and only where that is possible."""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys

import pytest

from halfsecond.huge_pages import KERNEL_CHOICE, has_choice

GLIBC = ("glibc", "2.36")


@pytest.mark.parametrize(
    ("choice", "libc", "tunables", "expected"),
    [
        ("always [madvise] never\n", GLIBC, "", True),
        ("always [madvise] never\n", GLIBC, "glibc.malloc.arena_max=2", True),
        ("[always] madvise never\n", GLIBC, "", False),
        ("always madvise [never]\n", GLIBC, "", False),
        ("", GLIBC, "", False),
        ("always [madvise] never\n", ("glibc", "2.31"), "", False),
        ("always [madvise] never\n", ("", ""), "", False),
        ("always [madvise] never\n", GLIBC, "glibc.malloc.hugetlb=0", False),
        ("always [madvise] never\n", GLIBC, "glibc.malloc.hugetlb=1", False),
    ],
)
def test_a_program_asks_where_the_kernel_leaves_it_to_programs_and_nobody_decided(
    choice: str, libc: tuple[str, str], tunables: str, expected: bool
) -> None:
    environment = {"GLIBC_TUNABLES": tunables} if tunables else {}
    assert has_choice(choice, libc=libc, environment=environment) is expected


PROGRAM = """
import os, re, sys
print("begun", os.getpid(), sys.argv[1:], flush=True)
from halfsecond.huge_pages import restart_with_huge_pages
restart_with_huge_pages()
kept = [b"x" * (16 << 20) for _ in range(4)]
rollup = open("/proc/self/smaps_rollup").read()
print("huge", re.search(r"AnonHugePages: +([0-9]+) kB", rollup)[1], os.environ["GLIBC_TUNABLES"])
"""


@pytest.mark.skipif(
    not has_choice(
        KERNEL_CHOICE.read_text() if KERNEL_CHOICE.exists() else "",
        libc=platform.libc_ver(),
        environment={},
    ),
    reason="this kernel or C library leaves no choice",
)
def test_the_program_begins_again_as_itself_and_its_heap_is_of_huge_pages() -> None:
    def run(tunables: str) -> list[str]:
        environment = {**os.environ, "GLIBC_TUNABLES": tunables}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, "--with", "arguments"],
            capture_output=True,
            text=True,
            check=True,
            env=environment,
        )
        return done.stdout.splitlines()

    first, second, huge = run("glibc.malloc.arena_max=2")
    assert first == second
    assert "['--with', 'arguments']" in first
    found = re.fullmatch(r"huge (\d+) (.+)", huge)
    assert found is not None
    assert found[2] == "glibc.malloc.arena_max=2:glibc.malloc.hugetlb=1"
    _, unasked = run("glibc.malloc.hugetlb=0")
    assert int(found[1]) > int(unasked.split()[1]) + 32 * 1024
