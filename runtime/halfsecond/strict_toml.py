"""TOML files read into structs; an unknown key is an error that lists the valid ones."""

from __future__ import annotations

import difflib
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import inspect

from halfsecond.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")


def load_toml(path: Path, into: type[T]) -> T:
    """Returns the file's content as `into`, a msgspec struct.

    Raises ConfigError with the file, the place in it, what was found and what was expected.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error
    return convert_strictly(raw, into, where=str(path))


def convert_strictly(raw: object, into: type[T], *, where: str) -> T:
    """Returns plain data as `into`; `where` names the origin in the message of a ConfigError."""
    refuse_unknown_keys(raw, inspect.type_info(into), where)
    try:
        return msgspec.convert(raw, into)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}") from error


def refuse_unknown_keys(raw: object, expected: inspect.Type, where: str) -> None:
    """Raises ConfigError for the first key of `raw` that `expected` does not have."""
    if isinstance(raw, dict):
        _check_table(raw, expected, where)
    elif isinstance(raw, list):
        item = getattr(expected, "item_type", None)
        if item is not None:
            for index, value in enumerate(raw):
                refuse_unknown_keys(value, item, f"{where}[{index}]")


def _check_table(raw: dict[str, Any], expected: inspect.Type, where: str) -> None:
    if isinstance(expected, inspect.DictType):
        for key, value in raw.items():
            refuse_unknown_keys(value, expected.value_type, f"{where}: {key}")
        return
    struct = _struct_for(raw, expected)
    if struct is None:
        return
    fields = {field.encode_name: field.type for field in struct.fields}
    tag = {struct.tag_field} if struct.tag_field else set()
    for key, value in raw.items():
        if key not in fields and key not in tag:
            valid = sorted(fields.keys() | tag)
            near = difflib.get_close_matches(key, valid, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ConfigError(f"{where}: unknown key {key!r}{hint}; valid keys: {', '.join(valid)}")
        if key in fields:
            refuse_unknown_keys(value, fields[key], f"{where}: {key}")


def _struct_for(raw: dict[str, Any], expected: inspect.Type) -> inspect.StructType | None:
    """The struct that a table is meant for; among several, the one whose tag it carries."""
    if isinstance(expected, inspect.StructType):
        return expected
    if isinstance(expected, inspect.UnionType):
        structs = [kind for kind in expected.types if isinstance(kind, inspect.StructType)]
        if len(structs) == 1:
            return structs[0]
        for struct in structs:
            if struct.tag_field and raw.get(struct.tag_field) == struct.tag:
                return struct
    return None
