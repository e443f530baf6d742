"""A whole turn in Chinese on real models: Whisper base hears, Kokoro speaks, Whisper checks."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.engines import FakeEngines
from halfsecond import audio
from halfsecond.bus.server import Server
from halfsecond.client import Client
from halfsecond.config import AsrConfig, Config, EndpointConfig, FaceConfig, LlmConfig, TtsConfig
from halfsecond.conversation import Visitor
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.llm.persona import Persona
from halfsecond.stages.asr import AsrStage
from halfsecond.stages.engines import Engines
from halfsecond.stages.llm import LlmStage
from halfsecond.stages.local import LocalStage
from halfsecond.stages.openers import open_answerer, open_voice
from halfsecond.stages.tts import TtsStage
from halfsecond.stages.vad import VadStage

pytestmark = [
    pytest.mark.models,
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="misaki has no release for 3.13"),
]

CONFIG = Config(
    language="zh",
    endpoint=EndpointConfig(mode="silence"),
    asr=AsrConfig(model="whisper-base"),
    llm=LlmConfig(kind="function", function="chinese_brain:answer"),
    tts=TtsConfig(model="kokoro", voice="zf_xiaoxiao", threads=2),
    face=FaceConfig(idle_fps=0),
)
BRAIN = """
def answer(question, history):
    if "关门" in question:
        yield "博物馆今天下午五点关门。"
        yield "欢迎您明天再来。"
    else:
        yield "对不起，我不知道。"
"""


async def test_a_chinese_question_gets_a_chinese_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model_dir: Callable[[str], Path],
    clips_dir: Path,
) -> None:
    (tmp_path / "chinese_brain.py").write_text(BRAIN, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    whisper_dir = model_dir("whisper-base")
    engines = Engines(
        vad=LocalStage(VadStage(model_dir("silero-vad") / "silero_vad.onnx")),
        endpoint=None,
        asr=LocalStage(AsrStage(whisper_dir, threads=2, margin_s=1.0)),
        llm=LocalStage(LlmStage(lambda: open_answerer(CONFIG.llm, None), label="function")),
        tts=LocalStage(
            TtsStage(lambda: open_voice(CONFIG.tts, model_dir("kokoro")), label="kokoro")
        ),
        lipsync=FakeEngines().handles().lipsync,
    )
    server = Server(CONFIG, engines, Persona())
    address = await server.open(f"ipc://{tmp_path}/server.ipc")
    serving = asyncio.create_task(server.serve())
    async with Client(address) as client:
        visitor = Visitor(client)
        reply = (await visitor.say(audio.load(clips_dir / "zh-close.flac").samples)).reply
        await visitor.close()
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    await server.close()

    assert "博物馆" in reply.transcript
    assert "关门" in reply.transcript
    assert reply.text.replace(" ", "") == "博物馆今天下午五点关门。欢迎您明天再来。"
    assert len(reply.captions) >= 2  # spoken clause by clause
    ear = Whisper(whisper_dir, threads=2)
    samples = audio.resample(reply.samples(), from_hz=24_000, to_hz=16_000)
    said = ear.transcribe(samples, language="zh").text
    ear.close()
    assert "关门" in said
    assert "明天" in said
