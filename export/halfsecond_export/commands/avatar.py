"""`halfsecond export avatar`."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from halfsecond.cli.options import JsonFlag
from halfsecond.errors import ConfigError
from halfsecond.models.face.picture import read_picture
from halfsecond.models.lipsync.avatar_file import NAME, avatars_folder
from halfsecond.store import Store
from halfsecond_export.avatar import exporting
from halfsecond_export.avatar.filming import is_video
from halfsecond_export.commands.options import Home, progress_bar, report, written_to

SHAPES = {"1:1": (512, 512), "9:16": (720, 1280), "16:9": (1280, 720)}
SMALLEST_PX, LARGEST_PX = 128, 2160


def avatar(
    photo: Annotated[
        Path, typer.Argument(help="JPEG, PNG or WebP of one face from the front; or a short video.")
    ],
    name: Annotated[str, typer.Option(help="What configs and clients call it.")],
    out: Annotated[
        Path | None, typer.Option(help="Directory to write; without it the avatar is installed.")
    ] = None,
    size: Annotated[
        str, typer.Option(help="1:1 (512x512), 9:16 (720x1280), 16:9 (1280x720), or WIDTHxHEIGHT.")
    ] = "1:1",
    fit: Annotated[
        str, typer.Option(help="crop, or pad: what lies beyond the photo goes on out of focus.")
    ] = "crop",
    mirror: Annotated[bool, typer.Option("--mirror", help="Swap left and right.")] = False,
    background: Annotated[
        str,
        typer.Option(help="Behind a transparent photo: #rrggbb (a chroma key), or a picture."),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of blinks and sway at rest: `face.seed`.")] = 0,
    home: Home = None,
    as_json: JsonFlag = False,
) -> None:
    """Turn a photo into a face that is ready to speak, or say what is wrong with the photo."""
    if not NAME.fullmatch(name):
        raise ConfigError(f"--name is {name!r}; it can have letters, digits, `-`, `_` and `.`")
    if fit not in ("crop", "pad"):
        raise ConfigError(f"--fit is {fit!r}; it can be crop or pad")
    if is_video(photo) and (mirror or background):
        raise ConfigError("--mirror and --background are for photos; prepare the video so")
    store = Store.default(home)
    target = out or avatars_folder(store.home) / name
    flags = ["--mirror"] if mirror else []
    behind = ["--background", background] if background else []
    options = ["--size", size, "--fit", fit, "--seed", str(seed), *flags, *behind]
    command = ["halfsecond", "export", "avatar", str(photo), "--name", name, "--out", str(target)]
    request = exporting.Request(
        photo=photo,
        name=name,
        out=target,
        face_models=store.path("face"),
        rebuild=shlex.join([*command, *options]),
        size=parse_size(size),
        fit="pad" if fit == "pad" else "crop",
        is_mirrored=mirror,
        backdrop=_backdrop(background),
        seed=seed,
    )
    console = Console(stderr=True)
    with progress_bar(console) as progress, written_to(target):
        artifact, made = exporting.export(request, progress=progress)
    if made.portrait.advice:
        console.print(f"note: {made.portrait.advice}", markup=False, soft_wrap=True)
    report("Avatar", target.parent, {target.name: artifact}, as_json=as_json)
    if not as_json:
        value = name if out is None else f"./{out}" if not out.is_absolute() else str(out)
        Console().print(f'\n\\[face]\navatar = "{value}"', soft_wrap=True)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of a proportion or of `WIDTHxHEIGHT`; raises ConfigError."""
    if text in SHAPES:
        return SHAPES[text]
    found = re.fullmatch(r"(\d{2,5})[x×](\d{2,5})", text)
    if found is None:
        raise ConfigError(
            f"--size is {text!r}; it can be {', '.join(SHAPES)}, or pixels such as 640x480"
        )
    width, height = int(found[1]), int(found[2])
    if not all(SMALLEST_PX <= side <= LARGEST_PX and side % 2 == 0 for side in (width, height)):
        raise ConfigError(
            f"--size is {text}; both sides must be even and in {SMALLEST_PX} to {LARGEST_PX}"
        )
    return width, height


def _backdrop(text: str) -> tuple[int, int, int] | NDArray[np.uint8] | None:
    if not text:
        return None
    if found := re.fullmatch(r"#([0-9a-fA-F]{6})", text):
        red, green, blue = bytes.fromhex(found[1])
        return red, green, blue
    if not Path(text).is_file():
        raise ConfigError(
            f"--background is {text!r}; it can be a colour such as #00b140, or a picture file"
        )
    return read_picture(Path(text)).image
