"""What each stage takes of memory: `python -m halfsecond_bench.model_memory [STAGE MODEL]`.

The figures are `memory_mb` in engines/models.toml. Each stage is opened and asked once in a process
of its own, and its resident memory held against that of the process before.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from halfsecond.assets import asset
from halfsecond.audio import load
from halfsecond.config import Config
from halfsecond.models.llm.persona import build_messages
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.endpoint import EndpointRequest
from halfsecond.stages.engines import build_stage, open_store, sampling_of
from halfsecond.stages.lipsync import LipSyncRequest
from halfsecond.stages.llm import LlmRequest
from halfsecond.stages.openers import open_persona
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest
from halfsecond.stages.vad import VadRequest

MODELS = (
    ("vad", "silero-vad"),
    ("endpoint", "smart-turn"),
    ("asr", "whisper-tiny.en-onnx"),
    ("asr", "whisper-tiny.en"),
    ("asr", "whisper-base-onnx"),
    ("asr", "whisper-base"),
    ("llm", "smollm2-135m-onnx"),
    ("llm", "smollm2-135m-int8"),
    ("tts", "hibari"),
    ("tts", "kokoro"),
    ("lipsync", "face"),
)


def resident_mb() -> int:
    """Of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) // 1024
    raise RuntimeError("/proc/self/status has no VmRSS")


def with_model(stage: str, model: str) -> Config:
    """The default config, with this model."""
    section = "face" if stage == "lipsync" else stage
    config = Config()
    chosen = msgspec.structs.replace(getattr(config, section), model=model)
    return msgspec.structs.replace(config, **{section: chosen})


def requests(stage: str, config: Config) -> Iterator[Any]:
    """One question's worth of work."""
    speech = load(asset("question.wav")).samples
    if stage == "vad":
        yield VadRequest("one", speech[: len(speech) // 512 * 512])
    elif stage == "endpoint":
        yield EndpointRequest(speech)
    elif stage == "asr":
        yield AsrRequest(np.tile(speech, 3)[: 28 * 16_000])
    elif stage == "llm":
        messages = build_messages(open_persona(config), [], "When do you close on Fridays?")
        yield LlmRequest(messages, sampling_of(config))
    elif stage == "tts":
        yield TtsRequest("We close at five, and on Fridays the museum is open until eight o'clock.")
    else:
        yield LipSyncRequest("one", "begin")
        yield LipSyncRequest("one", "feed", samples=speech)


def measure(stage: str, model: str) -> int:
    """Megabytes that this process grows by."""
    import cv2  # noqa: F401  (part of the base, not of a model)
    import onnxruntime  # noqa: F401

    config = with_model(stage, model)
    engine = build_stage(stage, config, open_store(config))
    before_mb = resident_mb()
    engine.open()
    for request in requests(stage, config):
        for _ in engine.run(request, Cancel()):
            pass
    return resident_mb() - before_mb


def main() -> None:
    """Prints a line for each model, or for the one that is named."""
    if len(sys.argv) == 3:
        print(f"{sys.argv[2]:24} {measure(sys.argv[1], sys.argv[2])} MB")
        return
    for stage, model in MODELS:
        command = [sys.executable, "-m", "halfsecond_bench.model_memory", stage, model]
        # One that was not fetched says so, and the others go on.
        subprocess.run(command, check=False)  # noqa: S603  (this program itself)


if __name__ == "__main__":
    main()
