"""The reference page of the config, from the types that read it."""

from __future__ import annotations

import ast
import inspect
import json
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from halfsecond.config.sections import Config

HEAD = """# The config file

A TOML file, given with `--config`. Every key has the default shown here; a key that does not exist
is an error that lists those that do. Paths are relative to the file. `halfsecond config check FILE`
tells whether a file can be used, `halfsecond config show` what is in force.

This page is printed by `halfsecond config reference`.
"""


def reference_page() -> str:
    """docs/config.md: a table of keys for each section."""
    parts = [HEAD]
    for name, section in get_type_hints(Config).items():
        if isinstance(section, type) and issubclass(section, msgspec.Struct):
            parts.append(_section(name, section))
        else:
            default = _default(Config(), name)
            parts.append(
                f"\n`{name}` (text, {default}), above all sections: the language spoken.\n"
            )
    return "".join(parts)


def _section(name: str, section: type[msgspec.Struct]) -> str:
    notes = _notes(section)
    rows = [
        f"| `{key}` | {_type_name(kind)} | {_default(section(), key)} | {notes.get(key, '')} |"
        for key, kind in get_type_hints(section).items()
    ]
    head = f"\n## [{name}]\n\n{inspect.getdoc(section)}\n\n| key | kind | default | meaning |\n"
    return head + "|---|---|---|---|\n" + "\n".join(rows) + "\n"


def _type_name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(f"`{json.dumps(value)}`" for value in get_args(kind))
    if get_origin(kind) is tuple:
        return f"list of {_type_name(get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return "tables"
    options = [option for option in get_args(kind) if option is not type(None)]
    if options:
        return " or ".join(map(_type_name, options))
    return {str: "text", int: "integer", float: "number", bool: "true or false"}[kind]


def _default(section: Any, key: str) -> str:
    value = getattr(section, key)
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, str):
        return f'`"{value}"`'
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return "none" if value is None else f"`{value}`"


def _notes(section: type[msgspec.Struct]) -> dict[str, str]:
    """The docstring under each key."""
    parsed = ast.parse(inspect.getsource(section)).body[0]
    assert isinstance(parsed, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in pairwise(parsed.body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=key)),
                ast.Expr(value=ast.Constant(value=str(note))),
            ):
                found[key] = " ".join(note.split())
    return found
