"""One person as objects of a scene: skin, eyes, teeth, hair, clothes and what is worn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import bpy  # pyright: ignore[reportMissingImports]

# isort: split
import bmesh  # pyright: ignore[reportMissingImports]  # is there once bpy is
import numpy as np

from faces.render import hair as growth
from faces.render import materials, regions, wear
from faces.render.hair import Hair, Skin
from faces.render.materials import Colour, Complexion
from faces.render.mesh import BaseMesh, Build, Floats, Ints, Surface

BASE_EYES_DM = 0.573
"""Between the pupils of a grown person; what a person's scale is measured by."""
DENSE = 2
"""How often the mesh is subdivided: 1 to 2 mm on the face."""


@dataclass(frozen=True, kw_only=True)
class Sitter:
    """One person."""

    name: str
    build: Build
    complexion: Complexion
    iris: Colour
    hair: Sequence[Hair] = ()
    brows: Hair | None = None
    glasses: float | None = None
    """Roundness of the frames."""
    cover: str | None = None
    """`scarf` or `cap`."""
    cover_colour: Colour = (0.1, 0.1, 0.3)
    clothes: Colour = (0.1, 0.15, 0.3)
    neckline: float = 5.72
    is_masked: bool = False
    hand: bool = False


@dataclass(frozen=True)
class Stage:
    """Where a person is put: below one object that turns it."""

    root: Any

    def add(self, name: str, data: Any, material: Any) -> Any:
        """Places a mesh, curve or hair."""
        thing = bpy.data.objects.new(name, data)
        bpy.context.scene.collection.objects.link(thing)
        thing.parent = self.root
        data.materials.append(material)
        return thing


def place(sitter: Sitter, base: BaseMesh, vertices: Floats, stage: Stage) -> None:
    """Puts the sitter's vertices, and all that grows on and is worn by them, on the stage."""
    skin, uv = dense(base, base.upper_body, vertices)
    attributes = {
        "flush": regions.flush(skin.base),
        "under_eyes": regions.under_eyes(skin.base),
        "wrinkled": regions.wrinkled(skin.base),
        "stubble": np.maximum(regions.beard(skin.base), regions.moustache(skin.base)),
        "scalp": regions.scalp(skin.base),
        "freckled": np.clip(1.3 * regions.flush(skin.base) + 0.25, 0, 1),
    }
    textures = base.folder / "mpfb2/textures"
    body = _mesh("skin", skin.vertices, skin.faces, uv=uv, attributes=attributes)
    stage.add("skin", body, materials.skin(sitter.complexion, textures))
    _eyes(sitter, base, vertices, stage, skin.scale)
    _mouth(base, vertices, stage)
    growths = [*sitter.hair, *([sitter.brows] if sitter.brows else [])]
    for number, one in enumerate(growths):
        lines = growth.strands(skin, one, seed=sitter.build.seed + number)
        if sitter.cover is None or one.region != "scalp":
            stage.add("hair", _strands(lines, one.radius * skin.scale),
                      materials.hair(one.colour, one.grey))  # fmt: skip
    _clothes(sitter, skin, stage)
    _worn(sitter, base, skin, vertices, stage)


def dense(base: BaseMesh, part: Surface, vertices: Floats) -> tuple[Skin, Floats]:
    """The part subdivided, and its texture coordinates (faces, 4, 2)."""
    neutral, _, _ = _subdivided(part)
    moved, faces, uv = _subdivided(part.moved(vertices))
    eyes = [base.joint(vertices, f"{side}-eye") for side in "lr"]
    scale = float(np.linalg.norm(eyes[0] - eyes[1])) / BASE_EYES_DM
    return Skin(moved, _normals(moved, faces), neutral, faces, scale), uv


def _subdivided(part: Surface) -> tuple[Floats, Ints, Floats]:
    mesh = _mesh("dense", part.vertices, part.faces, uv=part.uv)
    thing = bpy.data.objects.new("dense", mesh)
    bpy.context.scene.collection.objects.link(thing)
    modifier = thing.modifiers.new("subdivision", "SUBSURF")
    modifier.levels = DENSE
    graph = bpy.context.evaluated_depsgraph_get()
    result = thing.evaluated_get(graph).to_mesh()
    vertices = np.empty(3 * len(result.vertices))
    result.vertices.foreach_get("co", vertices)
    faces = np.empty(len(result.loops), np.int32)
    result.loops.foreach_get("vertex_index", faces)
    uv = np.empty(2 * len(result.loops))
    result.uv_layers[0].data.foreach_get("uv", uv)
    bpy.data.objects.remove(thing)
    bpy.data.meshes.remove(mesh)
    return vertices.reshape(-1, 3), faces.reshape(-1, 4).astype(np.int64), uv.reshape(-1, 4, 2)


