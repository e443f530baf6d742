"""Real photos, looked at by real workers; and what is left of them afterwards: nothing."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import upload_server
from fakes.gateways import running_gateway
from fakes.killable import Kept, is_running, killable_server, mirrored, until
from fakes.peers import plain_peer
from fakes.portraits import BAD, FACES, RENDERED_BAD
from fakes.uploads import png, upload
from halfsecond.bus.server import Server
from halfsecond.errors import PortraitError
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.picture import BACKDROP, decode_picture
from halfsecond.models.face.portrait import frame_portrait
from halfsecond.models.llm.persona import Persona
from halfsecond.uploads.job import Job, Made
from halfsecond.uploads.making import UPLOAD_NAME, make

pytestmark = pytest.mark.models

ModelDir = Callable[[str], Path]
OF_THE_FILE = {"wrong_kind", "cut_off", "bad_picture"}
"""Reasons that are seen before any face is looked for, and said without the file's name."""


@pytest.fixture(scope="module")
def face_models(model_dir: ModelDir) -> Path:
    return model_dir("face")


@pytest.fixture(scope="module")
def finder(face_models: Path) -> FaceFinder:
    return FaceFinder(face_models / "face_detector.onnx", face_models / "face_landmarks.onnx")


def made_of(data: bytes, face_models: Path, **settings: Any) -> Made:
    return make(Job(kind="portrait", data=data, models={"face": str(face_models)}, **settings))


def pixels(jpeg: bytes) -> NDArray[np.float32]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.float32)


# What is taken and what is not.


def test_a_photo_is_refused_with_the_words_of_export_avatar(
    finder: FaceFinder, face_models: Path
) -> None:
    reasons = set()
    pictures = {name: picture(finder) for name, (picture, _) in BAD.items()}
    pictures |= {name: (FACES / "bad" / f"{name}.jpg").read_bytes() for name in RENDERED_BAD}
    for name, data in pictures.items():
        with pytest.raises(PortraitError) as expected:
            frame_portrait(decode_picture(data, UPLOAD_NAME).on(BACKDROP), finder)
        made = made_of(data, face_models)
        assert (made.product, made.reason) == (b"", expected.value.reason), name
        if made.reason not in OF_THE_FILE:
            assert made.message == str(expected.value), name
        reasons.add(made.reason)
    assert len(reasons - OF_THE_FILE) >= 6, reasons


def test_a_photo_of_more_pixels_than_are_taken_is_never_decoded(
    face_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    made = made_of(png(9000, 9000), face_models, most_megapixels=50)
    assert made.reason == "too_large"
    assert "9000 x 9000" in made.message


@asynccontextmanager
async def serving(folder: Path, face_models: Path) -> AsyncIterator[str]:
    """The address of a server with the real face, on this loop."""
    server = Server(
        upload_server.TAKING,
        upload_server.real_face(face_models),
        Persona(),
        workshop=upload_server.real_workshop(face_models),
    )
    address = await server.open(f"ipc://{folder}/server.ipc")
    running = asyncio.create_task(server.serve())
    try:
        yield address
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await server.close()


async def answer_of(peer: Any) -> list[NDArray[np.float32]]:
    """The driven pictures of an answer."""
    await peer.send("text", text="When do you close?")
    pictures = []
    while (message := await peer.receive("video", "turn_end"))["type"] == "video":
        await peer.send("credit", frames=1)
        if message["is_driven"]:
            pictures.append(pixels(message["payload"]))
    while len(pictures) < 5 and (message := await peer.receive("video"))["is_driven"]:
        pictures.append(pixels(message["payload"]))
    return pictures


async def test_the_face_that_speaks_is_the_visitors_and_the_neighbour_keeps_the_house_s(
    tmp_path: Path, face_models: Path
) -> None:
    async with (
        serving(tmp_path, face_models) as address,
        plain_peer(address) as peer,
        plain_peer(address) as other,
    ):
        await peer.hello()
        house = np.mean(await answer_of(peer), axis=0)
        answer = await upload(peer, mirrored())
        assert answer["is_taken"], answer
        assert "the mouth is open" in answer["message"]
        mine = await answer_of(peer)
        await other.hello()
        theirs = np.mean(await answer_of(other), axis=0)
        turned = np.mean(mine, axis=0)[:, ::-1]
        assert np.abs(theirs - house).mean() < 3.0
        assert np.abs(turned - house).mean() < 6.0  # the same face, mirrored
        assert np.abs(turned[:, ::-1] - house).mean() > 20.0
        mouths = np.stack(mine)[:, 150:210, 90:170]
        assert np.abs(np.diff(mouths, axis=0)).mean() > 0.5  # it speaks


# What is left of it.


@pytest.mark.parametrize("how", ["a file", "a name", "a deleted file that is open"])
def test_the_search_finds_what_was_left(tmp_path: Path, how: str) -> None:
    """Seeds the fault that the tests below guard against."""
    kept = Kept(tmp_path)
    assert kept.found(os.getpid()) == []
    path = Path(tempfile.mkdtemp(prefix="leak-"), kept.secret.decode() if how == "a name" else "x")
    path.write_bytes(b"" if how == "a name" else b"xx" + kept.photo)
    with path.open("rb"):
        if how.startswith("a deleted"):
            path.unlink()
        found = kept.found(os.getpid())
    path.unlink(missing_ok=True)
    path.parent.rmdir()
    assert found


async def test_after_the_session_nothing_of_a_photo_is_left(
    tmp_path: Path, face_models: Path
) -> None:
    kept = Kept(tmp_path)
    async with serving(tmp_path, face_models) as address:
        async with plain_peer(address) as peer:
            await peer.hello()
            assert (await upload(peer, kept.photo))["is_taken"]
            assert kept.found(os.getpid()) == []  # nor while it goes on
            await peer.send("bye")
        assert kept.found(os.getpid()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
async def test_after_a_kill_in_the_middle_of_it_nothing_of_a_photo_is_left(
    tmp_path: Path, face_models: Path
) -> None:
    kept = Kept(tmp_path)
    async with killable_server(tmp_path, face_models) as server, plain_peer(server.address) as peer:
        await peer.hello()
        assert (await upload(peer, kept.photo))["is_taken"]
        assert kept.found(server.process.pid) == []
        await peer.send("upload", kept.photo, kind="portrait", size=len(kept.photo))
        await until(server.workers)
        workers = server.workers()
        assert kept.found(server.process.pid, *workers) == []
        await server.kill()
        await until(lambda: not any(map(is_running, workers)))
        assert kept.found() == []


async def test_a_posted_photo_leaves_nothing_in_the_gateway_either(
    tmp_path: Path, face_models: Path
) -> None:
    kept = Kept(tmp_path)
    async with (
        serving(tmp_path, face_models) as address,
        running_gateway(upload_server.TAKING, address, clock=time.time) as gateway,
        gateway.browser() as browser,
    ):
        ticket = browser.of("welcome")[-1]["upload"]
        answered = await gateway.request(
            "POST", "/api/upload/portrait", body=kept.photo, headers={"Upload-Ticket": ticket}
        )
        assert answered.status == 200, answered
        assert kept.found(os.getpid()) == []
    assert kept.found(os.getpid()) == []
