"""One whole turn on real models, stage by stage: prints what was heard, answered, spoken and drawn.

    python check_turn.py HOME QUESTION.wav

The same program on two machines shows whether both come to the same words. It has no server and no
clock: emulation is slower than any of a turn's limits. What it prints on stderr may differ.
"""

import platform
import sys
from pathlib import Path

import numpy as np

from halfsecond import audio
from halfsecond.catalog import default_catalog
from halfsecond.config import Config
from halfsecond.models.llm.persona import build_messages
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.engines import build_stage, sampling_of
from halfsecond.stages.lipsync import LipSyncRequest
from halfsecond.stages.llm import LlmRequest
from halfsecond.stages.openers import open_persona
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest
from halfsecond.stages.vad import VadRequest
from halfsecond.store import Store

VOICE_TO_FACE = (24_000, 16_000)


def run(name, *requests):
    """All replies of a stage that is opened, asked and closed again."""
    stage = build_stage(name, CONFIG, STORE)
    stage.open()
    replies = [reply for request in requests for reply in stage.run(request, Cancel())]
    print(f"{name}: {stage.health()}, {len(replies)} replies", file=sys.stderr, flush=True)
    stage.close()
    return replies


CONFIG = Config()
STORE = Store(Path(sys.argv[1]), default_catalog())
print(platform.machine(), platform.python_version(), file=sys.stderr)

question = audio.load(Path(sys.argv[2])).samples
windows = question[: len(question) // 512 * 512]
(reply,) = run("vad", VadRequest("turn", windows))
spoken = np.flatnonzero(np.array(reply.probabilities) > CONFIG.vad.onset)
print(f"speech in {len(spoken) / len(reply.probabilities):.0%} of the question")

(transcript,) = run("asr", AsrRequest(question))
print(f"heard: {transcript.text}")

messages = build_messages(open_persona(CONFIG), [], transcript.text)
pieces = run("llm", LlmRequest(messages, sampling_of(CONFIG)))
answer = "".join(piece.text for piece in pieces).strip()
print(f"answer: {answer}")

chunks = run("tts", TtsRequest(answer))
speech = np.concatenate([chunk.samples for chunk in chunks])
at_16_khz = audio.resample(speech, from_hz=VOICE_TO_FACE[0], to_hz=VOICE_TO_FACE[1])
print(f"spoken: {len(speech) / VOICE_TO_FACE[0]:.1f} s")

(again,) = run("asr", AsrRequest(at_16_khz))
print(f"heard again: {again.text}")

pictures = run(
    "lipsync",
    LipSyncRequest("turn", "begin"),
    LipSyncRequest("turn", "feed", samples=at_16_khz[: 16_000 // 2]),
)
widest = max(picture.mouth for picture in pictures)
print(f"drawn: {len(pictures)} pictures, the mouth opens to {widest:.1f}")
assert all(picture.data.startswith(b"\xff\xd8") for picture in pictures)
