"""Where the networks of a config run on this machine, each opened to see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from halfsecond.artifact import MANIFEST_NAME, is_directory_name, read_artifact
from halfsecond.config import Config, TtsConfig
from halfsecond.engine import usable_engine
from halfsecond.engine_library import LIBRARIES
from halfsecond.errors import HalfsecondError
from halfsecond.models.asr.pair import PARTS, is_in_parts
from halfsecond.models.ctranslate2_device import ctranslate2_device
from halfsecond.models.tts.vits_config import FRONT_NAME
from halfsecond.models.tts.vits_network import back_path
from halfsecond.sessions.onnx_runtime import CPU
from halfsecond.sessions.placement import placement
from halfsecond.sessions.session import Device
from halfsecond.stages.compiled_mouths import lips_path
from halfsecond.stages.engines import model_directory
from halfsecond.store import Store

CTRANSLATE2_FILE = "model.bin"


@dataclass(frozen=True)
class Running:
    """One network: what runs it. is_fallen: a GPU was asked for, and the CPU has all or a part."""

    stage: str
    network: str
    runs_on: str
    is_fallen: bool = False


@dataclass(frozen=True)
class _Place:
    stage: str
    path: Path
    device: Device


def running_networks(config: Config, store: Store) -> Iterator[Running]:
    """What runs each network of the stages that are local; those that are not fetched are left out.

    Opens every one of them: a second or two for the default models.
    """
    for place in _places(config, store):
        yield from _networks(place)


def _places(config: Config, store: Store) -> Iterator[_Place]:
    wanted: list[tuple[str, str, Device]] = [("vad", config.vad.model, "cpu")]
    if config.endpoint.mode == "smart":
        wanted.append(("endpoint", config.endpoint.model, "cpu"))
    wanted.append(("asr", config.asr.model, config.asr.device))
    if config.llm.kind == "local":
        wanted.append(("llm", config.llm.model, config.llm.device))
    if not is_directory_name(config.tts.model):
        # The voices of the catalog are quantised for the CPU, where "auto" leaves them.
        voice: Device = "cuda" if config.tts.device == "cuda" else "cpu"
        wanted.append(("tts", config.tts.model, voice))
    wanted.append(("lipsync", config.face.model, "cpu"))
    for stage, model, device in wanted:
        if getattr(config.stages, stage) != "local":
            continue
        try:
            yield _Place(stage, model_directory(stage, model, store), device)
        except HalfsecondError:
            continue  # said by the finding about models
    if is_directory_name(config.tts.model) and config.stages.tts == "local":
        yield from _exported_voice(config.tts)
    if (lips := lips_path(config, store.home)) is not None:
        yield _Place("lipsync", lips, config.face.device)


def _exported_voice(tts: TtsConfig) -> Iterator[_Place]:
    directory = Path(tts.model)
    yield _Place("tts", directory / FRONT_NAME, "cpu")
    yield _Place("tts", back_path(directory), tts.device)


def _networks(place: _Place) -> Iterator[Running]:
    path = place.path
    if is_in_parts(path):
        for part in PARTS:
            yield from _networks(_Place(place.stage, path / part, place.device))
    elif (path / CTRANSLATE2_FILE).is_file():
        yield _on_ctranslate2(place)
    elif (path / MANIFEST_NAME).is_file() and read_artifact(path).runtime in LIBRARIES:
        yield _on_tensorrt(place)
    else:
        for file in sorted(path.glob("*.onnx")) if path.is_dir() else [path]:
            yield _on_onnxruntime(place, file)


def _on_ctranslate2(place: _Place) -> Running:
    try:
        where, arithmetic = ctranslate2_device(
            place.path, place.device, compute_type="", on_cpu="int8"
        )
    except HalfsecondError as error:
        return Running(place.stage, place.path.name, str(error), is_fallen=True)
    return Running(place.stage, place.path.name, f"CTranslate2 on {where}, {arithmetic}")


def _on_tensorrt(place: _Place) -> Running:
    try:
        artifact = usable_engine(place.path)
    except HalfsecondError as error:
        return Running(place.stage, place.path.name, str(error), is_fallen=True)
    return Running(place.stage, place.path.name, f"{artifact.runtime}, whole, on the GPU")


def _on_onnxruntime(place: _Place, file: Path) -> Running:
    device: Device = "cpu" if _is_for_the_cpu(place) else place.device
    try:
        found = placement(file, device=device)
    except HalfsecondError as error:
        return Running(place.stage, file.name, str(error), is_fallen=True)
    is_fallen = device == "cuda" and (found.first == CPU or CPU in found.nodes)
    return Running(place.stage, file.name, str(found), is_fallen=is_fallen)


def _is_for_the_cpu(place: _Place) -> bool:
    """Whether it is in operators that only the CPU has: all ONNX models of these stages but the
    parts of a portable Whisper."""
    return place.stage == "llm" or (place.stage == "asr" and place.path.name not in PARTS)
