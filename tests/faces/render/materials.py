"""What skin, eyes, hair, cloth and glass look like: Cycles materials."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy  # pyright: ignore[reportMissingImports]

Colour = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Complexion:
    """Skin of one person; colours are linear."""

    skin: Colour
    lips: Colour
    flush: float = 0.35
    freckles: float = 0.0
    spots: float = 0.0
    """Age spots."""
    wrinkles: float = 0.0
    stubble: float = 0.0
    hair: Colour = (0.03, 0.02, 0.015)
    shaved: float = 0.0
    """How dark the scalp is under short hair."""
    relief: float = 0.5
    """How coarse the pores are."""
    shine: float = 0.5
    """0 matt, 1 wet."""


class Nodes:
    """A new material's node tree, built from the end to the beginning."""

    def __init__(self, name: str) -> None:
        self.material: Any = bpy.data.materials.new(name)
        self.material.use_nodes = True
        self.tree: Any = self.material.node_tree
        self.tree.nodes.clear()
        self.output = self.tree.nodes.new("ShaderNodeOutputMaterial")

    def add(self, kind: str, inputs: Mapping[str | int, Any] | None = None, **settings: Any) -> Any:
        """A node; inputs are numbers, colours, or sockets to be linked."""
        node = self.tree.nodes.new(kind)
        for name, setting in settings.items():
            setattr(node, name, setting)
        for key, value in (inputs or {}).items():
            socket = node.inputs[key]
            if isinstance(value, bpy.types.NodeSocket):
                self.tree.links.new(value, socket)
            elif isinstance(value, tuple) and len(value) == 3 and socket.type == "RGBA":
                socket.default_value = (*value, 1.0)
            else:
                socket.default_value = value
        return node

    def attribute(self, name: str) -> Any:
        """A number that the mesh holds for each vertex."""
        return self.add("ShaderNodeAttribute", attribute_name=name).outputs["Fac"]

    def mix(self, share: Any, first: Any, second: Any, *, blend: str = "MIX") -> Any:
        """A colour between two, or one multiplied by the other."""
        node = self.add(
            "ShaderNodeMix",
            {0: share, 6: first, 7: second},
            data_type="RGBA",
            blend_type=blend,
        )
        return node.outputs[2]

    def times(self, first: Any, second: Any) -> Any:
        """A product."""
        return self.add("ShaderNodeMath", {0: first, 1: second}, operation="MULTIPLY").outputs[0]

    def ramp(self, value: Any, low: float, high: float) -> Any:
        """0 at `low`, 1 at `high`."""
        node = self.add(
            "ShaderNodeMapRange", {"Value": value, "From Min": low, "From Max": high}, clamp=True
        )
        return node.outputs[0]

    def noise(self, scale: float, *, detail: float = 4.0, where: Any = None) -> Any:
        """Noise of about 0.5, `scale` waves a decimetre."""
        at = where or self.add("ShaderNodeTexCoord").outputs["Object"]
        return self.add(
            "ShaderNodeTexNoise", {"Vector": at, "Scale": scale, "Detail": detail}
        ).outputs[0]

    def end(self, surface: Any) -> Any:
        """Links the surface and gives the material."""
        self.tree.links.new(surface, self.output.inputs["Surface"])
        return self.material


def skin(complexion: Complexion, textures: Path) -> Any:
    """Skin with blood, pores, freckles, stubble and lips."""
    n = Nodes("skin")
    lip = n.add(
        "ShaderNodeTexImage",
        {"Vector": n.add("ShaderNodeUVMap", uv_map="uv").outputs[0]},
        image=_mask(textures / "mpfb_lips.jpg"),
    ).outputs[0]
    colour = _skin_colour(n, complexion, lip)
    rough = n.mix(
        n.ramp(n.noise(28), 0.3, 0.7),
        (0.62 - 0.2 * complexion.shine,) * 3,
        (0.74 - 0.2 * complexion.shine,) * 3,
    )
    rough = n.mix(lip, rough, (0.36, 0.36, 0.36))
    bsdf = n.add(
        "ShaderNodeBsdfPrincipled",
        {
            "Base Color": colour,
            "Roughness": rough,
            "Subsurface Weight": 1.0,
            "Subsurface Radius": (1.0, 0.36, 0.19),
            "Subsurface Scale": 0.032,
            "Specular IOR Level": 0.42,
            "Normal": _relief(n, complexion, lip),
        },
    )
    return n.end(bsdf.outputs[0])


