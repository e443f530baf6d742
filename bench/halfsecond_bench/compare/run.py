"""Runs `bench compare`: opens the sides, asks them in turns, and makes the report."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from halfsecond import audio
from halfsecond.config import Config, LogConfig
from halfsecond.errors import ConfigError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.stages.engines import open_store
from halfsecond_bench.clips import Clip, questions, real_speech
from halfsecond_bench.compare import recognition
from halfsecond_bench.compare.others import OTHERS_ASR, OTHERS_LLM, PEERS, Others, missing_peers
from halfsecond_bench.compare.report import CompareReport, figures, ratios
from halfsecond_bench.compare.sequential import BATCH_FRAMES, PAUSE_THRESHOLD_S
from halfsecond_bench.compare.sides import (
    OurServer,
    PipecatSide,
    SequentialSide,
    Side,
    alternate,
)
from halfsecond_bench.server_process import running_server
from halfsecond_bench.statistics import device, distribution, versions
from halfsecond_export.wav2lip.untrained import write_untrained, write_untrained_int8

RECOGNITION_ROUNDS = 3

Progress = Callable[[int], None]
"""Told how many recordings have met all sides."""


async def measure(
    config: Config,
    clips: Sequence[Clip],
    *,
    turns: int,
    others_llm: str = OTHERS_LLM,
    others_asr: str = OTHERS_ASR,
    progress: Progress | None = None,
) -> CompareReport:
    """All sides on the questions among `clips`, then the recognisers on its real recordings.

    Nothing else should run meanwhile.

    Raises:
        ConfigError: no question in English among the clips, or no local language model.
        ServerError: our server did not start, or a turn of it did not end.
    """
    asked = questions(list(clips))
    if not asked or config.language != "en" or config.llm.kind != "local":
        raise ConfigError(
            "bench compare asks in English and gives every side the local language model; "
            'it needs language = "en", llm.kind = "local" and clips that ask (see clips.toml)'
        )
    missing = missing_peers()
    with tempfile.TemporaryDirectory(prefix="halfsecond-compare-") as folder:
        fp32, int8 = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        write_untrained(fp32)
        write_untrained_int8(int8)
        others = Others(_with_models(config, others_llm, others_asr), open_store(config), fp32)
        threads = others.threads(audio.load(asked[0].path).samples)
        async with AsyncExitStack() as stack:
            sides = await _open_sides(stack, config, others, int8=int8, threads=threads)
            taken = await alternate(sides, asked, turns=turns, progress=progress)
            sequential = sides["sequential"]
            assert isinstance(sequential, SequentialSide)
            played = sequential.played[-turns:]
        words = (
            _recognition(config, others, clips, threads) if "faster_whisper" in threads else None
        )
    found, differing = ratios(taken)
    return CompareReport(
        turns=turns,
        device=device(),
        versions=versions() | {p: version(p) for p in PEERS.values() if p not in missing},
        threads={"ours": _our_threads(config), "others": threads},
        settings=_settings(config, (others_asr, others_llm), missing),
        missing=missing,
        sides={name: figures(own) for name, own in taken.items()},
        sequential_stages_ms={
            stage: distribution([one.stages_ms[stage] for one in played])
            for stage in played[0].stages_ms
        },
        speech_s=distribution([one.speech_s for one in played]),
        ratios=found,
        differing=differing,
        recognition=words,
        per_turn=taken,
    )


async def _open_sides(
    stack: AsyncExitStack, config: Config, others: Others, *, int8: Path, threads: dict[str, int]
) -> dict[str, Side]:
    """Ours twice, the recipe, and the voice pipeline where its packages are; closed by `stack`."""
    sides: dict[str, Side] = {}
    faces: dict[str, dict[str, str]] = {
        "mesh": {"driver": "mesh"},
        "wav2lip_int8": {"driver": "wav2lip", "wav2lip": str(int8)},
    }
    for name, face in faces.items():
        server = running_server(server_toml(config, **face))
        sides[name] = OurServer((await stack.enter_async_context(server)).address)
    voice = others.voice()
    stack.callback(voice.close)
    sides["sequential"] = SequentialSide(others.recipe(threads, voice=voice))
    if not missing_peers():
        from loguru import logger  # pyright: ignore[reportMissingImports]

        logger.remove()  # before the import below, which greets
        from halfsecond_bench.compare.pipecat_voice import PipecatVoice

        whisper = others.faster_whisper(threads["faster_whisper"])
        think = others.think(threads["llm"])
        pipeline = PipecatVoice(whisper=whisper, think=think, voice=voice)
        sides["pipecat"] = PipecatSide(await stack.enter_async_context(pipeline))
    return sides


def server_toml(config: Config, **face: str) -> str:
    """The config with these settings of `[face]` and a log for machines, as TOML."""
    replace = msgspec.structs.replace
    changed = replace(config, face=replace(config.face, **face), log=LogConfig(format="json"))
    lines: list[str] = []
    sections: dict[str, dict[str, Any]] = {"": {}}
    for name, value in msgspec.to_builtins(changed).items():
        if isinstance(value, dict):
            sections[name] = value
        else:
            sections[""][name] = value
    for name, values in sections.items():
        lines += [f"[{name}]"] if name else []
        # What JSON writes for these types is TOML too.
        lines += [f"{key} = {json.dumps(v)}" for key, v in values.items() if v is not None]
    return "\n".join(lines) + "\n"


def _recognition(
    config: Config, others: Others, clips: Sequence[Clip], threads: dict[str, int]
) -> recognition.RecognitionReport:
    ours = Whisper(
        others.store.path(config.asr.model),
        threads=config.asr.threads,
        margin_s=config.asr.margin_s,
    )
    theirs = others.faster_whisper(threads["faster_whisper"])
    return recognition.compare(
        {
            "halfsecond": lambda samples: ours.transcribe(samples, language="en").text,
            "faster-whisper, greedy": recognition.call(theirs, **recognition.GREEDY),
            "faster-whisper, default": recognition.call(theirs),
        },
        real_speech(list(clips)),
        rounds=RECOGNITION_ROUNDS,
    )


def _our_threads(config: Config) -> dict[str, int]:
    stages = ("asr", "llm", "tts", "face")
    return {stage: getattr(config, stage).threads for stage in stages}


def _with_models(config: Config, llm: str, asr: str) -> Config:
    replace = msgspec.structs.replace
    return replace(config, llm=replace(config.llm, model=llm), asr=replace(config.asr, model=asr))


def _settings(config: Config, others: Sequence[str], missing: Sequence[str]) -> dict[str, str]:
    turn = config.turn
    told = {
        "ours": f"{config.asr.model}, {config.llm.model}; "
        f"[endpoint] {json.dumps(msgspec.to_builtins(config.endpoint))}"
        f"; speculative {turn.is_speculative}, eager {turn.is_eager}; a session a turn, over ipc",
        "others": f"{', '.join(others)}, the opening of the conversation in its cache",
        "sequential": f"turn ends {PAUSE_THRESHOLD_S:g} s after the label; greedy recognition in "
        f"30 s; Wav2Lip fp32 in batches of {BATCH_FRAMES}, {config.face.fps} frames a second, "
        "nothing encoded",
        "recognition": f"INT8 on all sides; greedy is {recognition.GREEDY}; default has no options",
    }
    if not missing:
        from halfsecond_bench.compare.pipecat_voice import SETTINGS

        told["pipecat"] = SETTINGS
    return told
