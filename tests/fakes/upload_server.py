"""A server with the real face and the real workshop, for tests that kill it: ADDRESS FACE_MODELS.

The other engines are fakes.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from fakes.engines import FakeEngines
from fakes.servers import QUICK
from halfsecond.bus.server import Server
from halfsecond.config import FaceConfig, UploadsConfig
from halfsecond.models.llm.persona import Persona
from halfsecond.stages import openers
from halfsecond.stages.engines import Engines
from halfsecond.stages.lipsync import LipSyncStage
from halfsecond.stages.local import LocalStage
from halfsecond.uploads.workshop import Workshop

TAKING = msgspec.structs.replace(
    QUICK,
    face=FaceConfig(idle_fps=0, width=256, height=256),
    uploads=UploadsConfig(takes_portraits=True),
)


def real_face(face_models: Path) -> Engines:
    """Fake engines with the lip-sync stage of the config."""
    stage = LipSyncStage(
        partial(openers.open_drivers, TAKING.face, face_models), jpeg_quality=85, label="real"
    )
    return replace(FakeEngines().handles(), lipsync=LocalStage(stage))


def real_workshop(face_models: Path) -> Workshop:
    """Workers that look for faces."""
    return Workshop({"face": str(face_models)}, most_megapixels=50, time_limit_s=300)


async def serve(address: str, face_models: Path) -> None:
    server = Server(TAKING, real_face(face_models), Persona(), workshop=real_workshop(face_models))
    await server.open(address)
    print("ready", flush=True)
    await server.serve()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], Path(sys.argv[2])))
