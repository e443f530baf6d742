"""Several faces on one server: each session gets the one it asks for, where it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes.avatars import install
from fakes.engines import FakeEngines
from fakes.servers import QUICK
from halfsecond.bus.server import Server
from halfsecond.client import Client
from halfsecond.config import FaceConfig
from halfsecond.models.lipsync.avatar_file import (
    avatars_folder,
    installed_avatars,
)
from halfsecond.models.llm.persona import Persona
from halfsecond.stages import openers
from halfsecond.stages.lipsync import LipSyncRequest, LipSyncStage, Picture
from halfsecond.stages.local import LocalStage
from halfsecond.stages.stage import Cancel
from halfsecond.wire import Hello

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, model_dir: Callable[[str], Path]) -> Path:
    """A store with two faces, which are told apart by their size."""
    folder = tmp_path_factory.mktemp("store")
    install(folder, "nova", 256, model_dir("face"))
    install(folder, "iris", 320, model_dir("face"))
    return folder


@pytest.fixture
def stage(home: Path, model_dir: Callable[[str], Path]) -> LipSyncStage:
    config = FaceConfig(avatar="nova")
    opened = LipSyncStage(
        partial(openers.open_drivers, config, model_dir("face"), home=home),
        jpeg_quality=85,
        label="two faces",
    )
    opened.open()
    return opened


def opened(stage: LipSyncStage, session: str, avatar: str = "") -> Picture:
    (picture,) = stage.run(LipSyncRequest(session, "open", avatar=avatar), Cancel())
    return picture


def test_the_faces_of_a_store_are_known_by_name(home: Path) -> None:
    assert installed_avatars(home) == ["iris", "nova"]


def test_each_session_gets_the_face_it_asks_for(stage: LipSyncStage) -> None:
    own, other = opened(stage, "a"), opened(stage, "b", "iris")
    assert (own.avatar, own.width) == ("nova", 256)
    assert (other.avatar, other.width) == ("iris", 320)
    (again,) = stage.run(LipSyncRequest("b", "idle"), Cancel())
    image = cv2.imdecode(np.frombuffer(again.data, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (320, 320, 3)


@pytest.mark.parametrize("wish", ["nobody", "../nova", "/etc", "", "x" * 5000])
def test_a_wish_that_cannot_be_granted_shows_the_servers_own_face(
    stage: LipSyncStage, wish: str
) -> None:
    assert opened(stage, "a", wish).avatar == "nova"


def test_a_face_whose_files_changed_is_not_shown(
    stage: LipSyncStage, home: Path, model_dir: Callable[[str], Path]
) -> None:
    install(home, "torn", 256, model_dir("face"))
    (avatars_folder(home) / "torn" / "face.npz").write_bytes(b"not arrays")
    assert opened(stage, "a", "torn").avatar == "nova"


def test_a_face_that_a_restart_has_lost_is_made_again_as_the_session_wanted_it(
    stage: LipSyncStage,
) -> None:
    (shown,) = stage.run(LipSyncRequest("of before", "idle", avatar="iris"), Cancel())
    assert shown.width == 320


def test_sessions_of_one_face_share_what_is_drawn_from(stage: LipSyncStage) -> None:
    opened(stage, "a", "iris")
    opened(stage, "b", "iris")
    one, other = (stage._drivers[name]._compositor.avatar for name in "ab")  # type: ignore[attr-defined]
    assert one is other


async def test_the_welcome_says_which_face_it_is_and_how_large(
    stage: LipSyncStage, tmp_path: Path
) -> None:
    engines = replace(FakeEngines().handles(), lipsync=LocalStage(stage))
    server = Server(QUICK, engines, Persona())
    address = await server.open(f"ipc://{tmp_path}/server.ipc")
    serving = asyncio.create_task(server.serve())
    try:
        for wish, expected in (("iris", ("iris", 320)), (None, ("nova", 256))):
            async with Client(address, hello=Hello(avatar=wish)) as client:
                welcome = client.welcome
                assert welcome is not None
                assert (welcome.avatar, welcome.width) == expected
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        await server.close()
