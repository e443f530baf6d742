"""All stages of a machine, built from the config: here, or at an address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from halfsecond.artifact import artifact_of_kind, is_directory_name
from halfsecond.bus.keys import ClientKeys
from halfsecond.config import Config
from halfsecond.models.asr.pair import checked_parts, is_in_parts
from halfsecond.models.asr.recognizer import Transcript
from halfsecond.models.llm.answerer import Sampling
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond.stages import openers
from halfsecond.stages.asr import AsrRequest, AsrStage
from halfsecond.stages.easing import Easing
from halfsecond.stages.endpoint import EndpointReply, EndpointRequest, EndpointStage
from halfsecond.stages.lipsync import LipSyncRequest, LipSyncStage, Picture
from halfsecond.stages.llm import LlmReply, LlmRequest, LlmStage
from halfsecond.stages.local import LocalStage
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.remote import RemoteStage
from halfsecond.stages.rendered import PhraseShelf
from halfsecond.stages.stage import Health, Stage, StageHandle
from halfsecond.stages.tts import Spoken, TtsRequest, TtsStage
from halfsecond.stages.vad import VadReply, VadRequest, VadStage
from halfsecond.store import Store

STAGES = ("vad", "endpoint", "asr", "llm", "tts", "lipsync")


@dataclass(frozen=True)
class Engines:
    """One handle per stage that the config wants."""

    vad: StageHandle[VadRequest, VadReply]
    endpoint: StageHandle[EndpointRequest, EndpointReply] | None
    """None where plain silence ends turns."""
    asr: StageHandle[AsrRequest, Transcript]
    llm: StageHandle[LlmRequest, LlmReply]
    tts: StageHandle[TtsRequest, SpeechChunk]
    lipsync: StageHandle[LipSyncRequest, Picture]

    def __iter__(self) -> Iterator[StageHandle[Any, Any]]:
        stages = (self.vad, self.endpoint, self.asr, self.llm, self.tts, self.lipsync)
        return iter([stage for stage in stages if stage is not None])

    async def open(self) -> None:
        """Opens all at once; each loads on its own thread."""
        await asyncio.gather(*(stage.open() for stage in self))

    async def health(self) -> list[Health]:
        return list(await asyncio.gather(*(stage.health() for stage in self)))

    async def close(self) -> None:
        await asyncio.gather(*(stage.close() for stage in self))


def open_store(config: Config) -> Store:
    """The store that the config names, or the default one."""
    return Store.default(home=Path(config.models.home) if config.models.home else None)


def build_engines(
    config: Config,
    store: Store,
    *,
    keys: ClientKeys | None = None,
    easing: Easing | None = None,
) -> Engines:
    """The handles of all stages; nothing is loaded before they are opened.

    keys: what this machine proves itself with to stages on others.
    easing: what tells a face of this process to be drawn less often; never without one.
    """
    handles: dict[str, Any] = {}
    for name in STAGES:
        if name == "endpoint" and config.endpoint.mode == "silence":
            handles[name] = None
            continue
        address: str = getattr(config.stages, name)
        if address == "local":
            handles[name] = LocalStage(build_stage(name, config, store, easing=easing))
        else:
            reply_type = _TYPES[name].reply_type
            handles[name] = RemoteStage(name, address, reply_type=reply_type, keys=keys)
    return Engines(**handles)


_TYPES: dict[str, Any] = {
    stage.name: stage
    for stage in (VadStage, EndpointStage, AsrStage, LlmStage, TtsStage, LipSyncStage)
}


def build_stage(
    name: str, config: Config, store: Store, *, easing: Easing | None = None
) -> Stage[Any, Any]:
    """One stage with its models found and verified.

    easing: as for `build_engines`.

    Raises:
        ModelMissingError, ModelCorruptError: its model is not there or not what it should be.
    """
    if name == "lipsync":
        return _build_lipsync(config, store, easing)
    build = {
        "vad": _build_vad,
        "endpoint": _build_endpoint,
        "asr": _build_asr,
        "llm": _build_llm,
        "tts": _build_tts,
    }[name]
    return build(config, store)


def _build_vad(config: Config, store: Store) -> Stage[Any, Any]:
    return VadStage(store.path(config.vad.model) / "silero_vad.onnx")


def _build_endpoint(config: Config, store: Store) -> Stage[Any, Any]:
    return EndpointStage(store.path(config.endpoint.model) / "smart-turn-v3.2-cpu.onnx")


ARTIFACT_KINDS = {"asr": "whisper", "llm": "llm", "tts": "vits"}
"""Stages whose `model` may be a directory that `halfsecond export` wrote, and what it must hold."""


def model_directory(stage: str, model: str, store: Store) -> Path:
    """Where the model of a stage lies: of the catalog, or a directory of `halfsecond export`.

    Raises ModelError or ConfigError.
    """
    if stage in ARTIFACT_KINDS and is_directory_name(model):
        directory = Path(model).expanduser()
        if stage == "asr" and is_in_parts(directory):
            return checked_parts(directory)
        return artifact_of_kind(model, ARTIFACT_KINDS[stage])
    return store.path(model)


def _build_asr(config: Config, store: Store) -> Stage[Any, Any]:
    asr = config.asr
    directory = model_directory("asr", asr.model, store)
    return AsrStage(directory, threads=asr.threads, margin_s=asr.margin_s, device=asr.device)


def _build_llm(config: Config, store: Store) -> Stage[Any, Any]:
    llm = config.llm
    directory = model_directory("llm", llm.model, store) if llm.kind == "local" else None
    label = {"local": llm.model, "openai": f"{llm.model} at {llm.base_url}"}.get(
        llm.kind, llm.function
    )
    return LlmStage(partial(openers.open_answerer, llm, directory), label=label)


def _build_tts(config: Config, store: Store) -> Stage[Any, Any]:
    tts = config.tts
    open_voice = partial(openers.open_voice, tts, model_directory("tts", tts.model, store))
    return TtsStage(
        open_voice,
        label=f"{tts.model} {tts.voice}".strip(),
        remembered_s=config.phrases.remembered_s,
        rendered=_rendered_phrases(config, store) if config.phrases.is_used else None,
    )


def _rendered_phrases(
    config: Config, store: Store
) -> Callable[[], Mapping[tuple[str, float], Spoken]]:
    shelf = PhraseShelf.of(config.tts, store)
    wanted, speed = Phrases(config.phrases).clauses, config.tts.speed
    return lambda: {(text, speed): spoken for text, spoken in shelf.read(wanted()).items()}


def _build_lipsync(config: Config, store: Store, easing: Easing | None) -> Stage[Any, Any]:
    face = config.face
    return LipSyncStage(
        partial(
            openers.open_drivers,
            face,
            # An avatar holds what the face models found.
            Path() if face.avatar else store.path(face.model),
            home=store.home,
            has_phrases=config.phrases.is_used,
        ),
        jpeg_quality=face.jpeg_quality,
        label=f"{face.driver} {face.avatar or f'{face.width}x{face.height}'} at {face.fps} fps",
        easing=easing,
    )


def sampling_of(config: Config) -> Sampling:
    """The sampling that the config asks for."""
    llm = config.llm
    return Sampling(
        temperature=llm.temperature,
        top_p=llm.top_p,
        repetition_penalty=llm.repetition_penalty,
        max_tokens=llm.max_tokens,
        seed=llm.seed,
    )
