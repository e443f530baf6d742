"""The face in a process of its own: same pictures, and its end is not the server's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from fakes.engines import FakeEngines
from fakes.servers import QUICK
from halfsecond.bus.server import Server
from halfsecond.client import Client
from halfsecond.config import TtsConfig
from halfsecond.conversation import Visitor
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.models.llm.persona import Persona
from halfsecond.recording import decode_picture
from halfsecond.stages.engines import Engines
from halfsecond.stages.lipsync import Picture
from halfsecond.stages.local import LocalStage
from halfsecond.stages.openers import open_voice
from halfsecond.stages.remote import RemoteStage
from halfsecond.stages.tts import TtsStage

pytestmark = pytest.mark.models


@asynccontextmanager
async def face_process(address: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "halfsecond", "serve", "--stage", "lipsync", "--bind", address,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        while b"ready" not in (line := await process.stderr.readline()):
            assert line, "the stage ended before it was ready"
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
async def test_a_face_at_an_address_speaks_and_without_it_the_answer_is_heard(
    transport: str, tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    address = f"ipc://{tmp_path}/face.ipc" if transport == "ipc" else "tcp://127.0.0.1:45571"
    fakes = FakeEngines()
    voice = TtsStage(lambda: open_voice(TtsConfig(), model_dir("hibari")), label="hibari")
    local = fakes.handles()
    engines = Engines(
        vad=local.vad,
        endpoint=None,
        asr=local.asr,
        llm=local.llm,
        tts=LocalStage(voice),
        lipsync=RemoteStage("lipsync", address, reply_type=Picture, silence_limit_s=1.5),
    )
    async with face_process(address) as process:
        server = Server(QUICK, engines, Persona())
        bound = await server.open(f"ipc://{tmp_path}/server.ipc")
        serving = asyncio.create_task(server.serve())
        async with Client(bound) as client:
            visitor = Visitor(client)
            fakes.llm.pieces = ("We are open, all afternoon.",)
            reply = (await visitor.type("Are you open?")).reply
            face = model_dir("face")
            meter = ApertureMeter(face / "face_detector.onnx", face / "face_landmarks.onnx")
            driven = [shown for shown in reply.pictures if shown.is_driven]
            aperture = meter.measure_all(decode_picture(shown) for shown in driven)
            # A machine that is busy leaves out pictures, never sound.
            assert len(driven) >= 25 * len(reply.samples()) / 24_000 / 2
            assert np.ptp(aperture) > 0.06

            process.kill()
            await process.wait()
            failed = (await visitor.type("And now?")).reply
            assert failed.end is not None
            assert failed.end.reason == "complete"
            assert len(failed.samples()) == len(reply.samples())  # heard all the same
            assert any("halfsecond serve --stage lipsync" in e for e in visitor.recorder.errors)
            await visitor.close()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        fakes.release()
        await server.close()
