"""jetson/*.sh without a board: what they find out, print and refuse, on trees of ours."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from halfsecond.config import load

JETSON = Path(__file__).parents[2] / "jetson"
ORIN_NANO = "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


class Board:
    """A root with what the scripts look at, and programs that stand in for those of a board."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.programs = root / "programs"
        self.programs.mkdir()
        (root / "etc").mkdir()
        (root / "proc/device-tree").mkdir(parents=True)
        self.memory(8_000, 5_000)

    def memory(self, total_mb: int, available_mb: int) -> None:
        text = f"MemTotal: {total_mb * 1024} kB\nMemAvailable: {available_mb * 1024} kB\n"
        (self.root / "proc/meminfo").write_text(text)

    def jetson(self, release: str, revision: str, model: str = ORIN_NANO) -> None:
        head = f"# R{release} (release), REVISION: {revision}, GCID: 1, BOARD: generic\n"
        (self.root / "etc/nv_tegra_release").write_text(head)
        (self.root / "proc/device-tree/model").write_bytes(model.encode() + b"\0")

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", *command],
            env={
                "PATH": f"{self.programs}:{os.environ['PATH']}",
                "HALFSECOND_ROOT": str(self.root),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


# board.sh


@pytest.mark.parametrize(
    ("release", "revision", "profile"),
    [("36", "4.3", "jp6"), ("36", "5.0", "jp6"), ("39", "2.0", "jp72")],
)
def test_the_profile_follows_from_the_release_of_the_board(
    board: Board, release: str, revision: str, profile: str
) -> None:
    board.jetson(release, revision)
    found = board.run(str(JETSON / "board.sh"))
    assert found.returncode == 0, found.stderr
    assert f"profile   {profile}" in found.stdout
    assert "SM        87" in found.stdout
    assert "memory    8000 MB, 5000 MB available" in found.stdout


def test_thor_is_known_by_its_name(board: Board) -> None:
    board.jetson("39", "2.0", "NVIDIA Jetson AGX Thor Developer Kit")
    assert "SM        110" in board.run(str(JETSON / "board.sh")).stdout


def test_a_machine_that_is_no_jetson_takes_the_profile_of_processors(board: Board) -> None:
    assert "profile   cpu" in board.run(str(JETSON / "board.sh")).stdout


@pytest.mark.parametrize(
    ("release", "revision", "advice"),
    [
        ("35", "4.1", "JetPack 6.1, 6.2 (L4T 36.4) and 7.2 (L4T 39.2) are"),
        ("36", "3.0", "update to 6.2"),
        ("38", "2.0", "update to 7.2"),
    ],
)
def test_a_jetpack_that_is_not_supported_is_refused_with_the_one_to_update_to(
    board: Board, release: str, revision: str, advice: str
) -> None:
    board.jetson(release, revision)
    found = board.run(str(JETSON / "board.sh"))
    assert found.returncode == 2
    assert f"L4T {release}.{revision}" in found.stderr
    assert advice in found.stderr


# install.sh


def system_files() -> dict[Path, float]:
    """What an installation would change, and when it was changed last."""
    places = ("/etc/systemd/system", "/opt/halfsecond", "/etc/halfsecond", "/var/lib/halfsecond")
    found = [path for place in places for path in (Path(place), *Path(place).glob("*"))]
    return {path: path.stat().st_mtime for path in found if path.exists()}


def test_a_dry_run_prints_every_step_and_changes_nothing(board: Board) -> None:
    board.jetson("36", "4.3")
    before = system_files()
    found = board.run(
        str(JETSON / "install.sh"), "--dry-run", "--kiosk", "--wheels", "/media/stick"
    )
    assert found.returncode == 0, found.stderr
    steps = [line.removeprefix("+ ") for line in found.stdout.splitlines() if line[:1] == "+"]
    told = "\n".join(steps)
    for step in (
        "python3-libnvinfer",
        "useradd --system --home-dir /var/lib/halfsecond",
        "python3.10 -m venv --system-site-packages /opt/halfsecond/venv",
        "--require-hashes --no-deps",
        "/media/stick/",
        "models fetch --home /var/lib/halfsecond cpu-en",
        "profiles/jp6.toml /etc/halfsecond/halfsecond.toml",
        "/etc/systemd/system/halfsecond-power.service",
        "/etc/systemd/system/halfsecond-kiosk.service",
        "systemctl enable halfsecond.service",
    ):
        assert step in told
    assert system_files() == before


def test_a_board_without_its_wheels_is_told_that_it_runs_on_its_processor(board: Board) -> None:
    board.jetson("39", "2.0")
    found = board.run(str(JETSON / "install.sh"), "--dry-run")
    assert "run on its processor cores until there are some" in found.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--turbo"], "unknown option --turbo"),
        (["--profile", "jp5"], "there is no profile jp5"),
        (["--offline"], "--offline wants a value"),
        (["--dry-run", "--offline", "/nowhere"], "make it with jetson/bundle.sh"),
    ],
)
def test_a_mistake_ends_with_2_and_what_was_expected(
    board: Board, options: list[str], message: str
) -> None:
    found = board.run(str(JETSON / "install.sh"), *options)
    assert found.returncode == 2
    assert message in found.stderr


