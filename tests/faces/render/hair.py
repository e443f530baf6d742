"""Strands of hair: where they grow, which way they are combed and how they fall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from faces.render import regions
from faces.render.mesh import Floats, Ints

Combing = Literal["crown", "side", "middle", "back", "down", "out", "brow"]
PART_X = 0.22
"""Where hair that is combed to the side is parted."""
SKULL_CENTRE = np.array([0.0, 7.5, 0.25])


@dataclass(frozen=True)
class Skin:
    """The dense surface that hair grows on and lies upon: (n, 3) each, numbers as in the mesh."""

    vertices: Floats
    normals: Floats
    base: Floats
    """The same vertices of the base mesh, in which regions are defined."""
    faces: Ints
    scale: float
    """The person's size, 1 for the base mesh."""

    def without_ears(self) -> tuple[KDTree, Floats, Floats, Floats]:
        """What long hair lies on: for the nearest vertex; vertices, normals, base."""
        keep = regions.ears(self.base) < 0.5
        return (
            KDTree(self.vertices[keep]),
            self.vertices[keep],
            self.normals[keep],
            self.base[keep],
        )


@dataclass(frozen=True, kw_only=True)
class Hair:
    """One growth of hair; lengths in decimetres of the base mesh."""

    region: str
    count: int
    length: float
    colour: tuple[float, float, float]
    """Linear reflectance of the strands, before they shade one another."""
    combing: Combing = "down"
    grey: float = 0.0
    """Share of strands that are grey."""
    lift: float = 0.3
    """How far it stands off at the root."""
    fall: float = 0.3
    """How soon it gives in to its weight."""
    layer: float = 0.08
    """How thick it lies on the head."""
    curl: float = 0.0
    """Radius of its curls."""
    pitch: float = 0.12
    """Length of a turn."""
    mess: float = 0.12
    radius: float = 0.0022
    points: int = 12
    cut: float | None = None
    """Height on the base mesh at which a fringe ends on the forehead."""


def strands(skin: Skin, hair: Hair, *, seed: int) -> Floats:
    """(count, points, 3) in the person's place."""
    random = np.random.default_rng(seed)
    at, normals, base = _roots(skin, hair, random)
    lengths = hair.length * skin.scale * random.uniform(0.75, 1.05, len(at))
    if hair.cut is not None:
        lengths *= np.where(base[:, 2] > 0.75, 0.55, 1.0)
    grown = _grown(skin, hair, (at, normals, base), lengths, random)
    return _curled(grown, hair, base, skin.scale, random)


