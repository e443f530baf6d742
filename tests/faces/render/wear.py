"""Glasses, headscarves, caps, clothes and masks as bare surfaces and lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from faces.render import regions
from faces.render.hair import Skin, unit
from faces.render.mesh import Floats, Ints

RINGS, ROUND = 260, 360


@dataclass(frozen=True)
class Sheet:
    """A surface: (n, 3) vertices, (m, 4) faces."""

    vertices: Floats
    faces: Ints


def wrapped(skin: Skin, *, low: float, high: float, offset: float, ribs: float = 0.0) -> Sheet:
    """Cloth around the head: at each height the convex outline of what is inside, and `offset`.

    Heights are those of the base mesh. Ears and hair go under it.
    """
    base_y = skin.base[:, 1]
    heights = np.linspace(low, high, RINGS)
    angles = np.linspace(-np.pi, np.pi, ROUND, endpoint=False)
    ways = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    rings, middles = np.zeros((RINGS, ROUND, 3)), []
    for number, height in enumerate(heights):
        near = np.abs(base_y - height) < 0.06
        near &= (np.abs(skin.base[:, 0]) < 1.3) | (height > 6.1)
        points = skin.vertices[near]
        middle = points.mean(axis=0)
        reach = ((points - middle)[:, [0, 2]] @ ways.T).max(axis=0)
        # The lower edge lies closer than the rest.
        reach = reach + offset * skin.scale * min(1.0, 0.35 + 3 * (height - low))
        folds = 0.5 * np.sin(ribs * angles) * 0.02 if ribs else 0.0
        rings[number, :, [0, 2]] = (ways * (reach * (1 + folds))[:, None]).T
        rings[number, :, 1] = middle[1]
        rings[number] += [middle[0], 0, middle[2]]
        middles.append(middle)
    smooth = _smoothed(rings)
    top = np.mean(smooth[-1], axis=0) + np.array([0, 0.5 * offset * skin.scale, 0])
    vertices = np.vstack([smooth.reshape(-1, 3), top])
    return Sheet(vertices, _ring_faces(RINGS, ROUND))


def _smoothed(rings: Floats) -> Floats:
    """Rings with no jump from one to the next."""
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 3.0) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(rings, ((6, 6), (0, 0), (0, 0)), mode="edge")
    smooth: Floats = np.stack(
        [np.tensordot(kernel, padded[i : i + 13], axes=1) for i in range(len(rings))]
    )
    smooth[..., 1] = rings[..., 1]
    return smooth


def _ring_faces(rings: int, around: int) -> Ints:
    row, column = np.mgrid[0 : rings - 1, 0:around]
    following = (column + 1) % around
    walls = np.stack(
        [row * around + column, row * around + following,
         (row + 1) * around + following, (row + 1) * around + column], axis=-1,
    ).reshape(-1, 4)  # fmt: skip
    last, top = (rings - 1) * around + np.arange(around), np.full(around, rings * around)
    lid = np.stack([last, np.roll(last, -1), top, top], axis=-1)
    return np.vstack([walls, lid]).astype(np.int64)


def scarf(skin: Skin) -> Sheet:
    """A headscarf that leaves the face free and falls on the shoulders."""
    sheet = wrapped(skin, low=5.0, high=8.48, offset=0.08)
    _, nearest = KDTree(skin.vertices).query(sheet.vertices)
    base = skin.base[nearest]
    fold = 0.020 * np.sin(24 * base[:, 1] + 7 * base[:, 0]) + 0.02 * np.sin(15 * base[:, 0])
    away = unit(sheet.vertices - skin.vertices[nearest])
    vertices = sheet.vertices + away * (fold * np.clip(6.6 - base[:, 1], 0, 1))[:, None]
    edge = regions.face(base)
    # Around the face the cloth lies on the skin.
    snug = np.clip(1 - np.abs(edge), 0, 1)[:, None] ** 0.7
    on_skin = skin.vertices[nearest] + 0.035 * skin.scale * skin.normals[nearest]
    vertices = vertices + snug * (on_skin - vertices)
    keep = (edge < 0.0)[sheet.faces].any(axis=1)
    return Sheet(vertices, sheet.faces[keep])


def cap(skin: Skin) -> Sheet:
    """A knitted cap, from above the brows upwards."""
    return wrapped(skin, low=7.60, high=8.48, offset=0.07, ribs=70)


def face_mask(skin: Skin) -> Sheet:
    """A surgical mask over nose, mouth and chin."""
    x, y = np.meshgrid(np.linspace(-0.70, 0.70, 80), np.linspace(6.10, 7.10, 60))
    front = skin.base[:, 2] > 0.2
    base, vertices = skin.base[front], skin.vertices[front]
    depth, place = np.zeros((*x.shape, 1)), np.zeros((*x.shape, 3))
    for row in range(x.shape[0]):
        away = (base[None, :, 0] - x[row][:, None]) ** 2 + (base[None, :, 1] - y[row][:, None]) ** 2
        weight = np.exp(-away / (2 * 0.045**2)) * np.exp(6 * base[None, :, 2])
        weight /= weight.sum(axis=1, keepdims=True)
        place[row] = weight @ vertices
        depth[row] = 0.07 * skin.scale
    place[..., 2:] += depth + 0.02 * np.sin(22 * y)[..., None] * skin.scale
    grid = np.arange(x.size).reshape(x.shape)
    faces = np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], axis=-1)
    inside = y < 7.06 - 0.30 * np.abs(x) ** 1.3
    keep = inside.reshape(-1)[faces.reshape(-1, 4)].all(axis=1)
    return Sheet(place.reshape(-1, 3), faces.reshape(-1, 4)[keep])


@dataclass(frozen=True)
class Glasses:
    """Lines (each (n, 3), closed or not) that become tubes, and the lenses' outlines."""

    rims: list[Floats]
    bars: list[Floats]


