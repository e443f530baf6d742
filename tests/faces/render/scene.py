"""Puts people before a camera and takes their picture with Cycles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import bpy  # pyright: ignore[reportMissingImports]
import numpy as np

from faces.render import materials
from faces.render.materials import Colour
from faces.render.mesh import BaseMesh, person
from faces.render.sitter import BASE_EYES_DM, Sitter, Stage, place

FOCAL_MM, SENSOR_MM = 85.0, 36.0
FRAME_DM = 3.3
"""Width of what is seen at the eyes, for a grown person."""
QUALITY = 88
"""Of the JPEG."""


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A picture: who, in what light, seen how."""

    name: str
    sitters: Sequence[Sitter]
    yaw: float = 0.0
    """Degrees that the heads are turned."""
    pitch: float = 0.0
    roll: float = 0.0
    """Degrees that the camera is."""
    distance: float = 1.0
    """2 shows twice as much."""
    world: str = "interior"
    world_turn: float = 0.0
    light: float = 0.45
    key: tuple[float, float, float] = (-0.7, 0.6, 1.0)
    """Where the main light is from, seen from the face."""
    key_watt: float = 55.0
    key_colour: Colour = (1.0, 0.93, 0.85)
    fill: float = 0.25
    backdrop: Colour | None = None
    exposure: float = 0.0
    f_stop: float = 4.0
    focus_dm: float = 0.0
    """How far behind the eyes the lens is focused; far is blurred."""


def picture(shot: Shot, base: BaseMesh, path: Path, *, size: int, samples: int) -> None:
    """Renders to a JPEG file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    middle = (len(shot.sitters) - 1) / 2
    eyes = np.zeros(3)
    scale = 1.0
    for number, sitter in enumerate(shot.sitters):
        vertices = person(base, sitter.build)
        eyes = (base.joint(vertices, "l-eye") + base.joint(vertices, "r-eye")) / 2
        scale = float(np.ptp([base.joint(vertices, f"{s}-eye")[0] for s in "lr"])) / BASE_EYES_DM
        root = bpy.data.objects.new("root", None)
        bpy.context.scene.collection.objects.link(root)
        place(sitter, base, vertices - eyes + [0, 0, eyes[2] - 0.2], Stage(root))
        root.rotation_euler = (math.radians(shot.pitch), math.radians(shot.yaw), 0)
        root.location = (3.0 * (number - middle), 0, -0.4 * abs(number - middle))
    _camera(shot, scale)
    _lights(shot)
    _render(path, size=size, samples=samples)


def _camera(shot: Shot, scale: float) -> None:
    wide = FRAME_DM * scale * shot.distance
    data = bpy.data.cameras.new("camera")
    data.lens, data.sensor_width = FOCAL_MM, SENSOR_MM
    away = wide * FOCAL_MM / SENSOR_MM
    camera = bpy.data.objects.new("camera", data)
    camera.location = (0, -0.13 * wide, away + 0.9)
    camera.rotation_euler = (0, 0, math.radians(shot.roll))
    data.dof.use_dof = True
    data.dof.focus_distance = away - 0.15 + shot.focus_dm
    data.dof.aperture_fstop = shot.f_stop / 10  # decimetres stand for Blender's metres
    data.clip_end = 1000
    scene = bpy.context.scene
    scene.collection.objects.link(camera)
    scene.camera = camera


def _lights(shot: Shot) -> None:
    _world(shot)
    key = np.array(shot.key) / np.linalg.norm(shot.key)
    lamps = (
        (key * 9.0, shot.key_watt, 3.0, shot.key_colour),
        (np.array([-7.0 * np.sign(key[0] or 1), 0.5, 5.0]), shot.fill * shot.key_watt,
         6.0, (0.85, 0.92, 1.0)),
    )  # fmt: skip
    for position, watt, size, colour in lamps:
        data = bpy.data.lights.new("lamp", "AREA")
        data.energy, data.size, data.color = 10 * watt, size, colour
        lamp = bpy.data.objects.new("lamp", data)
        lamp.location = position
        direction = bpy.data.objects.new("aim", None)
        bpy.context.scene.collection.objects.link(direction)
        aim = lamp.constraints.new("TRACK_TO")
        aim.target, aim.track_axis, aim.up_axis = direction, "TRACK_NEGATIVE_Z", "UP_Y"
        bpy.context.scene.collection.objects.link(lamp)
    if shot.backdrop is not None:
        wall = bpy.data.meshes.new("wall")
        corners = [(-60, -60, -9), (60, -60, -9), (60, 60, -9), (-60, 60, -9)]
        wall.from_pydata(corners, [], [(0, 1, 2, 3)])
        wall.materials.append(materials.plain("wall", shot.backdrop, roughness=0.9))
        bpy.context.scene.collection.objects.link(bpy.data.objects.new("wall", wall))


def _world(shot: Shot) -> None:
    """Blender's own studio panoramas: light from all round, and what is far behind."""
    world = bpy.data.worlds.new("world")
    bpy.context.scene.world = world
    world.use_nodes = True
    nodes, links = world.node_tree.nodes, world.node_tree.links
    nodes.clear()
    place = nodes.new("ShaderNodeTexCoord")
    turn = nodes.new("ShaderNodeMapping")
    turn.inputs["Rotation"].default_value = (math.pi / 2, 0, math.radians(shot.world_turn))
    panorama = nodes.new("ShaderNodeTexEnvironment")
    root = Path(bpy.utils.system_resource("DATAFILES")) / "studiolights/world"
    panorama.image = bpy.data.images.load(str(root / f"{shot.world}.exr"))
    light = nodes.new("ShaderNodeBackground")
    light.inputs["Strength"].default_value = shot.light
    out = nodes.new("ShaderNodeOutputWorld")
    links.new(place.outputs["Generated"], turn.inputs[0])
    links.new(turn.outputs[0], panorama.inputs[0])
    links.new(panorama.outputs[0], light.inputs[0])
    links.new(light.outputs[0], out.inputs[0])


def _render(path: Path, *, size: int, samples: int) -> None:
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    cycles = scene.cycles
    cycles.device, cycles.samples, cycles.use_denoising = "CPU", samples, True
    cycles.denoiser = "OPENIMAGEDENOISE"
    cycles.adaptive_threshold, cycles.max_bounces = 0.02, 8
    cycles.transparent_max_bounces, cycles.seed = 16, 1
    scene.render.threads_mode, scene.render.threads = "FIXED", 1
    scene.render.resolution_x = scene.render.resolution_y = size
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = "Medium High Contrast"
    scene.render.image_settings.file_format = "JPEG"
    scene.render.image_settings.quality = QUALITY
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