def _roots(skin: Skin, hair: Hair, random: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    quads = np.vstack([skin.faces[:, [0, 1, 2]], skin.faces[:, [0, 2, 3]]])
    region: regions.Region = getattr(regions, hair.region)
    share = region(skin.base[quads].mean(axis=1))
    a, b, c = (skin.vertices[quads[:, i]] for i in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1) * share
    chosen = quads[random.choice(len(quads), hair.count, p=areas / areas.sum())]
    u, v = random.random((2, hair.count))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    weights = np.stack([1 - u - v, u, v], axis=1)[..., None]
    at, normals, base = (
        (values[chosen] * weights).sum(axis=1)
        for values in (skin.vertices, skin.normals, skin.base)
    )
    return at, unit(normals), base


def _grown(
    skin: Skin,
    hair: Hair,
    roots: tuple[Floats, Floats, Floats],
    lengths: Floats,
    random: np.random.Generator,
) -> Floats:
    at, normals, base = roots
    tree, surface, surface_normals, surface_base = skin.without_ears()
    scale = skin.scale
    layers = hair.layer * scale * random.uniform(0.1, 1.0, len(at))[:, None]
    wander = _coherent(base, 9.0, seed=3) + random.normal(0, 0.5, at.shape)
    direction = unit(hair.lift * normals + _combed(hair.combing, base) + hair.mess * wander)
    steps = (lengths / (hair.points - 1))[:, None]
    path = [at]
    for number in range(1, hair.points):
        _, nearest = tree.query(path[-1])
        normal = surface_normals[nearest]
        comb = _combed(hair.combing, surface_base[nearest])
        comb -= (comb * normal).sum(axis=1, keepdims=True) * normal
        share = number / hair.points
        direction = unit(
            direction
            + 0.45 * unit(comb)
            + np.array([0.0, -hair.fall * (0.4 + share), 0.0])
            + 0.25 * hair.mess * random.normal(0, 1, at.shape)
        )
        moved = path[-1] + direction * steps
        _, nearest = tree.query(moved)
        normal = surface_normals[nearest]
        height = ((moved - surface[nearest]) * normal).sum(axis=1, keepdims=True)
        floor = np.minimum(layers, 0.6 * number * steps)
        path.append(moved + np.maximum(floor - height, 0) * normal)
    return np.stack(path, axis=1)


def _combed(combing: Combing, base: Floats) -> Floats:
    """(n, 3) which way hair is combed there."""
    x, y, z = base.T
    zero, one = np.zeros_like(x), np.ones_like(x)
    if combing == "out":
        return unit(base - SKULL_CENTRE)
    if combing == "back":
        return np.stack([0.25 * np.sign(x), 0.15 * one - 0.5 * (z < 0.2), -one], axis=1)
    if combing in ("side", "middle"):
        away = x - (PART_X if combing == "side" else 0.0)
        side = np.tanh(away / 0.03)
        front = np.where(z > 0.9, -0.25, -0.4)
        return np.stack([side, -0.5 - 0.8 * (y < 8.0), front], axis=1)
    if combing == "crown":
        return unit(base - np.array([0.06, 8.6, -0.25]))
    if combing == "brow":
        up = np.interp(np.abs(x), [0.1, 0.2, 0.4, 0.6], [1.2, 0.5, -0.05, -0.35])
        return np.stack([np.sign(x), up, -0.6 * np.abs(x)], axis=1)
    return np.stack([0.35 * x, -one, zero], axis=1)


def _curled(
    grown: Floats, hair: Hair, base: Floats, scale: float, random: np.random.Generator
) -> Floats:
    if hair.curl == 0:
        return grown
    along = unit(np.gradient(grown, axis=1))
    first = unit(np.cross(along, np.array([0.31, 0.2, 0.93])))
    second = np.cross(along, first)
    travelled = np.linalg.norm(np.diff(grown, axis=1, prepend=grown[:, :1]), axis=2).cumsum(axis=1)
    phase = 2.5 * _coherent(base, 14.0, seed=5)[:, :1] + random.normal(0, 0.35, (len(base), 1))
    turn = (2 * np.pi * travelled / (hair.pitch * scale) + phase)[..., None]
    radius = hair.curl * scale * np.clip(travelled / (0.12 * scale), 0, 1)[..., None]
    curled: Floats = grown + radius * (np.cos(turn) * first + np.sin(turn) * second)
    return curled


def lashes(strip: Floats, eye: Floats, *, seed: int, length: float) -> Floats:
    """(60, 6, 3) lashes along one lid, from MakeHuman's strip for them."""
    random = np.random.default_rng(seed)
    distance = np.linalg.norm(strip - eye, axis=1)
    lid = strip[distance < np.median(distance)]
    lid = lid[np.argsort(lid[:, 0])]
    outward = unit(strip[distance > np.median(distance)].mean(axis=0) - lid.mean(axis=0))
    at = np.sort(random.uniform(0.03, 0.97, 60))
    roots = np.stack(
        [np.interp(at, np.linspace(0, 1, len(lid)), lid[:, axis]) for axis in range(3)], axis=1
    )
    spread = roots - roots.mean(axis=0)
    way = unit(outward + np.array([1.6, 0.0, 0.0]) * spread + random.normal(0, 0.08, roots.shape))
    rise = np.array([0.0, np.sign(roots[:, 1].mean() - eye[1]), 0.0])
    t = np.linspace(0, 1, 6)[None, :, None]
    lengths = length * random.uniform(0.7, 1.0, (60, 1, 1))
    grown: Floats = roots[:, None] + lengths * (t * way[:, None] + 0.35 * t**2 * rise)
    return grown


def _coherent(points: Floats, frequency: float, *, seed: int) -> Floats:
    """(n, 3) noise that is alike where points are close together."""
    random = np.random.default_rng(seed)
    total = np.zeros_like(points)
    for octave in range(3):
        waves = random.normal(0, frequency * 1.7**octave, (3, 3))
        total += np.sin(points @ waves + random.uniform(0, 6.28, 3)) / 1.5**octave
    return total


def unit(vectors: NDArray[np.float64]) -> Floats:
    """Each of length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    result: Floats = vectors / np.maximum(lengths, 1e-9)
    return result
