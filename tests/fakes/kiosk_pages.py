"""The kiosk page in a real Chromium, before a server on fake engines."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from fakes.engines import FakeEngines, FakeLipSync
from fakes.gateways import running_gateway
from fakes.servers import QUICK, RunServer
from halfsecond.config import Config, KioskConfig, PhrasesConfig, PresetQuestion
from halfsecond.stages.lipsync import LipSyncRequest, Picture
from halfsecond.stages.stage import Cancel
from halfsecond_bench.chromium import Page, running_chromium

KIOSK = msgspec.structs.replace(
    QUICK,
    kiosk=KioskConfig(title="Nova", languages=("en", "zh"), rest_after_s=60),
    face=msgspec.structs.replace(QUICK.face, idle_fps=10),
    phrases=PhrasesConfig(
        presets=(PresetQuestion(question="When do you close?", answer="We close at five."),)
    ),
)
SIDE = 128
RESTING_BGR, DRIVEN_BGR = (60, 120, 60), (60, 60, 200)


def jpeg(image_bgr: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".jpg", image_bgr)[1].tobytes())


def plain(colour_bgr: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.full((SIDE, SIDE, 3), colour_bgr, np.uint8)


AT_ONCE = "--force-prefers-reduced-motion"
"""Colours change without a transition, in which a picture of the screen would show neither."""


class ColouredFace(FakeLipSync):
    """Green at rest, red while it speaks."""

    def run(self, request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        for picture in super().run(request, cancel):
            colour = DRIVEN_BGR if picture.is_driven else RESTING_BGR
            is_raw = request.format == "rgb"
            data = bytes(colour[::-1]) * SIDE**2 if is_raw else jpeg(plain(colour))
            yield replace(picture, data=data, format=request.format, width=SIDE, height=SIDE)


def engines(face: FakeLipSync | None = None) -> FakeEngines:
    made = FakeEngines()
    made.lipsync = face or ColouredFace()
    return made


@asynccontextmanager
async def kiosk(
    run_server: RunServer,
    *flags: str,
    config: Config = KIOSK,
    query: str = "",
    script: str = "",
    face: FakeLipSync | None = None,
    **browser: object,
) -> AsyncIterator[Page]:
    """The page, at rest. `script` runs before its own."""
    async with (
        run_server(config, engines(face)) as server,
        running_gateway(config, server.address, clock=time.time) as gateway,
        running_chromium(AT_ONCE, *flags, **browser) as page,  # type: ignore[arg-type]
    ):
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=script)
        await page.go(f"http://127.0.0.1:{gateway.port}/{query}")
        await page.until("document.body.dataset.phase === 'idle'")
        yield page