def glasses(skin: Skin, eyes: tuple[Floats, Floats], *, roundness: float) -> Glasses:
    """Frames before both eyes; `roundness` 2 is round, 5 nearly square."""
    scale = skin.scale
    nose = skin.vertices[np.argmin(np.linalg.norm(skin.base - [0, 7.30, 1.51], axis=1))]
    front = nose[2] + 0.045 * scale
    around = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    squeeze = (np.abs(np.cos(around)) ** roundness + np.abs(np.sin(around)) ** roundness) ** (
        -1 / roundness
    )
    wide, high = (0.235, 0.19) if roundness > 3 else (0.215, 0.205)
    rims, bars = [], []
    half = 0.5 * abs(eyes[0][0] - eyes[1][0])
    for eye in eyes:
        side = np.sign(eye[0] - nose[0])
        x = eye[0] + 0.015 * side * scale + scale * wide * squeeze * np.cos(around)
        y = eye[1] - 0.03 * scale + scale * high * squeeze * np.sin(around)
        bow = 0.10 * ((x - nose[0]) / half) ** 2 * 0.5 * scale
        rims.append(np.stack([x, y, front - bow], axis=1))
        hinge = rims[-1][np.argmax(side * rims[-1][:, 0])] + [0, 0.06 * scale, 0]
        over = skin.vertices[
            np.argmin(np.linalg.norm(skin.base - [side * 0.76, 7.42, 0.52], axis=1))
        ]
        ear = over + np.array([0.03 * side * scale, 0.02 * scale, 0.0])
        corner = np.array([ear[0] + 0.01 * side, hinge[1], hinge[2] - 0.06 * scale])
        bars.append(np.stack([hinge, corner, ear]))
    inner = [rim[np.argmin(np.abs(rim[:, 0] - nose[0]))] + [0, 0.05 * scale, 0] for rim in rims]
    top = (inner[0] + inner[1]) / 2 + [0, 0.045 * scale, 0.01]
    bars.append(np.stack([inner[0], top, inner[1]]))
    return Glasses(rims, bars)