def test_a_bundle_of_which_one_byte_was_changed_is_refused(board: Board, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(b"model")
    digest = hashlib.sha256(b"model").hexdigest()
    (bundle / "SHA256SUMS").write_text(f"{digest}  ./model.onnx\n")
    install = (str(JETSON / "install.sh"), "--dry-run", "--offline", str(bundle))
    whole = board.run(*install)
    assert whole.returncode == 0, whole.stderr
    assert f"--no-index --find-links {bundle}/wheels" in whole.stdout
    (bundle / "model.onnx").write_bytes(b"modem")
    changed = board.run(*install)
    assert changed.returncode == 2
    assert "was changed or cut off" in changed.stderr
    unsigned = board.run(*install, "--key", str(tmp_path / "keys.gpg"))
    assert unsigned.returncode == 2
    assert "is not signed" in unsigned.stderr


def test_a_bundle_is_packed_for_the_python_of_the_board_and_not_for_the_one_here(
    board: Board, tmp_path: Path
) -> None:
    """pip would judge the lock's markers by the Python that it runs on."""
    asked = board.root / "asked.txt"
    board.program(
        "python3",
        f'[ "$2" = pip ] || exec {sys.executable} "$@"\n'
        f'if [ "$4" = download ]; then cat "${{@: -1}}" > {asked}; fi',
    )
    (tmp_path / "home" / "models").mkdir(parents=True)
    options = ("--python", "3.10", "--machine", "aarch64", "--home", str(tmp_path / "home"))
    packed = board.run(str(JETSON / "bundle.sh"), str(tmp_path / "bundle"), *options)
    assert packed.returncode == 0, packed.stderr
    lines = asked.read_text().splitlines()
    packages = [line.rstrip(" \\").split("==") for line in lines if line[:1].isalnum()]
    found = dict(packages)
    assert len(found) == len(packages)  # one version of each
    lock = (JETSON.parent / "locks/py310-gateway.txt").read_text()
    of_python = re.findall(r"(?m)^(\S+)==(\S+) ; python_full_version < '3.11' \\\\$", lock)
    assert dict(of_python).items() <= found.items()
    assert {"numpy", "tomli", "aiortc", "uvicorn"} <= set(found)
    assert "colorama" not in found  # of Windows
    assert sum("--hash=sha256:" in line for line in lines) > len(found)


def test_a_bundle_that_was_signed_is_taken_and_one_of_a_stranger_is_not(
    board: Board, tmp_path: Path
) -> None:
    if shutil.which("gpg") is None or shutil.which("gpgv") is None:
        pytest.skip("apt install gnupg")
    bundle, home = tmp_path / "bundle", tmp_path / "gnupg"
    bundle.mkdir()
    home.mkdir(mode=0o700)
    (bundle / "empty").touch()
    (bundle / "SHA256SUMS").write_text(f"{hashlib.sha256(b'').hexdigest()}  ./empty\n")
    gpg = ("gpg", "--batch", "--quiet", "--homedir", str(home), "--passphrase", "")
    for name in ("us", "stranger"):
        subprocess.run([*gpg, "--quick-gen-key", name, "ed25519", "sign"], check=True)
        subprocess.run([*gpg, "--output", str(tmp_path / name), "--export", name], check=True)
    signing = ("--armor", "--local-user", "us", "--detach-sign", str(bundle / "SHA256SUMS"))
    subprocess.run([*gpg, *signing], check=True)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=True)
    install = (str(JETSON / "install.sh"), "--dry-run", "--offline", str(bundle), "--key")
    ours = board.run(*install, str(tmp_path / "us"))
    assert ours.returncode == 0, ours.stderr
    strangers = board.run(*install, str(tmp_path / "stranger"))
    assert strangers.returncode == 2
    assert "is not signed by a key of" in strangers.stderr


@pytest.mark.parametrize("profile", ["cpu", "jp6", "jp72"])
def test_the_config_of_a_profile_can_be_used(profile: str) -> None:
    config = load(JETSON / "profiles" / f"{profile}.toml")
    assert config.server.bind == "ipc:///run/halfsecond/server.ipc"
    assert config.models.home == "/var/lib/halfsecond"
    assert config.memory.reserve_mb >= 600


# power.sh

NVPMODEL = """
< POWER_MODEL ID=0 NAME=15W >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=1 NAME=25W >
< POWER_MODEL ID=2 NAME=MAXN_SUPER >
"""