def _skin_colour(n: Nodes, complexion: Complexion, lip: Any) -> Any:
    tone = complexion.skin
    redder = (tone[0] * 0.97, tone[1] * 0.70, tone[2] * 0.66)
    darker = (tone[0] * 0.80, tone[1] * 0.72, tone[2] * 0.68)
    lighter = tuple(min(1.0, channel * 1.10) for channel in tone)
    colour = n.mix(n.ramp(n.noise(2.2, detail=6), 0.35, 0.65), tone, lighter)
    colour = n.mix(n.times(n.ramp(n.noise(5.5, detail=5), 0.42, 0.75), 0.5), colour, redder)
    colour = n.mix(n.times(n.ramp(n.noise(45, detail=3), 0.5, 0.8), 0.3), colour, darker)
    blood = n.times(n.attribute("flush"), n.ramp(n.noise(8), 0.2, 0.6))
    colour = n.mix(n.times(blood, 2.0 * complexion.flush), colour, redder)
    colour = n.mix(n.times(n.attribute("under_eyes"), 0.55), colour, darker)
    if complexion.freckles:
        brown = (tone[0] * 0.58, tone[1] * 0.42, tone[2] * 0.33)
        dots = n.times(n.ramp(n.noise(26, detail=1), 0.58, 0.66), n.attribute("freckled"))
        colour = n.mix(n.times(dots, complexion.freckles), colour, brown)
    if complexion.spots:
        spots = n.ramp(n.noise(7, detail=6), 0.62, 0.68)
        colour = n.mix(n.times(spots, 0.6 * complexion.spots), colour, darker)
    shadow = n.ramp(n.noise(130, detail=2), 0.25, 0.75)
    for name, amount in (("stubble", complexion.stubble), ("scalp", complexion.shaved)):
        if amount:
            share = n.times(n.times(n.attribute(name), amount), shadow)
            colour = n.mix(share, colour, complexion.hair)
    lips = n.mix(n.ramp(n.noise(18), 0.3, 0.8), complexion.lips, tuple(
        0.8 * channel for channel in complexion.lips
    ))  # fmt: skip
    return n.mix(n.times(lip, 0.85), colour, lips)


def _relief(n: Nodes, complexion: Complexion, lip: Any) -> Any:
    """A bump: pores, fine lines, and the folds of age."""
    place = n.add("ShaderNodeTexCoord").outputs["Object"]
    cells = n.add("ShaderNodeTexVoronoi", {"Vector": place, "Scale": 55.0}).outputs[0]
    fine = n.add("ShaderNodeMath", {0: n.noise(38), 1: n.times(cells, 0.8)}).outputs[0]
    bump = n.add(
        "ShaderNodeBump", {"Strength": complexion.relief, "Distance": 0.014, "Height": fine}
    )
    normal = bump.outputs[0]
    wide = n.add("ShaderNodeMapping", {"Vector": place, "Scale": (1.0, 0.12, 1.0)}).outputs[0]
    creases = n.times(n.noise(60, where=wide), lip)
    normal = n.add(
        "ShaderNodeBump",
        {"Strength": 0.4, "Distance": 0.012, "Height": creases, "Normal": normal},
    ).outputs[0]
    if not complexion.wrinkles:
        return normal
    flat = n.add("ShaderNodeMapping", {"Vector": place, "Scale": (0.16, 1.0, 0.16)}).outputs[0]
    lines = n.ramp(n.noise(9.5, detail=2, where=flat), 0.36, 0.52)
    return n.add(
        "ShaderNodeBump",
        {
            "Strength": 0.8 * complexion.wrinkles,
            "Distance": 0.035,
            "Height": n.times(lines, n.attribute("wrinkled")),
            "Normal": normal,
        },
    ).outputs[0]