def _normals(vertices: Floats, faces: Ints) -> Floats:
    a, b, c, d = (vertices[faces[:, i]] for i in range(4))
    of_faces = np.cross(c - a, d - b)
    normals = np.zeros_like(vertices)
    for corner in range(4):
        np.add.at(normals, faces[:, corner], of_faces)
    result: Floats = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    return result


def _mesh(
    name: str,
    vertices: Floats,
    faces: Ints,
    *,
    uv: Floats | None = None,
    attributes: dict[str, Floats] | None = None,
) -> Any:
    mesh = bpy.data.meshes.new(name)
    lists = [list(dict.fromkeys(face)) for face in faces.tolist()]
    mesh.from_pydata(vertices.tolist(), [], lists)
    if uv is not None:
        layer = mesh.uv_layers.new(name="uv")
        layer.data.foreach_set("uv", uv.reshape(-1))
    for key, values in (attributes or {}).items():
        mesh.attributes.new(key, "FLOAT", "POINT").data.foreach_set("value", values)
    mesh.shade_smooth()
    return mesh


def _strands(lines: Floats, radius: float) -> Any:
    count, points, _ = lines.shape
    curves = bpy.data.hair_curves.new("hair")
    curves.add_curves([points] * count)
    curves.attributes["position"].data.foreach_set("vector", lines.astype(np.float32).reshape(-1))
    taper = radius * np.tile(np.linspace(1.0, 0.35, points), count)
    curves.attributes.new("radius", "FLOAT", "POINT").data.foreach_set("value", taper)
    return curves


def _eyes(sitter: Sitter, base: BaseMesh, vertices: Floats, stage: Stage, scale: float) -> None:
    ball, front = materials.eyeball(sitter.iris), materials.wet()
    lash = materials.hair((0.01, 0.008, 0.006), 0)
    for side in "lr":
        eye = vertices[base.groups[f"helper-{side}-eye"].numbers]
        middle = (eye.min(axis=0) + eye.max(axis=0)) / 2
        radius = float(np.ptp(eye[:, 0])) / 2
        globe = stage.add("eye", _globe(1.0), ball)
        shell = stage.add("cornea", _globe(1.012, bulge=0.09), front)
        for thing in (globe, shell):
            thing.location, thing.scale = middle, (radius,) * 3
        for number in (1, 2):
            strip = vertices[base.groups[f"helper-{side}-eyelashes-{number}"].numbers]
            length = (0.085 if number == 2 else 0.03) * scale
            lines = growth.lashes(strip, middle, seed=number, length=length)
            stage.add("lashes", _strands(lines, 0.0016 * scale), lash)


def _globe(radius: float, *, bulge: float = 0.0) -> Any:
    """A ball that looks along z; `bulge` is the cornea's."""
    mesh = bpy.data.meshes.new("globe")
    shape = bmesh.new()
    bmesh.ops.create_uvsphere(shape, u_segments=64, v_segments=48, radius=radius)
    for vertex in shape.verts:
        out = math.hypot(vertex.co.x, vertex.co.y) / radius
        if vertex.co.z > 0:
            vertex.co.z += bulge * max(0.0, 1 - (out / 0.5) ** 2)
    shape.to_mesh(mesh)
    shape.free()
    mesh.shade_smooth()
    return mesh


def _mouth(base: BaseMesh, vertices: Floats, stage: Stage) -> None:
    parts = (
        ("helper-upper-teeth", materials.teeth()),
        ("helper-lower-teeth", materials.teeth()),
        ("helper-tongue", materials.plain("tongue", (0.42, 0.12, 0.11), roughness=0.35)),
    )
    for name, material in parts:
        part = base.groups[name].moved(vertices)
        thing = stage.add(name, _mesh(name, part.vertices, part.faces), material)
        thing.modifiers.new("subdivision", "SUBSURF").render_levels = 2


def _clothes(sitter: Sitter, skin: Skin, stage: Stage) -> None:
    shape = bmesh.new()
    mesh = _mesh("clothes", skin.vertices + 0.035 * skin.normals, skin.faces)
    shape.from_mesh(mesh)
    neck = skin.vertices[np.argmin(np.linalg.norm(skin.base - [0, sitter.neckline, 0.72], axis=1))]
    everything = [*shape.verts, *shape.edges, *shape.faces]
    bmesh.ops.bisect_plane(
        shape, geom=everything, plane_co=neck.tolist(), plane_no=(0, 1, 0.42), clear_outer=True
    )
    shape.to_mesh(mesh)
    shape.free()
    _smooth(mesh, times=40)
    cloth = materials.plain("cloth", sitter.clothes, roughness=0.85, weave=22)
    thing = stage.add("clothes", mesh, cloth)
    solid = thing.modifiers.new("thickness", "SOLIDIFY")
    solid.thickness, solid.offset = 0.05, 1.0


