"""Whether a config could be served: what its keys point to, without loading a model."""

from __future__ import annotations

from pathlib import Path

from halfsecond.artifact import is_directory_name
from halfsecond.bus import sockets
from halfsecond.bus.keys import load_server_keys
from halfsecond.config.sections import Config
from halfsecond.errors import ConfigError
from halfsecond.models.lipsync.avatar_file import avatar_directory, read_avatar
from halfsecond.models.lipsync.compiled_mouth import NO_AVATAR, verified_mouth
from halfsecond.models.lipsync.wav2lip_network import generator_file
from halfsecond.models.tts.kokoro import style_of
from halfsecond.models.tts.vits_config import check_voiceprint, read_config
from halfsecond.stages.engines import (
    ARTIFACT_KINDS,
    STAGES,
    model_directory,
    open_store,
)
from halfsecond.stages.openers import open_persona
from halfsecond.voiceprint import read_voiceprint, refuse_voiceprint


def check_usable(config: Config) -> None:
    """Raises ConfigError, or ModelError, for the first thing that a server would refuse."""
    _check_addresses(config)
    _check_models(config)
    _check_llm(config)
    _check_face(config)
    _check_voiceprint(config)
    _check_photos(config)
    open_persona(config)


def _check_addresses(config: Config) -> None:
    server = config.server
    sockets.check_exposure(server.bind, has_keys=bool(server.keys))
    if server.keys:
        load_server_keys(Path(server.keys))
    _check_gateway(config)
    for stage in STAGES:
        address: str = getattr(config.stages, stage)
        if address != "local":
            sockets.check_address(address)


def _check_photos(config: Config) -> None:
    if config.kiosk.takes_photos and not config.uploads.takes_portraits:
        raise ConfigError(
            "kiosk.takes_photos shows a button for photos, and uploads.takes_portraits lets none "
            "in; set it to true as well"
        )


def _check_gateway(config: Config) -> None:
    """Its locks, where its extra is installed; without it there is no gateway to check."""
    try:
        from halfsecond.gateway.running import check_exposure
    except ImportError:
        return
    check_exposure(config.gateway)


def _check_models(config: Config) -> None:
    """Every model is in the catalog, and of the stage that it is given to."""
    store = open_store(config)
    named = {"vad": config.vad.model, "asr": config.asr.model, "tts": config.tts.model}
    if config.endpoint.mode == "smart":
        named["endpoint"] = config.endpoint.model
    if config.llm.kind == "local":
        named["llm"] = config.llm.model
    for stage in ARTIFACT_KINDS:
        if is_directory_name(named.get(stage, "")):
            model_directory(stage, named.pop(stage), store)
    for stage, name in named.items():
        found = store.catalog.entry(name).stage
        if found != stage:
            raise ConfigError(f"{stage}.model is {name!r}, which is a model for {found}")


def _check_voiceprint(config: Config) -> None:
    """It can be read, and the voice understands it."""
    if not config.tts.voiceprint:
        return
    voiceprint = read_voiceprint(Path(config.tts.voiceprint))
    if is_directory_name(config.tts.model):
        check_voiceprint(read_config(Path(config.tts.model)), voiceprint)
    elif config.tts.model == "kokoro":
        style_of(voiceprint)
    else:
        refuse_voiceprint(voiceprint, config.tts.model)


def _check_llm(config: Config) -> None:
    llm = config.llm
    if llm.kind == "openai" and not llm.base_url:
        raise ConfigError('llm.kind = "openai" needs llm.base_url')
    if llm.kind == "function" and ":" not in llm.function:
        raise ConfigError('llm.kind = "function" needs llm.function = "module:callable"')


def _check_face(config: Config) -> None:
    face = config.face
    if face.avatar:
        if face.portrait:
            raise ConfigError("face.avatar and face.portrait are two faces; give one of them")
        directory = avatar_directory(face.avatar, open_store(config).home)
        read_avatar(directory)
        if face.driver == "compiled":
            verified_mouth(directory)
    elif face.driver == "compiled":
        raise ConfigError(NO_AVATAR)
    files = {"face.portrait": face.portrait}
    if face.driver == "wav2lip":
        if not face.wav2lip:
            raise ConfigError('face.driver = "wav2lip" needs face.wav2lip, an ONNX file')
        files["face.wav2lip"] = str(generator_file(Path(face.wav2lip)))
    for key, path in files.items():
        if path and not Path(path).is_file():
            raise ConfigError(f"{key} is {path}, and there is no such file")
