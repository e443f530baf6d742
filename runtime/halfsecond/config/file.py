"""Reading a config file: unknown keys, wrong values and relative paths."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from halfsecond.artifact import is_directory_name
from halfsecond.config.limits import check_ranges
from halfsecond.config.sections import Config
from halfsecond.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load(path: Path | None) -> Config:
    """The config of a file, or the defaults; paths in it become absolute.

    Raises:
        ConfigError: no such file, no TOML, an unknown key, or a value of the wrong kind or range.
    """
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no config file {path}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return _with_absolute_paths(parse(table, source=str(path)), path.resolve().parent)


def parse(table: dict[str, Any], *, source: str = "the config") -> Config:
    """The config that a parsed TOML table describes; raises ConfigError as `load`."""
    _refuse_unknown_keys(table, Config, where="", source=source)
    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_plain(str(error))}") from error
    check_ranges(config, source)
    return config


def _plain(message: str) -> str:
    return message.replace(" - at `$.", " at `").replace("`$", "`")


def _refuse_unknown_keys(
    table: dict[str, Any], section: type[msgspec.Struct], *, where: str, source: str
) -> None:
    types = get_type_hints(section)
    for key, value in table.items():
        if key not in types:
            known = ", ".join(sorted(types))
            place = f"[{where}] has no key" if where else "there is no section or key"
            raise ConfigError(f"{source}: {place} `{key}`; it can be one of: {known}")
        inner = types[key]
        if (
            isinstance(inner, type)
            and issubclass(inner, msgspec.Struct)
            and isinstance(value, dict)
        ):
            _refuse_unknown_keys(value, inner, where=key, source=source)


def _with_absolute_paths(config: Config, folder: Path) -> Config:
    def absolute(path: str) -> str:
        return str(folder / Path(path).expanduser()) if path else path

    replace = msgspec.structs.replace
    gateway = config.gateway
    gateway_files = ("keys", "certificate", "certificate_key", "token_secret", "log_file")
    asr = config.asr
    if is_directory_name(asr.model):
        asr = replace(asr, model=absolute(asr.model))
    llm = config.llm
    if llm.kind == "local" and is_directory_name(llm.model):
        llm = replace(llm, model=absolute(llm.model))
    tts = replace(config.tts, voiceprint=absolute(config.tts.voiceprint))
    if is_directory_name(tts.model):
        tts = replace(tts, model=absolute(tts.model))
    avatar = config.face.avatar
    if is_directory_name(avatar):
        avatar = absolute(avatar)
    return replace(
        config,
        asr=asr,
        llm=llm,
        tts=tts,
        server=replace(config.server, keys=absolute(config.server.keys or "") or None),
        persona=replace(config.persona, facts_file=absolute(config.persona.facts_file)),
        face=replace(
            config.face,
            avatar=avatar,
            portrait=absolute(config.face.portrait),
            wav2lip=absolute(config.face.wav2lip),
        ),
        stages=replace(config.stages, keys=absolute(config.stages.keys)),
        gateway=replace(gateway, **{key: absolute(getattr(gateway, key)) for key in gateway_files}),
        models=replace(config.models, home=absolute(config.models.home)),
    )
