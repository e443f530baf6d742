"""A visitor at the kiosk, all of it real: Chromium hears a recorded question as its microphone, and
what its loudspeaker plays is heard by Whisper."""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.gateways import running_gateway
from halfsecond import audio
from halfsecond.config import Config
from halfsecond.models.asr.whisper import Whisper
from halfsecond_bench.chromium import Page, chromium_program, running_chromium
from halfsecond_bench.server_process import running_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.models,
    pytest.mark.skipif(chromium_program() is None, reason="no chromium: apt-get install chromium"),
]

ModelDir = Callable[[str], Path]

RATE_HZ = 16_000
LEAD_S = 8.0
LONG_ANSWER = (
    "The museum closes at five. Before that, there is a lot to see. On the ground floor you find "
    "the rockets, and above them the planets. Children like the moon rock best, because they may "
    "touch it. The planetarium shows a film every hour."
)
LONG_TOML = f"""
[[phrases.presets]]
question = "When does the museum close today?"
answer = "{LONG_ANSWER}"
[log]
format = "json"
"""
RECORD = """(() => {
  const context = kiosk.player.output.context;
  const node = context.createScriptProcessor(4096, 1, 1);
  globalThis.played = [];
  node.onaudioprocess = ({ inputBuffer }) => played.push(inputBuffer.getChannelData(0).slice());
  kiosk.player.output.connect(node);
  node.connect(context.destination);
  globalThis.recorder = node;
  return true;
})()"""
TAKE = """(() => {
  const whole = new Float32Array(played.reduce((sum, block) => sum + block.length, 0));
  played.reduce((at, block) => (whole.set(block, at), at + block.length), 0);
  let text = "";
  const bytes = new Uint8Array(whole.buffer);
  for (let i = 0; i < bytes.length; i += 8192) {
    text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  }
  return btoa(text);
})()"""


@asynccontextmanager
async def visited(
    folder: Path, *, sound: list[NDArray[np.float32]], toml: str
) -> AsyncIterator[Page]:
    """A page whose microphone hears these sounds after some seconds of silence."""
    microphone = folder / "visitor.wav"
    silence = np.zeros(int(LEAD_S * RATE_HZ), np.float32)
    audio.save_wav(microphone, np.concatenate([silence, *sound]), rate_hz=RATE_HZ)
    async with (
        running_server(toml) as server,
        running_gateway(Config(), server.address, clock=time.time) as gateway,
        running_chromium(microphone=microphone) as page,
    ):
        await page.go(f"http://127.0.0.1:{gateway.port}/")
        await page.until("document.body.dataset.phase === 'idle' && kiosk.player.output")
        await page.until("kiosk.face.drawn > 0")
        await page.value(RECORD)
        yield page


def heard_by_whisper(played: NDArray[np.float32], model: Path) -> str:
    whisper = Whisper(model)
    try:
        return whisper.transcribe(played).text
    finally:
        whisper.close()


async def mouth_of(page: Page) -> NDArray[np.uint8]:
    """The lower half of the face as it is drawn, without what the page lays over it."""
    url = await page.value("document.querySelector('#face').toDataURL()")
    picture = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    image = cv2.imdecode(picture, cv2.IMREAD_GRAYSCALE)
    assert image is not None
    height, width = image.shape
    part = image[int(0.5 * height) : int(0.72 * height), int(0.38 * width) : int(0.62 * width)]
    return np.asarray(part, np.uint8)


async def test_the_words_are_shown_the_answer_is_played_and_the_mouth_moves(
    tmp_path: Path, clips_dir: Path, model_dir: ModelDir
) -> None:
    question = audio.load(clips_dir / "close.flac").samples
    async with visited(tmp_path, sound=[question], toml='[log]\nformat = "json"\n') as page:
        resting = [await mouth_of(page) for _ in range(4)]
        await page.until("kiosk.player.clock() !== null", limit_s=40)
        speaking = [await mouth_of(page) for _ in range(12)]
        await page.until("document.body.dataset.phase === 'idle'", limit_s=40)
        shown = await page.value("document.querySelector('#question').textContent")
        said = await page.value("document.querySelector('#answer').textContent")
        played = np.frombuffer(base64.b64decode(await page.value(TAKE)), np.float32)
        assert [line for line in page.console if "ScriptProcessorNode" not in line] == []
    assert "close" in shown.lower()
    assert "five" in said.lower()
    samples = audio.resample(played, from_hz=24_000, to_hz=RATE_HZ)
    heard = heard_by_whisper(samples, model_dir("whisper-tiny.en")).lower()
    assert "museum" in heard
    assert "five" in heard or "5" in heard

    def motion(pictures: list[NDArray[np.uint8]]) -> float:
        return float(np.std(np.stack(pictures).astype(np.float32), axis=0).mean())

    assert motion(speaking) > 3 * motion(resting)


async def test_a_question_over_the_answer_stops_it_on_the_page(
    tmp_path: Path, clips_dir: Path
) -> None:
    question = audio.load(clips_dir / "close.flac").samples
    over = audio.load(clips_dir / "restrooms.flac").samples
    gap = np.zeros(int(4.0 * RATE_HZ), np.float32)
    async with visited(tmp_path, sound=[question, gap, over], toml=LONG_TOML) as page:
        await page.until("kiosk.player.clock()?.turn > 0", limit_s=40)
        first = await page.value("kiosk.player.clock()?.turn")
        await page.until(f"kiosk.player.clock()?.turn > {first}", limit_s=40)
        await page.until("document.body.dataset.phase === 'idle'", limit_s=40)
        shown = await page.value("document.querySelector('#question').textContent")
        said = await page.value("document.querySelector('#answer').textContent")
        played = np.frombuffer(base64.b64decode(await page.value(TAKE)), np.float32)
    assert "restroom" in shown.lower() or "rest room" in shown.lower()
    assert "planetarium" not in said
    # The first answer has 15 s; both together have less where it was cut off.
    loud_s = float((np.abs(played) > 0.005).mean()) * len(played) / 24_000
    assert loud_s < 12
