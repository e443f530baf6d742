"""Builds that fail, in every way that was seen: a clear word, no half engine, the old one stays."""

from __future__ import annotations

import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from fakes.engine_libraries import child_environment
from fakes.networks import two_layers
from halfsecond.engine import ENGINE_NAME, intact_engine
from halfsecond.store.hashes import sha256_of

PROGRAM = """
from halfsecond import cli
from halfsecond_export.engines.cli import app
cli.app.add_typer(app, name="engines")
cli.main()
"""
PROFILE = ["--profile", "x=1x8:4x8:16x8"]


class Place:
    """A home with a network, and the command run on it in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source = two_layers(folder / "net.onnx")
        self.home = folder / "home"
        self.engine = self.home / "built" / "lips"
        self.gate = folder / "gate.open"
        self.prelude = ""

    def command(self, *options: str) -> list[str]:
        build = ["build", str(self.source), "--name", "lips", "--home", str(self.home), *PROFILE]
        return [sys.executable, "-c", self.prelude + PROGRAM, "engines", *build, *options]

    def build(self, *options: str, how: str = "", limit_bytes: int = 0) -> tuple[int, str]:
        """The exit code and all that was said."""

        def limit() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

        done = subprocess.run(
            self.command(*options),
            env=child_environment(STAND_IN=how),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            preexec_fn=limit if limit_bytes else None,
        )
        return done.returncode, done.stdout + done.stderr

    def start(self, *options: str, how: str = "") -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*options),
            env=child_environment(STAND_IN=how),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A test runner in the background passes on that it ignores interrupts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def start_and_stop_half_way(self, *options: str) -> tuple[subprocess.Popen[str], int]:
        """A build that waits for the gate inside the library, and its worker's process id."""
        process = self.start(*options, how=f"wait for {self.gate}")
        begun = self.gate.with_suffix(".begun")
        wait_until(begun.exists)
        wait_until(lambda: begun.read_text() != "")
        return process, int(begun.read_text())

    def left_over(self) -> list[str]:
        """What lies beside the engine, without its lock."""
        names = {path.name for path in self.engine.parent.iterdir()}
        return sorted(names - {"lips", ".lips.lock"})


