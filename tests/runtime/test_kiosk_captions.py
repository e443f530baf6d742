"""Captions on every shape of screen: two lines of the newest words, and none over the mouth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.engines import FakeLipSync
from fakes.kiosk_pages import AT_ONCE, KIOSK, jpeg, kiosk
from fakes.servers import RunServer
from halfsecond.config import PhrasesConfig, PresetQuestion
from halfsecond.stages.lipsync import LipSyncRequest, Picture
from halfsecond.stages.stage import Cancel
from halfsecond_bench.chromium import Page, chromium_program

pytestmark = pytest.mark.skipif(
    chromium_program() is None, reason="no chromium: apt-get install chromium"
)

SCREENS = [(1280, 800), (1920, 1080), (1080, 1920), (800, 480), (600, 1024)]
QUESTION = "What is there to see on the second floor when I only have half an hour before I leave?"
ANSWER = (
    "The second floor has the moon rock, the suits of three astronauts, the control room of the "
    "first landing, a model of the station that you can walk through, and the telescope, which "
    "opens at four in the afternoon when the sky is clear enough to see anything through it."
)
FREE = 0.95
"""Of the mouth's box; its edges are soft."""
SKY_BGR, LIPS_BGR = (90, 60, 20), (0, 0, 255)
# Where a framed portrait of 512 × 512 has its mouth: eyes at 0.42 of the height, 0.235 of the
# shorter side apart, the lips 0.6 to 0.95 of that below them.
MOUTH = (slice(288, 329), slice(220, 292))


class FramedFace(FakeLipSync):
    """A blue picture with a red mouth, where portraits are framed to have it."""

    def run(self, request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        image = np.full((512, 512, 3), SKY_BGR, np.uint8)
        image[MOUTH] = LIPS_BGR
        for picture in super().run(request, cancel):
            is_raw = request.format == "rgb"
            data = np.ascontiguousarray(image[..., ::-1]).tobytes() if is_raw else jpeg(image)
            yield replace(picture, data=data, format=request.format, width=512, height=512)


def mouth_seen(screen_png: bytes) -> float:
    """Part of the red box that nothing covers; the box as its own edges tell it."""
    image = cv2.imdecode(np.frombuffer(screen_png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    blue, green, red = (image[..., channel].astype(int) for channel in range(3))
    is_red: NDArray[np.bool_] = (red > 60) & (red > 3 * np.maximum(blue, green))
    rows, columns = np.nonzero(is_red)
    assert len(rows) > 100, "no mouth on the screen"
    box_height, box_width = np.ptp(rows) + 1, np.ptp(columns) + 1
    # Words over an edge would make the box smaller: its shape is known.
    drawn_height = box_width * (329 - 288) / (292 - 220)
    return float(is_red.sum() / (box_width * max(box_height, drawn_height)))


async def ask(page: Page) -> None:
    await page.value(f"kiosk.ask({QUESTION!r})")
    await page.until("document.querySelector('#answer').textContent.includes('through it')")


@pytest.mark.parametrize("size", SCREENS, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.slow
async def test_no_word_covers_the_mouth(run_server: RunServer, size: tuple[int, int]) -> None:
    presets = tuple(
        PresetQuestion(question=question, answer=ANSWER)
        for question in (QUESTION, "When do you close?", "Where are the restrooms?")
    )
    config = msgspec.structs.replace(KIOSK, phrases=PhrasesConfig(presets=presets))
    async with kiosk(run_server, AT_ONCE, config=config, face=FramedFace(), size=size) as page:
        await page.until("kiosk.face.drawn > 0")
        assert mouth_seen(await page.screenshot()) > FREE, "at rest"
        await ask(page)
        assert mouth_seen(await page.screenshot()) > FREE, "while it speaks"
        await page.until("document.body.dataset.phase === 'idle'")
        await page.until("document.querySelector('#questions').offsetParent")
        assert mouth_seen(await page.screenshot()) > FREE, "after the answer"


@pytest.mark.slow
async def test_a_face_that_stayed_where_it_is_would_be_seen_covered(run_server: RunServer) -> None:
    presets = (PresetQuestion(question=QUESTION, answer=ANSWER),)
    config = msgspec.structs.replace(KIOSK, phrases=PhrasesConfig(presets=presets))
    async with kiosk(
        run_server, AT_ONCE, config=config, face=FramedFace(), size=(800, 480)
    ) as page:
        await page.value("document.styleSheets[0].insertRule('#face { translate: 0 !important }')")
        await ask(page)
        assert mouth_seen(await page.screenshot()) < FREE


async def test_the_newest_two_lines_are_shown_and_all_words_are_kept(
    run_server: RunServer,
) -> None:
    presets = (PresetQuestion(question=QUESTION, answer=ANSWER),)
    config = msgspec.structs.replace(KIOSK, phrases=PhrasesConfig(presets=presets))
    async with kiosk(run_server, AT_ONCE, config=config, size=(1280, 800)) as page:
        await ask(page)
        text = await page.value("document.querySelector('#answer').textContent.trim()")
        assert text == ANSWER
        lines, below, hidden = await page.value("""(() => {
            const answer = document.querySelector('#answer');
            const line = parseFloat(getComputedStyle(answer).lineHeight);
            const end = answer.scrollHeight - answer.clientHeight - answer.scrollTop;
            return [answer.clientHeight / line, end, answer.scrollTop];
        })()""")
        assert lines == pytest.approx(2, abs=0.1)
        assert below < 2
        assert hidden > 0