@pytest.fixture
def powered(board: Board) -> Board:
    (board.root / "nvpmodel.conf").write_text(NVPMODEL)
    board.program("nvpmodel", f'echo "nvpmodel $*" >> {board.root}/done')
    board.program("jetson_clocks", f"echo jetson_clocks >> {board.root}/done")
    return board


def test_a_power_mode_is_set_by_its_name_and_the_clocks_after_it(powered: Board) -> None:
    conf = {"NVPMODEL_CONF": str(powered.root / "nvpmodel.conf")}
    found = powered.run(str(JETSON / "power.sh"), HALFSECOND_POWER_MODE="25W", **conf)
    assert found.returncode == 0, found.stderr
    assert (powered.root / "done").read_text() == "nvpmodel -m 1\njetson_clocks\n"


def test_a_mode_that_the_board_does_not_have_is_refused_with_those_it_has(powered: Board) -> None:
    conf = {"NVPMODEL_CONF": str(powered.root / "nvpmodel.conf")}
    found = powered.run(str(JETSON / "power.sh"), "40W", **conf)
    assert found.returncode == 2
    assert "this board has no mode 40W; it has: 15W, 25W, MAXN_SUPER" in found.stderr
    assert not (powered.root / "done").exists()


# engines.sh


def test_every_engine_of_the_list_is_built_and_one_that_fails_keeps_no_other_back(
    board: Board, tmp_path: Path
) -> None:
    wanted = tmp_path / "engines"
    wanted.write_text(
        "# lips\nlips.onnx --recipe wav2lip\n\nbad.onnx\nears.onnx --precision fp16\n"
    )
    board.program("halfsecond", f'echo "$*" >> {tmp_path}/done; [[ "$*" != *bad* ]]')
    found = board.run(
        str(JETSON / "engines.sh"), str(wanted), HALFSECOND="halfsecond", HALFSECOND_BUILD_MB="0"
    )
    assert found.returncode == 1
    assert (tmp_path / "done").read_text().splitlines() == [
        "engines build lips.onnx --recipe wav2lip --library tensorrt",
        "engines build bad.onnx --library tensorrt",
        "engines build ears.onnx --precision fp16 --library tensorrt",
    ]
    assert found.stdout.splitlines()[0] == "engine 1 of 3: lips.onnx"
    assert found.stdout.splitlines()[-1] == "2 of 3 engines are there"


def test_no_build_begins_where_its_memory_is_not_free(board: Board, tmp_path: Path) -> None:
    wanted = tmp_path / "engines"
    wanted.write_text("lips.onnx\n")
    environment = {"HALFSECOND": "false", "HALFSECOND_BUILD_MB": "99999999"}
    found = board.run(str(JETSON / "engines.sh"), str(wanted), **environment)
    assert found.returncode == 1
    assert "a build takes 99999999" in found.stdout


def test_a_list_of_comments_wants_no_engine(board: Board) -> None:
    found = board.run(str(JETSON / "engines.sh"), str(JETSON / "profiles" / "engines"))
    assert found.returncode == 0
    assert "no engines are wanted" in found.stdout


# building.sh


def call(board: Board, line: str) -> subprocess.CompletedProcess[str]:
    return board.run(
        "-c", f"set -euo pipefail; source {JETSON}/board.sh; source {JETSON}/building.sh; {line}"
    )


def test_a_board_of_8_gb_does_not_begin_a_build_that_would_take_its_memory(board: Board) -> None:
    found = call(board, "jobs_that_fit 6000")
    assert found.returncode == 2
    assert "5000 MB are free and one build job takes 6000" in found.stderr
    board.memory(64_000, 60_000)
    assert int(call(board, "jobs_that_fit 30000").stdout) == 1


def test_a_wheel_without_code_for_the_gpu_of_the_board_is_refused(
    board: Board, tmp_path: Path
) -> None:
    board.program("unzip", 'mkdir -p "$4/lib" && touch "$4/lib/lib.so"')
    board.program(
        "cuobjdump", "echo 'ELF file 1: a.1.sm_90.cubin'; echo 'ELF file 2: a.2.sm_120.cubin'"
    )
    refused = call(board, "need_gpu_code a.whl lib/lib.so 87")
    assert refused.returncode == 2
    assert "a.whl holds no code for sm_87: sm_120 sm_90" in refused.stderr
    assert call(board, "need_gpu_code a.whl 'lib/*.so' 90").returncode == 0


def test_a_toolkit_of_another_version_is_refused(board: Board) -> None:
    board.program("nvcc", "echo 'Cuda compilation tools, release 12.8, V12.8.93'")
    found = call(board, "need_cuda 12.6")
    assert found.returncode == 2
    assert "nvcc is of CUDA 12.8; this profile's is 12.6" in found.stderr