def _smooth(mesh: Any, *, times: int) -> None:
    """Takes the bumps out of cloth; its edge stays."""
    shape = bmesh.new()
    shape.from_mesh(mesh)
    inside = [vertex for vertex in shape.verts if not vertex.is_boundary]
    for _ in range(times):
        bmesh.ops.smooth_vert(
            shape, verts=inside, factor=0.5, use_axis_x=True, use_axis_y=True, use_axis_z=True
        )
    shape.to_mesh(mesh)
    shape.free()


def _worn(sitter: Sitter, base: BaseMesh, skin: Skin, vertices: Floats, stage: Stage) -> None:
    cloth = materials.plain("cover", sitter.cover_colour, roughness=0.8, weave=30)
    sheets = []
    if sitter.cover is not None:
        sheets.append((getattr(wear, sitter.cover)(skin), cloth, 0.04))
    if sitter.is_masked:
        white = materials.plain("mask", (0.55, 0.68, 0.75), roughness=0.9, weave=9)
        sheets.append((wear.face_mask(skin), white, 0.01))
    for sheet, material, thickness in sheets:
        mesh = _mesh("cover", sheet.vertices, sheet.faces)
        _smooth(mesh, times=14 if material is cloth and sitter.cover == "scarf" else 0)
        thing = stage.add("cover", mesh, material)
        solid = thing.modifiers.new("thickness", "SOLIDIFY")
        solid.thickness, solid.offset = thickness, 1.0
    if sitter.glasses is not None:
        _glasses(sitter, base, skin, vertices, stage)
    if sitter.hand:
        _hand(sitter, base, skin, vertices, stage)


def _glasses(sitter: Sitter, base: BaseMesh, skin: Skin, vertices: Floats, stage: Stage) -> None:
    eyes = (base.joint(vertices, "l-eye"), base.joint(vertices, "r-eye"))
    frames = wear.glasses(skin, eyes, roundness=sitter.glasses or 2.0)
    dark = materials.plain("frame", (0.012, 0.010, 0.010), roughness=0.25)
    for line in frames.rims:
        stage.add("rim", _tube(line, 0.020 * skin.scale, is_closed=True), dark)
        lens = np.vstack([line, line.mean(axis=0)])
        faces = [[i, (i + 1) % len(line), len(line), len(line)] for i in range(len(line))]
        stage.add("lens", _mesh("lens", lens, np.array(faces)), materials.wet(1.12))
    for line in frames.bars:
        stage.add("bar", _tube(line, 0.016 * skin.scale, is_closed=False), dark)


def _tube(line: Floats, radius: float, *, is_closed: bool) -> Any:
    curve = bpy.data.curves.new("tube", "CURVE")
    curve.dimensions, curve.bevel_depth, curve.bevel_resolution = "3D", radius, 3
    spline = curve.splines.new("POLY")
    spline.points.add(len(line) - 1)
    for point, (x, y, z) in zip(spline.points, line.tolist(), strict=True):
        point.co = (x, y, z, 1.0)
    spline.use_cyclic_u = is_closed
    return curve


def _hand(sitter: Sitter, base: BaseMesh, skin: Skin, vertices: Floats, stage: Stage) -> None:
    """The left hand laid over the mouth."""
    part = base.hand.moved(vertices)
    hand, uv = dense(base, base.hand, vertices)
    middle = part.vertices.mean(axis=0)
    spread = np.linalg.svd(part.vertices - middle, full_matrices=False)[2]
    along = spread[0] * np.sign(spread[0] @ (middle - base.joint(vertices, "l-elbow")))
    flat = spread[2]
    palm = base.joint(vertices, "l-hand")
    across = np.cross(flat, along)
    own = np.stack([along, across, flat])
    tip = np.array([-0.93, 0.36, 0.05])
    facing = np.array([0.0, 0.0, 1.0]) - tip * tip[2]
    facing /= np.linalg.norm(facing)
    wanted = np.stack([tip / np.linalg.norm(tip), np.cross(facing, tip), facing])
    mouth = skin.vertices[np.argmin(np.linalg.norm(skin.base - [0.1, 6.62, 1.6], axis=1))]
    moved = (hand.vertices - palm - 0.85 * along) @ own.T @ wanted + mouth + [0, 0, 0.28]
    mesh = _mesh("hand", moved, hand.faces, uv=uv)
    textures = base.folder / "mpfb2/textures"
    stage.add("hand", mesh, materials.skin(sitter.complexion, textures))
