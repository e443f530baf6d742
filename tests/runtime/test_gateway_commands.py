"""`halfsecond gateway`, `token`, `certificate` and `serve --gateway` as a user types them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from halfsecond.cli import gateway as commands
from halfsecond.cli.gateway_process import GatewayProcess
from halfsecond.config import Config, GatewayConfig
from halfsecond.errors import ConfigError
from halfsecond.gateway.tokens import Tokens, load_secret

SERVER = """
import asyncio, sys
from pathlib import Path
from halfsecond.cli.gateway_process import GatewayProcess
from halfsecond.cli.serve import run_server
from halfsecond.config import load
from halfsecond_bench.instant_engines import instant_engines
path = Path(sys.argv[1])
again = run_server(load(path), sys.argv[2], instant_engines, beside=GatewayProcess(path))
sys.exit(7 if asyncio.run(again) else 0)
"""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "halfsecond", *arguments],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def fetched(url: str, *, ca: Path | None = None, token: str = "") -> tuple[int, dict[str, object]]:
    """(status, JSON) of what is there; status 0 where nobody answers."""
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except (urllib.error.URLError, OSError):
        return 0, {}


def until(condition: Callable[[], bool], *, limit_s: float = 30.0) -> None:
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.05)


def test_an_open_address_without_locks_is_refused_before_anything_starts() -> None:
    result = run("gateway", "--host", "0.0.0.0")
    assert result.returncode == 2
    assert "needs TLS: run `halfsecond certificate" in result.stderr
    assert "Traceback" not in result.stderr
    with pytest.raises(ConfigError, match="needs TLS"):
        GatewayProcess.check(Config(gateway=GatewayConfig(host="0.0.0.0")))


def test_a_token_of_the_command_opens_what_it_is_for(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    made = run("token", "--secret", str(secret), "--scope", "talk", "--scope", "operate",
               "--name", "lobby", "--days", "1")  # fmt: skip
    bearer = Tokens(load_secret(secret), clock=time.time).read(made.stdout.strip())
    assert bearer.name == "lobby"
    assert sorted(bearer.scopes) == ["operate", "talk"]
    assert bearer.expires_s == pytest.approx(time.time() + 86_400, abs=60)


@pytest.mark.parametrize(
    ("scope", "days", "message"),
    [("rule", 1.0, "talk, upload, operate"), ("talk", 0.0, "more than 0"), ("talk", 1e9, "3660")],
)
def test_a_token_that_cannot_be_made_leaves_no_secret_behind(
    tmp_path: Path, scope: str, days: float, message: str
) -> None:
    secret = tmp_path / "secret"
    with pytest.raises(ConfigError, match=message):
        commands.token(secret=secret, scope=[scope], days=days)
    assert not secret.exists()


def test_a_token_needs_to_know_its_secret() -> None:
    with pytest.raises(ConfigError, match=r"--secret FILE, or gateway\.token_secret"):
        commands.token()


@contextlib.contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_with_its_locks_it_serves_over_tls_and_asks_for_a_token(tmp_path: Path) -> None:
    port = free_port()
    run("certificate", str(tmp_path / "tls"), "--name", "localhost")
    token = run("token", "--secret", str(tmp_path / "secret")).stdout.strip()
    config = tmp_path / "kiosk.toml"
    config.write_text(
        f'[gateway]\nhost = "0.0.0.0"\nport = {port}\ncertificate = "tls/server.crt"\n'
        'token_secret = "secret"\nnames = ["localhost"]\n'
    )
    ca = tmp_path / "tls" / "ca.crt"
    with started("-m", "halfsecond", "gateway", "--config", str(config)):
        url = f"https://localhost:{port}/api/"
        until(lambda: fetched(url + "health", ca=ca)[0] == 503)
        assert fetched(url + "info", ca=ca)[0] == 401
        assert fetched(url + "info", ca=ca, token=token)[0] == 200
        assert fetched(f"http://localhost:{port}/api/info", token=token)[0] == 0
        assert fetched(f"https://127.0.0.1:{port}/api/info", ca=ca, token=token)[0] == 0


def children(pid: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(status.read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(status.parent.name))
    return found


@pytest.mark.slow
def test_the_gateway_of_a_server_lives_and_dies_with_it(tmp_path: Path) -> None:
    port = free_port()
    config = tmp_path / "kiosk.toml"
    config.write_text(f"[gateway]\nport = {port}\n")
    url = f"http://127.0.0.1:{port}/api/"
    arguments = ("-c", SERVER, str(config), f"ipc://{tmp_path}/server.ipc")

    def is_serving() -> bool:
        return fetched(url + "health")[0] == 200

    def is_gone() -> bool:
        return fetched(url + "health")[0] == 0

    with started(*arguments) as server:
        until(is_serving)
        assert fetched(url + "operator")[1]["can_restart"]
        (gateway,) = children(server.pid)
        os.kill(gateway, signal.SIGKILL)  # it is started again
        until(lambda: is_serving() and children(server.pid) not in ([], [gateway]))
        request = urllib.request.Request(url + "operator/restart", method="POST")
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.status == 202
        assert server.wait(20) == 7  # where `halfsecond serve` would start anew
        until(is_gone)
    with started(*arguments) as server:
        until(is_serving)
        server.kill()  # leaves no gateway behind that keeps the port
        until(is_gone)
