"""The kiosk page in a real Chromium, before a server on fake engines."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from fakes.gateways import running_gateway
from fakes.kiosk_pages import KIOSK, engines, kiosk
from fakes.servers import RunServer
from halfsecond.config import Config, GatewayConfig
from halfsecond.gateway.tokens import Tokens, make_secret
from halfsecond.metrics import METRICS
from halfsecond_bench.chromium import Page, chromium_program, running_chromium
from halfsecond_bench.server_process import running_server

pytestmark = pytest.mark.skipif(
    chromium_program() is None, reason="no chromium: apt-get install chromium"
)

INSTANT = ("halfsecond_bench.instant_server",)


async def colour_of_the_face(page: Page) -> str:
    """Of the middle of the screen."""
    image = cv2.imdecode(np.frombuffer(await page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    blue, green, red = image[image.shape[0] // 4, image.shape[1] // 2].astype(int)
    return (
        "driven" if red > green + 40 else "resting" if green > red + 20 else f"{red, green, blue}"
    )


async def test_a_touched_question_is_answered_in_words_sound_and_pictures(
    run_server: RunServer,
) -> None:
    told = ("halfsecond_av_offset_seconds_count", {"measured": "shown"})
    before = METRICS.registry.get_sample_value(*told) or 0.0
    async with kiosk(run_server) as page:
        assert await page.value("document.title") == "Nova"
        await page.until("kiosk.face.drawn > 0")
        assert await colour_of_the_face(page) == "resting"
        await page.until("document.querySelector('#questions button').click() || true")
        await page.until("document.querySelector('#answer').textContent.includes('at five')")
        assert await page.value("document.querySelector('#question').textContent") == (
            "When do you close?"
        )
        await page.until("kiosk.reported?.values.pictures > 0")
        await page.until("document.body.dataset.phase === 'idle'")
        assert page.console == []
    # Of 0.8 s of speech the page has told four times a second what it showed.
    assert 1 <= (METRICS.registry.get_sample_value(*told) or 0.0) - before <= 8


@pytest.mark.slow
async def test_the_page_finds_its_server_again_without_a_reload(
    run_server: RunServer, tmp_path: Path
) -> None:
    address = f"ipc://{tmp_path}/server.ipc"
    async with (
        running_gateway(KIOSK, address, clock=time.time) as gateway,
        running_chromium() as page,
    ):
        await page.go(f"http://127.0.0.1:{gateway.port}/")
        await page.until("document.querySelector('[data-key=serverAway]')")
        assert "halfsecond serve" in await page.value(
            "document.querySelector('#notices').textContent"
        )
        await page.value("globalThis.isTheSamePage = true")
        for _ in range(2):
            async with run_server(KIOSK, engines()):
                await page.until("document.body.dataset.phase === 'idle'")
                assert await page.value("document.querySelectorAll('.notice').length") == 0
                await page.value("kiosk.ask('When do you close?')")
                await page.until("document.querySelector('#answer').textContent.includes('five')")
                await page.until("document.body.dataset.phase === 'idle'")
            await page.until("document.body.dataset.phase === 'away'")
        assert await page.value("globalThis.isTheSamePage")


@pytest.mark.slow
async def test_the_page_finds_its_gateway_again(run_server: RunServer) -> None:
    async with run_server(KIOSK, engines()) as server, running_chromium() as page:
        async with running_gateway(KIOSK, server.address, clock=time.time) as gateway:
            port = gateway.port
            await page.go(f"http://127.0.0.1:{port}/")
            await page.until("document.body.dataset.phase === 'idle'")
        await page.until("document.querySelector('[data-key=gatewayAway]')")
        again = msgspec.structs.replace(KIOSK, gateway=GatewayConfig(port=port))
        async with running_gateway(again, server.address, clock=time.time, port=port):
            await page.until("document.body.dataset.phase === 'idle'")


@pytest.mark.slow
async def test_without_a_microphone_the_page_says_so_and_can_be_touched(
    run_server: RunServer,
) -> None:
    fake = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
    async with kiosk(run_server, without=fake) as page:
        notice = await page.until("document.querySelector('[data-key^=microphone]')?.textContent")
        assert "microphone" in notice or "hear" in notice
        await page.value("kiosk.ask('When do you close?')")
        await page.until("document.querySelector('#answer').textContent.includes('five')")


@pytest.mark.slow
async def test_a_refused_microphone_is_told_in_the_language_that_was_chosen(
    run_server: RunServer,
) -> None:
    fake = ("--use-fake-ui-for-media-stream",)
    async with kiosk(
        run_server, "--deny-permission-prompts", without=fake, query="?lang=zh"
    ) as page:
        told = await page.until(
            "document.querySelector('[data-key=microphoneRefused]')?.textContent"
        )
        assert "我没有使用麦克风的权限" in told
        assert "浏览器设置" in told
        assert await page.value("document.documentElement.lang") == "zh-Hans"


@pytest.mark.slow
async def test_without_a_token_the_page_says_what_is_missing(
    run_server: RunServer, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    tokens = Tokens(make_secret(secret), clock=time.time)
    config = msgspec.structs.replace(KIOSK, gateway=GatewayConfig(token_secret=str(secret)))
    async with (
        run_server(config, engines()) as server,
        running_gateway(config, server.address, clock=time.time) as gateway,
        running_chromium() as page,
    ):
        url = f"http://127.0.0.1:{gateway.port}/"
        await page.go(url)
        told = await page.until("document.querySelector('[data-key=access]')?.textContent")
        assert "halfsecond token" in told
        token = tokens.issue(name="kiosk", scopes=["talk"], lasts_s=60)
        await page.go(f"{url}?x=1#token={token}")
        await page.until("document.body.dataset.phase === 'idle'")
        assert token not in await page.value("location.href")


@pytest.mark.slow
async def test_a_visitor_who_leaves_takes_the_words_along(run_server: RunServer) -> None:
    quick = msgspec.structs.replace(
        KIOSK, kiosk=msgspec.structs.replace(KIOSK.kiosk, rest_after_s=5)
    )
    async with kiosk(run_server, config=quick) as page:
        session = await page.value("kiosk.session")
        await page.value("kiosk.ask('When do you close?')")
        await page.until("document.querySelector('#answer').textContent.includes('five')")
        await page.until("document.querySelector('#answer').textContent === ''")
        await page.until(f"kiosk.session !== '{session}'")


@pytest.mark.slow
async def test_the_screen_can_be_turned_mirrored_and_used_by_keyboard(
    run_server: RunServer,
) -> None:
    async with kiosk(run_server, query="?rotate=90&mirror=1", size=(540, 960)) as page:
        await page.until("kiosk.face.drawn > 0")
        box = await page.value(
            "(b => [b.width, b.height])(document.querySelector('#screen').getBoundingClientRect())"
        )
        assert box == [540, 960]
        await page.value("document.querySelector('#questions button').focus()")
        for kind in ("keyDown", "keyUp"):
            await page.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter",
                            windowsVirtualKeyCode=13, text="\r")  # fmt: skip
        await page.until("document.querySelector('#answer').textContent.includes('five')")


@pytest.mark.slow
async def test_every_button_has_a_name_and_words_stand_out(run_server: RunServer) -> None:
    async with kiosk(run_server) as page:
        unnamed = await page.value(
            "[...document.querySelectorAll('button, input')].filter(e => !e.hidden && "
            "!(e.textContent.trim() || e.getAttribute('aria-label'))).map(e => e.id)"
        )
        assert unnamed == []
        for role in ("log", "status", "alert"):
            assert await page.value(f"!!document.querySelector('[role={role}][aria-live]')")
        small = await page.value(
            "[...document.querySelectorAll('button')].filter(e => e.offsetParent && "
            "e.getBoundingClientRect().height < 40).map(e => e.textContent)"
        )
        assert small == []


@pytest.mark.slow
async def test_the_end_of_an_answer_is_not_taken_for_a_gap(run_server: RunServer) -> None:
    async with kiosk(run_server) as page:
        for _ in range(3):
            await page.value("kiosk.reported = null; kiosk.ask('When do you close?')")
            await page.until("kiosk.reported !== null")
        # A single clause comes whole: nothing of it can be missing.
        assert await page.value("kiosk.player.buffer.underruns") == 0
        assert await page.value("kiosk.player.buffer.targetS") == pytest.approx(0.04)


@pytest.mark.slow
async def test_opus_is_heard_as_pcm_is(run_server: RunServer) -> None:
    async with kiosk(run_server, query="?sound=opus") as page:
        assert await page.value("kiosk.codec.name") == "opus"
        await page.value("kiosk.ask('When do you close?')")
        await page.until("document.querySelector('#answer').textContent.includes('five')")
        await page.until("kiosk.reported?.values.pictures > 0")
        assert page.console == []


@pytest.mark.slow
async def test_the_smallest_page_of_the_docs_talks(run_server: RunServer) -> None:
    docs = (Path(__file__).parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")
    example = docs.split("```html")[1].split("```")[0]
    body, script = example.split('<script type="module">')
    async with kiosk(run_server) as page:
        script = script.replace("</script>", "").replace("127.0.0.1:8443", "${location.host}")
        script = script.replace(
            '"ws://${location.host}/api/talk"', "`ws://${location.host}/api/talk`"
        )
        await page.value(f"document.body.innerHTML = {json.dumps(body)}; true")
        for name in ("q", "a", "face"):
            script = f"const {name} = document.querySelector('#{name}');\n{script}"
        await page.value(f"(() => {{ {script} globalThis.example = socket; }})(); true")
        await page.until("document.querySelector('#face').naturalWidth === 128")
        await page.value("document.querySelector('#q').onchange(); true")
        await page.until("document.querySelector('#a').textContent.includes('We close at five')")


@pytest.mark.slow
async def test_the_page_finds_a_server_that_was_killed(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/server.ipc"
    toml = '[log]\nformat = "json"\n'
    async with (
        running_gateway(Config(), address, clock=time.time) as gateway,
        running_chromium() as page,
    ):
        for number in range(2):
            async with running_server(toml, program=INSTANT, address=address) as server:
                if not number:
                    await page.go(f"http://127.0.0.1:{gateway.port}/")
                    await page.value("globalThis.isTheSamePage = true")
                await page.until("document.body.dataset.phase === 'idle'")
                await page.value("kiosk.ask('When do you close?')")
                await page.until("document.querySelector('#answer').textContent !== ''")
                os.kill(server.pid, signal.SIGKILL)
            await page.until("document.body.dataset.phase === 'away'")
        assert await page.value("globalThis.isTheSamePage")


@pytest.mark.slow
async def test_webrtc_brings_sound_and_face_and_falls_back_where_it_cannot(
    run_server: RunServer,
) -> None:
    async with kiosk(run_server, query="?transport=webrtc") as page:
        await page.until("kiosk.isRtc && kiosk.face.drawn > 3")
        await page.value("kiosk.ask('When do you close?')")
        await page.until("document.querySelector('#answer').textContent.includes('five')")
        heard = """(async () => {
          for (const [, s] of await kiosk.link.stats()) {
            if (s.type === 'inbound-rtp' && s.kind === 'audio') return s.totalAudioEnergy;
          }
        })()"""
        for _ in range(100):
            if (await page.value(heard) or 0) > 0.001:
                break
            await asyncio.sleep(0.05)
        assert await page.value(heard) > 0.001
    blocked = """globalThis.RTCPeerConnection = class extends RTCPeerConnection {
      constructor(settings) { super({ ...settings, iceTransportPolicy: "relay" }); }
    };"""  # as behind a proxy: no address of either side is of use
    async with kiosk(run_server, query="?transport=webrtc", script=blocked) as page:
        assert not await page.value("kiosk.isRtc")
        assert await page.value("!!document.querySelector('[data-key=fallback]')")
        await page.value("kiosk.ask('When do you close?')")
        await page.until("document.querySelector('#answer').textContent.includes('five')")
