"""The images and the compose files: what would be installed and started, seen without a daemon."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement

from halfsecond.cli import main
from halfsecond.config import load
from halfsecond.gateway.running import certificate_key

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CHECKOUT = Path(__file__).parents[2]
DOCKER = CHECKOUT / "jetson" / "docker"
PYTHONS = {"cpu": "3.11", "cuda": "3.12", "jp6": "3.10", "jp72": "3.12"}
BUILT_ELSEWHERE = {
    "cpu": set[str](),
    "cuda": {"onnxruntime"},
    "jp6": {"onnxruntime", "ctranslate2"},
    "jp72": {"onnxruntime", "ctranslate2"},
}
"""What an image takes from another place than the lock."""
COMPOSED = {"compose.yaml": {"fetch", "locks", "server"}, "compose.video-node.yaml": {"lipsync"}}


def image(name: str) -> str:
    return (DOCKER / f"{name}.Dockerfile").read_text(encoding="utf-8")


def compose(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DOCKER / name).read_text(encoding="utf-8"))
    return read


def installed_versions(name: str) -> dict[str, str]:
    """What an image installs by hash: its lock through the filter that stands in its RUN."""
    (lock,) = re.findall(r"^COPY (locks/\S+) /tmp/lock\.txt$", image(name), re.M)
    text = (CHECKOUT / lock).read_text(encoding="utf-8")
    if found := re.search(r"awk '([^']+)' /tmp/lock\.txt", image(name)):
        text = subprocess.run(
            ["awk", found[1]], input=text, capture_output=True, text=True, check=True
        ).stdout
    lines = [Requirement(line.rstrip("\\ ")) for line in text.splitlines() if line[:1].isalnum()]
    where = {"python_version": PYTHONS[name], "python_full_version": f"{PYTHONS[name]}.0"}
    board = {"platform_machine": "aarch64", "sys_platform": "linux", **where}
    return {
        line.name: str(line.specifier).removeprefix("==")
        for line in lines
        if line.marker is None or line.marker.evaluate(board)
    }


def extra(name: str) -> list[Requirement]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [Requirement(line) for line in project["optional-dependencies"][name]]


@pytest.mark.parametrize("name", PYTHONS)
def test_an_image_has_every_package_of_the_gateway_by_its_hash(name: str) -> None:
    lock = f"locks/py{PYTHONS[name].replace('.', '')}-gateway.txt"
    assert f"COPY {lock} /tmp/lock.txt" in image(name)
    assert re.search(r"pip install [^\n]*--require-hashes --no-deps -r /tmp/\w+\.txt", image(name))
    versions = installed_versions(name)
    wanted = [r for r in extra("gateway") if r.marker is None or r.marker.evaluate()]
    assert len(wanted) >= 5
    for requirement in wanted:
        assert versions[requirement.name] in requirement.specifier, requirement
    assert set(BUILT_ELSEWHERE[name]).isdisjoint(versions)


@pytest.mark.parametrize("name", PYTHONS)
def test_the_python_of_an_image_is_that_of_its_lock(name: str) -> None:
    python = PYTHONS[name]
    assert f"FROM python:{python}-" in image(name) or f"python{python}-venv" in image(name)


def test_an_image_without_the_gateway_is_not_built() -> None:
    """What its RUN imports cannot be imported where a package of the extra is missing."""
    gates = {re.search(r"^RUN python -c '(import [\w., ]+)'$", image(n), re.M) for n in PYTHONS}
    (gate,) = {found and found[1] for found in gates}
    for missing in ("", "uvicorn", "starlette", "aiortc", "jwt"):
        hide = f"import sys; sys.modules[{missing!r}] = None; " if missing else ""
        tried = subprocess.run(
            [sys.executable, "-c", f"{hide}{gate}"], capture_output=True, check=False
        )
        assert (tried.returncode == 0) is (missing == ""), missing


@pytest.mark.parametrize("name", COMPOSED)
def test_every_service_starts_a_command_that_there_is(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    services = compose(name)["services"]
    assert set(services) == COMPOSED[name]
    for service in services.values():
        # Help is shown once all options before it were understood.
        command = service["command"]
        monkeypatch.setattr(sys, "argv", ["halfsecond", *command, "--help"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, (command, capsys.readouterr().err)


@pytest.mark.parametrize("name", COMPOSED)
def test_a_service_can_do_no_more_than_it_must(name: str) -> None:
    for service in compose(name)["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_box_opens_the_page_and_nothing_to_others() -> None:
    read = compose("compose.yaml")
    server = read["services"]["server"]
    assert {"serve", "--gateway"} <= set(server["command"])
    assert server["network_mode"] == "host"  # else its loopback is nobody's
    config = load(DOCKER / "box.toml")
    assert config.gateway.is_private
    assert config.server.bind.startswith("ipc:///run/halfsecond/")
    # Nobody would see a wish that is a file; `serve --gateway` starts its server again by itself.
    assert config.gateway.restart_command == ()
    mounted = {line.split(":")[0]: line.split(":")[1:] for line in server["volumes"][:-1]}
    assert set(mounted) == set(read["volumes"])
    assert mounted["locks"] == ["/etc/halfsecond/locks", "ro"]
    for name in PYTHONS:
        (volumes,) = re.findall(r"^VOLUME \[(.*)\]$", image(name), re.M)
        assert {f'"{target[0]}"' for target in mounted.values()} == set(volumes.split(", "))
        assert "install -d -o 970 -g 970 -m 700 /etc/halfsecond/locks" in image(name)


def test_the_box_that_others_can_reach_has_its_locks_in_the_volume(tmp_path: Path) -> None:
    lines = (DOCKER / "box.toml").read_text(encoding="utf-8")
    path = tmp_path / "box.toml"
    path.write_text(re.sub(r"(?m)^# (\w+ = )", r"\1", lines), encoding="utf-8")
    gateway = load(path).gateway
    assert not gateway.is_private
    for file in (gateway.certificate, certificate_key(gateway), gateway.token_secret):
        assert file.startswith("/etc/halfsecond/locks/")
    (mounted,) = compose("compose.yaml")["services"]["locks"]["volumes"]
    assert mounted == "locks:/etc/halfsecond/locks"


@pytest.mark.parametrize("name", COMPOSED)
def test_compose_has_nothing_to_say_of_the_files(name: str) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], check=False).returncode:
        pytest.skip("no docker compose here: apt install docker-compose-v2")
    named = {"HALFSECOND_CONFIG": "/config.toml", "HALFSECOND_KEYS": "/keys", "PATH": "/usr/bin"}
    found = subprocess.run(
        [docker, "compose", "--file", str(DOCKER / name), "config", "--quiet"],
        env=named,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