def eyeball(iris: Colour) -> Any:
    """White, iris and pupil, by the angle from the axis of sight (object z)."""
    n = Nodes("eye")
    place = n.add("ShaderNodeTexCoord").outputs["Object"]
    split = n.add("ShaderNodeSeparateXYZ", {0: place})
    x, y = split.outputs[0], split.outputs[1]
    radius = n.add(
        "ShaderNodeMath",
        {0: n.add("ShaderNodeMath", {0: n.times(x, x), 1: n.times(y, y)}).outputs[0]},
        operation="SQRT",
    ).outputs[0]
    angle = n.add("ShaderNodeMath", {0: y, 1: x}, operation="ARCTAN2").outputs[0]
    rays = n.add("ShaderNodeCombineXYZ", {0: n.times(angle, 3.0), 1: n.times(radius, 0.5)}).outputs[
        0
    ]
    fibres = n.ramp(n.noise(3.2, detail=5, where=rays), 0.3, 0.75)
    light = tuple(min(1.0, 2.3 * channel + 0.02) for channel in iris)
    colour = n.mix(fibres, iris, light)
    colour = n.mix(n.ramp(radius, 0.34, 0.43), colour, tuple(0.25 * channel for channel in iris))
    veins = n.times(n.ramp(n.noise(5, detail=8), 0.55, 0.75), n.ramp(radius, 0.5, 1.0))
    white = n.mix(n.times(veins, 0.55), (0.70, 0.66, 0.62), (0.62, 0.33, 0.28))
    colour = n.mix(n.ramp(radius, 0.405, 0.445), colour, white)
    colour = n.mix(n.ramp(radius, 0.165, 0.185), (0.003, 0.003, 0.003), colour)
    bsdf = n.add(
        "ShaderNodeBsdfPrincipled",
        {"Base Color": colour, "Roughness": 0.35, "Subsurface Weight": 0.2,
         "Subsurface Radius": (1.0, 0.4, 0.3), "Subsurface Scale": 0.03},
    )  # fmt: skip
    return n.end(bsdf.outputs[0])


def wet(ior: float = 1.36) -> Any:
    """The clear, shining front of the eye, or a coated lens: seen by what it mirrors."""
    n = Nodes("wet")
    clear = n.add("ShaderNodeBsdfTransparent").outputs[0]
    mirror = n.add("ShaderNodeBsdfGlossy", {"Roughness": 0.03}).outputs[0]
    share = n.add("ShaderNodeFresnel", {"IOR": ior}).outputs[0]
    return n.end(n.add("ShaderNodeMixShader", {0: share, 1: clear, 2: mirror}).outputs[0])


def hair(colour: Colour, grey: float) -> Any:
    """Strands; some of them grey."""
    n = Nodes("hair")
    chance = n.add("ShaderNodeHairInfo").outputs["Random"]
    tone = n.mix(chance, tuple(0.7 * channel for channel in colour), colour)
    if grey:
        is_grey = n.add("ShaderNodeMath", {0: chance, 1: 1 - grey}, operation="GREATER_THAN")
        tone = n.mix(is_grey.outputs[0], tone, (0.55, 0.54, 0.52))
    bsdf = n.add(
        "ShaderNodeBsdfHairPrincipled",
        {"Color": tone, "Roughness": 0.32, "Radial Roughness": 0.4},
        parametrization="COLOR",
    )
    return n.end(bsdf.outputs[0])


def plain(name: str, colour: Colour, *, roughness: float = 0.6, weave: float = 0.0) -> Any:
    """Cloth (with a weave of so many threads a decimetre), frames, teeth or gums."""
    n = Nodes(name)
    inputs: dict[str | int, Any] = {"Base Color": colour, "Roughness": roughness}
    if weave:
        place = n.add("ShaderNodeTexCoord").outputs["Object"]
        threads = n.add("ShaderNodeTexWave", {"Vector": place, "Scale": weave, "Distortion": 1.5})
        shade = n.mix(n.ramp(n.noise(4), 0.3, 0.7), colour, tuple(0.75 * c for c in colour))
        inputs["Base Color"] = n.mix(n.times(threads.outputs["Fac"], 0.25), shade, (0, 0, 0))
        inputs["Sheen Weight"] = 0.25
        inputs["Normal"] = n.add(
            "ShaderNodeBump",
            {"Strength": 0.3, "Distance": 0.02, "Height": threads.outputs["Fac"]},
        ).outputs[0]
    return n.end(n.add("ShaderNodeBsdfPrincipled", inputs).outputs[0])


def teeth() -> Any:
    """Enamel."""
    n = Nodes("teeth")
    bsdf = n.add(
        "ShaderNodeBsdfPrincipled",
        {"Base Color": (0.72, 0.65, 0.52), "Roughness": 0.2, "Subsurface Weight": 0.3,
         "Subsurface Radius": (1.0, 0.8, 0.6), "Subsurface Scale": 0.02},
    )  # fmt: skip
    return n.end(bsdf.outputs[0])


def _mask(path: Path) -> Any:
    image = bpy.data.images.load(str(path), check_existing=True)
    image.colorspace_settings.name = "Non-Color"
    return image
