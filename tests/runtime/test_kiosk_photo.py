"""A visitor makes their photo the face, in a real Chromium: asked first, told what is wrong."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from fakes.engines import FakeEngines
from fakes.gateways import running_gateway
from fakes.servers import QUICK, RunServer
from fakes.uploads import fake_workshop
from halfsecond.config import KioskConfig, UploadsConfig
from halfsecond_bench.chromium import Page, chromium_program, running_chromium

pytestmark = [
    pytest.mark.skipif(chromium_program() is None, reason="no chromium: apt-get install chromium"),
    pytest.mark.slow,
]

TAKING = msgspec.structs.replace(
    QUICK,
    kiosk=KioskConfig(languages=("en", "zh"), takes_photos=True, rest_after_s=60),
    uploads=UploadsConfig(takes_portraits=True),
)


@asynccontextmanager
async def kiosk(
    run_server: RunServer, *, query: str = "", takes_photos: bool = True
) -> AsyncIterator[tuple[Page, FakeEngines]]:
    config = msgspec.structs.replace(
        TAKING, kiosk=msgspec.structs.replace(TAKING.kiosk, takes_photos=takes_photos)
    )
    async with (
        run_server(config, workshop=fake_workshop()) as server,
        running_gateway(config, server.address, clock=time.time) as gateway,
        running_chromium() as page,
    ):
        await page.go(f"http://127.0.0.1:{gateway.port}/{query}")
        await page.until("document.body.dataset.phase === 'idle'")
        yield page, server.engines


async def choose(page: Page, photo: Path) -> None:
    found = await page.call("Runtime.evaluate", expression="document.querySelector('#photo-file')")
    await page.call(
        "DOM.setFileInputFiles", files=[str(photo)], objectId=found["result"]["objectId"]
    )


async def test_a_photo_is_sent_once_the_visitor_has_agreed_and_goes_with_them(
    run_server: RunServer, tmp_path: Path
) -> None:
    photo = tmp_path / "me.jpg"
    photo.write_bytes(b"my photo")
    async with kiosk(run_server) as (page, engines):
        await page.value("document.querySelector('#photo').click()")
        assert await page.value("document.querySelector('#photo-file').disabled")
        told = await page.value("document.querySelector('#photo-panel').textContent")
        assert "saved nowhere" in told
        await page.value("document.querySelector('#photo-agree').click()")
        assert not await page.value("document.querySelector('#photo-file').disabled")
        await choose(page, photo)
        await page.until("document.querySelector('#photo').getAttribute('aria-pressed') === 'true'")
        assert list(engines.lipsync.worn.values()) == [b"made of my photo"]
        assert await page.value("document.querySelector('#photo-panel').hidden")
        assert await page.value("document.querySelectorAll('.notice').length") == 0
        session = await page.value("kiosk.session")
        await page.value("document.querySelector('#photo').click()")
        await page.until(f"kiosk.session !== '{session}'")
        await page.until(
            "document.querySelector('#photo').getAttribute('aria-pressed') === 'false'"
        )
        assert engines.lipsync.worn == {}
        assert page.console == []


async def test_what_is_wrong_with_a_photo_is_told_in_the_visitors_language(
    run_server: RunServer, tmp_path: Path
) -> None:
    photo = tmp_path / "wall.jpg"
    photo.write_bytes(b"bad photo")
    async with kiosk(run_server, query="?lang=zh") as (page, engines):
        await page.value("document.querySelector('#photo').click()")
        await page.value("document.querySelector('#photo-agree').click()")
        await choose(page, photo)
        told = await page.until("document.querySelector('[data-key=photo_no_face]')?.textContent")
        assert "照片里没有看到脸" in told
        assert engines.lipsync.worn == {}


async def test_the_button_is_not_there_unless_the_operator_wants_it(
    run_server: RunServer,
) -> None:
    async with kiosk(run_server, takes_photos=False) as (page, _):
        assert await page.value("document.querySelector('#photo').offsetParent === null")
        assert await page.value("document.querySelector('#photo-panel').offsetParent === null")


async def test_every_reason_of_a_photo_is_said_in_both_languages(run_server: RunServer) -> None:
    async with kiosk(run_server) as (page, _):
        missing = await page.value(
            "import('./messages.js').then(({ MESSAGES: { en, zh } }) => "
            "Object.keys(en).filter(key => !(key in zh)))"
        )
        assert missing == []
