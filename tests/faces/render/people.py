"""Who is portrayed, and how: reads `people.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli

from faces.render.hair import Hair
from faces.render.materials import Complexion
from faces.render.mesh import Build
from faces.render.scene import Shot
from faces.render.sitter import Sitter

Table = Mapping[str, Any]


def shots(kind: str) -> list[Shot]:
    """The `good` or the `bad` ones."""
    told = tomli.loads(Path(__file__).with_suffix(".toml").read_text())
    people = {name: _sitter(name, table, told) for name, table in told["people"].items()}
    return [_shot(name, table, people, told) for name, table in told[kind].items()]


def _shot(name: str, table: Table, people: Mapping[str, Sitter], told: Table) -> Shot:
    fields = dict(table)
    sitters = [people[who] for who in fields.pop("who")]
    before = fields.pop("before_mouth", "")
    changes: dict[str, dict[str, Any]] = {
        "": {},
        "hand": {"hand": True},
        "mask": {"is_masked": True},
        "walrus": {"hair": [*sitters[0].hair, _hair(told["walrus"])]},
    }
    sitters[0] = replace(sitters[0], **changes[before])
    return Shot(name=name, sitters=sitters, **_tuples(fields))


def _sitter(name: str, table: Table, told: Table) -> Sitter:
    fields = dict(table)
    expressions = told["expressions"]
    details = {
        **expressions["awake"],
        **expressions.get(fields.pop("expression", "awake"), {}),
        **fields.pop("details", {}),
    }
    return Sitter(
        name=name,
        build=Build(**fields.pop("build"), details=details),
        complexion=Complexion(**_tuples(fields.pop("complexion"))),
        hair=[_hair(one) for one in fields.pop("hair", [])],
        brows=_hair({**told["brows"], **fields.pop("brows")}),
        **_tuples(fields),
    )


def _hair(table: Table) -> Hair:
    return Hair(**_tuples(table))


def _tuples(table: Table) -> dict[str, Any]:
    """Colours and directions as tuples."""
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