def wait_until(holds: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline_s, "it never came to pass"
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty home."""
    return Place(tmp_path)


@pytest.fixture(scope="session")
def first_build(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A home with an engine, built once."""
    place = Place(tmp_path_factory.mktemp("first"))
    code, said = place.build()
    assert code == 0, said
    return place


@pytest.fixture
def built(place: Place, first_build: Place) -> Place:
    """A home with an engine of another network than the one there: the next build is a real one."""
    shutil.copytree(first_build.home, place.home)
    two_layers(place.source, seed=5)
    return place


def plan_hash(place: Place) -> str:
    return sha256_of(place.engine / ENGINE_NAME)


FAULTS = [
    ("crash", r"crashed with SIGSEGV; it said: .*Fatal: double free"),
    ("killed", r"was killed: most often no memory was left"),
    ("nothing", r"builds no engine: no tactic for node Conv_3\n"),
    ("turing", r"\(SM75\)\. For the other GPUs: --sm 8\.0 --sm 8\.6"),
    ("no start", r"tensorrt_rtx does not start: CUDA initialization failure"),
]


@pytest.mark.parametrize(("how", "says"), FAULTS)
def test_a_library_that_fails_is_told_and_the_old_engine_stays(
    built: Place, how: str, says: str
) -> None:
    before = plan_hash(built)
    code, said = built.build(how=how)
    assert code == 2
    assert "EngineBuildError" in said
    assert re.search(says, said, re.DOTALL), said
    assert "Traceback" not in said
    assert plan_hash(built) == before
    assert built.left_over() == []


def test_a_network_that_cannot_be_read_is_told_with_its_node_and_operator(built: Place) -> None:
    before = plan_hash(built)
    model = onnx.load(str(built.source))
    odd = onnx.helper.make_node("NonZero", ["x"], ["where"], name="/dp/flows.7/NonZero")
    model.graph.node.append(odd)
    kind = onnx.TensorProto.INT64
    model.graph.output.append(onnx.helper.make_tensor_value_info("where", kind, [2, "found"]))
    onnx.save(model, str(built.source))
    code, said = built.build()
    assert code == 2
    assert "node '/dp/flows.7/NonZero' (NonZero): NonZero plugin creator was not found in" in said
    assert "--cut-inputs" in said
    assert plan_hash(built) == before
    assert built.left_over() == []


@pytest.mark.parametrize(
    ("limit_bytes", "says"),
    [(100_000, "the engine cannot be written"), (300, "nothing was replaced. Make room")],
)
def test_a_disk_that_fills_leaves_the_old_engine(built: Place, limit_bytes: int, says: str) -> None:
    before = plan_hash(built)
    code, said = built.build(limit_bytes=limit_bytes)
    assert code == 2, said
    assert says in said
    assert plan_hash(built) == before
    assert built.left_over() == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 300 kB: room for one engine of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root can mount a file system to fill")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_real_disk_that_fills_leaves_the_old_engine(place: Place, small_disk: Path) -> None:
    place.home, place.engine = small_disk, small_disk / "built" / "lips"
    code, said = place.build()
    assert code == 2
    assert "about 32 MB" in said  # told beforehand: such a disk is refused outright
    # So the check is taken away, and the disk fills during the build.
    place.prelude = "from halfsecond_export.engines import building; building.check_disk = print"
    code, said = place.build()
    assert code == 0, said
    before = plan_hash(place)
    two_layers(place.source, seed=9)
    code, said = place.build()
    assert code == 2
    assert "No space left" in said
    assert plan_hash(place) == before
    assert place.left_over() == []


def test_two_builds_at_once_make_one_engine(place: Place) -> None:
    first, _ = place.start_and_stop_half_way()
    second = place.start()
    assert second.stdout is not None
    waiting = second.stdout.readline()
    while "waiting" not in waiting:
        assert waiting != "" and second.poll() is None
        waiting = second.stdout.readline()
    assert "another build of lips is running; waiting for it" in waiting
    place.gate.touch()
    assert "built in" in first.communicate(timeout=60)[0]
    assert "up to date in" in second.communicate(timeout=60)[0]
    assert (first.returncode, second.returncode) == (0, 0)
    assert intact_engine(place.engine).kind == "net"
    assert place.left_over() == []


def test_an_interrupt_ends_the_build_and_its_worker_and_the_old_engine_stays(
    built: Place,
) -> None:
    before = plan_hash(built)
    process, worker = built.start_and_stop_half_way()
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[0]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not is_running(worker)
    assert plan_hash(built) == before
    assert built.left_over() == []


def test_a_build_that_is_killed_takes_its_worker_along_and_the_next_one_cleans_up(
    built: Place,
) -> None:
    before = plan_hash(built)
    process, worker = built.start_and_stop_half_way()
    process.kill()
    process.communicate(timeout=30)
    wait_until(lambda: not is_running(worker))
    assert plan_hash(built) == before
    assert len(built.left_over()) == 1
    code, said = built.build()
    assert code == 0, said
    assert plan_hash(built) != before
    assert intact_engine(built.engine).key
    assert built.left_over() == []


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_old_engine_or_the_new_one(built: Place) -> None:
    """Moments are spread over a build's length; nothing is asserted about which one it hits."""
    started_s = time.monotonic()
    assert built.build("--force")[0] == 0
    length_s = time.monotonic() - started_s
    for share in (0.2, 0.5, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0):
        process = built.start("--force")
        time.sleep(share * length_s)
        process.kill()
        process.communicate(timeout=30)
        assert intact_engine(built.engine).files[ENGINE_NAME].size_bytes == 200_000
    assert built.build("--force")[0] == 0
    assert built.left_over() == []


def test_a_failing_swap_of_directories_keeps_one_of_them_at_every_moment(tmp_path: Path) -> None:
    """The kernel exchanges the two in one step: at no time is there no engine."""
    from halfsecond_export.prepare import request

    target, partial = tmp_path / "engine", tmp_path / ".engine.partial-1"
    target.mkdir()
    partial.mkdir()
    (target / "old").touch()
    (partial / "new").touch()
    if not request._exchange(partial, target):
        pytest.skip("this file system exchanges no directories")
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in partial.iterdir()] == ["old"]
    assert not request._exchange(tmp_path / "none", target)
    assert [path.name for path in target.iterdir()] == ["new"]


def test_without_the_library_one_line_says_what_to_install(place: Place) -> None:
    place.prelude = "import sys; sys.modules['tensorrt_rtx'] = None"
    done = subprocess.run(
        place.command(), env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert lines == ["ConfigError: tensorrt_rtx is not installed; pip install 'halfsecond[rtx]'"]
