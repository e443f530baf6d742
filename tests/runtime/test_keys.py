"""CURVE keys: who gets in, and what the others are told."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from fakes.engines import FakeEngines, FakeLipSync
from fakes.servers import QUICK
from halfsecond.bus import keys, sockets
from halfsecond.bus.server import Server
from halfsecond.cli.serve import engine_builder
from halfsecond.client import Client
from halfsecond.config import load
from halfsecond.conversation import Visitor
from halfsecond.errors import ConfigError, ServerError
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.easing import Easing
from halfsecond.stages.engines import STAGES
from halfsecond.stages.host import StageHost
from halfsecond.store import Store


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """The server's keys, and `kiosk` as the one client that may connect."""
    keys.create(tmp_path / "keys", client="kiosk")
    return tmp_path / "keys"


@asynccontextmanager
async def guarded(directory: Path) -> AsyncIterator[str]:
    """The address of a server that wants keys."""
    server = Server(
        QUICK, FakeEngines().handles(), Persona(), keys=keys.load_server_keys(directory)
    )
    address = await server.open("tcp://127.0.0.1:*")
    serving = asyncio.create_task(server.serve())
    try:
        yield address
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await server.close()


async def test_a_client_of_the_allow_list_is_answered(directory: Path) -> None:
    own = keys.load_client_keys(directory / "kiosk")
    async with guarded(directory) as address, Client(address, keys=own, timeout_s=5) as client:
        visitor = Visitor(client)
        exchange = await visitor.type("When do you close?")
        await visitor.close()
    assert exchange.reply.text == "We close at five. Come again tomorrow."


async def test_a_client_without_keys_gets_nothing_and_is_told_what_may_be_missing(
    directory: Path,
) -> None:
    async with guarded(directory) as address:
        with pytest.raises(ServerError, match=r"no server answers at tcp://.*give the keys"):
            await Client(address, timeout_s=0.7).open()


async def test_a_client_whose_key_is_not_on_the_list_gets_nothing(directory: Path) -> None:
    own = keys.load_client_keys(keys.create(directory, client="stranger"))
    (directory / "clients" / "stranger.key").unlink()
    async with guarded(directory) as address:
        with pytest.raises(ServerError, match=r"no server answers.*let it admit this key"):
            await Client(address, keys=own, timeout_s=0.7).open()


async def test_a_client_with_the_key_of_another_server_gets_nothing(
    directory: Path, tmp_path: Path
) -> None:
    own = keys.load_client_keys(keys.create(tmp_path / "others", client="kiosk"))
    async with guarded(directory) as address:
        with pytest.raises(ServerError, match="no server answers"):
            await Client(address, keys=own, timeout_s=0.7).open()


async def test_a_refused_client_hears_of_it_from_its_socket(directory: Path) -> None:
    """As docs/wire.md says, for clients that want to tell the two reasons apart."""
    own = keys.load_client_keys(keys.create(directory, client="stranger"))
    (directory / "clients" / "stranger.key").unlink()
    async with guarded(directory) as address:
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            own.apply(socket)
            with socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH) as monitor:
                socket.connect(address)
                is_told = await asyncio.to_thread(monitor.poll, 5000)
                event = recv_monitor_message(monitor) if is_told else {"event": None}
                socket.disable_monitor()
    assert event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH


@pytest.mark.parametrize(
    "address", ["tcp://0.0.0.0:*", "tcp://*:*", "tcp://192.168.1.5:5555", "tcp://[::]:5555"]
)
async def test_an_open_address_without_keys_is_refused(address: str) -> None:
    server = Server(QUICK, FakeEngines().handles(), Persona())
    try:
        with pytest.raises(ConfigError, match="needs keys: run `halfsecond keys`"):
            await server.open(address)
    finally:
        await server.close()


@pytest.mark.parametrize(
    ("address", "is_private"),
    [
        ("ipc:///run/halfsecond/server.ipc", True),
        ("tcp://127.0.0.1:5555", True),
        ("tcp://127.9.9.9:5555", True),
        ("tcp://localhost:5555", True),
        ("tcp://[::1]:5555", True),
        ("tcp://*:5555", False),
        ("tcp://eth0:5555", False),
        ("tcp://10.0.0.7:5555", False),
        ("tcp://127.0.0.1.example.org:5555", False),
        ("tcp://localhost.example.org:5555", False),
    ],
)
def test_only_loopback_and_ipc_are_private(address: str, is_private: bool) -> None:
    assert sockets.is_private(address) is is_private


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_a_stage_on_another_machine_is_reached_with_the_keys_of_the_config(
    directory: Path, tmp_path: Path
) -> None:
    server_keys = keys.load_server_keys(directory)
    host = StageHost(FakeLipSync(), "tcp://127.0.0.1:*", keys=server_keys)
    address = await host.open()
    page = tmp_path / "kiosk.toml"
    elsewhere = "".join(f'{stage} = "ipc://{tmp_path}/none"\n' for stage in STAGES[:-1])
    page.write_text(f'[stages]\n{elsewhere}lipsync = "{address}"\nkeys = "keys/kiosk"\n')
    lipsync = engine_builder(load(page), Store.default(), Easing())().lipsync
    await lipsync.open()
    assert (await lipsync.health()).is_ready
    await lipsync.close()
    await host.close()


def test_secrets_can_be_read_by_their_owner_alone(directory: Path) -> None:
    assert mode_of(directory) == 0o700
    assert mode_of(directory / "kiosk") == 0o700
    assert mode_of(directory / "server.key_secret") == 0o600
    assert mode_of(directory / "kiosk" / "client.key_secret") == 0o600


def test_what_a_client_is_given_holds_no_secret_of_the_server(directory: Path) -> None:
    given = {path.name for path in (directory / "kiosk").iterdir()}
    assert given == {"server.key", "client.key", "client.key_secret"}
    assert "secret-key" not in (directory / "kiosk" / "server.key").read_text()
    assert "secret-key" not in (directory / "clients" / "kiosk.key").read_text()


def test_a_second_client_keeps_the_servers_keys_and_the_first_client(directory: Path) -> None:
    before = keys.load_server_keys(directory)
    own = keys.load_client_keys(keys.create(directory, client="lobby"))
    assert keys.load_server_keys(directory) == before
    assert own.server == before.public
    assert {path.name for path in (directory / "clients").iterdir()} == {"kiosk.key", "lobby.key"}


def test_a_client_that_exists_is_not_overwritten(directory: Path) -> None:
    before = keys.load_client_keys(directory / "kiosk")
    with pytest.raises(ConfigError, match="kiosk exists already"):
        keys.create(directory, client="kiosk")
    assert keys.load_client_keys(directory / "kiosk") == before


@pytest.mark.parametrize("name", ["../kiosk2", "clients", "", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(directory: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="is no name for a client"):
        keys.create(directory, client=name)


def test_missing_keys_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no key at .*server.key_secret.*`halfsecond keys`"):
        keys.load_server_keys(tmp_path)
    with pytest.raises(ConfigError, match=r"no key at .*client.key_secret.*`halfsecond keys`"):
        keys.load_client_keys(tmp_path)


def test_a_public_key_in_the_place_of_a_secret_one_is_told(directory: Path) -> None:
    secret = directory / "kiosk" / "client.key_secret"
    secret.write_bytes((directory / "kiosk" / "client.key").read_bytes())
    with pytest.raises(ConfigError, match="holds no secret key"):
        keys.load_client_keys(directory / "kiosk")
