"""A photo becomes an avatar: what the runtime would compute at every start, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Artifact
from halfsecond.errors import PortraitError
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.picture import BACKDROP, read_picture
from halfsecond.models.face.portrait import DEFAULT_SIZE, Fit, Portrait, load_portrait
from halfsecond.models.lipsync.avatar import Avatar, IdleLoop
from halfsecond.models.lipsync.avatar_checks import checks_of
from halfsecond.models.lipsync.avatar_file import KIND, LAYOUT, write_avatar
from halfsecond.models.lipsync.body import Body
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.expression import LIFE_S, Expression
from halfsecond.models.lipsync.mouth import CLOSED
from halfsecond.synthetic_media import FACE_TYPE
from halfsecond_export.avatar.filming import film, is_video
from halfsecond_export.formats import Format, hashes_of, write_manifest
from halfsecond_export.prepare.request import replaced_directory

IDLE_FPS = 12.5
"""Of the resting face: a blink lasts four pictures. The default `face.idle_fps` is 12."""
IDLE_QUALITY = 85
"""Of its JPEGs, as `face.jpeg_quality`."""
LIBRARIES = ("numpy", "opencv-python-headless", "onnxruntime")

Progress = Callable[[float, str], None]
"""Told what part is done, 0 to 1, and what is being done."""


@dataclass(frozen=True)
class Request:
    """Which photo, and what to make of it."""

    photo: Path
    """Or a short video."""
    name: str
    out: Path
    """The directory to write."""
    face_models: Path
    rebuild: str
    """The command that does this again."""
    size: tuple[int, int] = DEFAULT_SIZE
    fit: Fit = "crop"
    is_mirrored: bool = False
    backdrop: tuple[int, int, int] | NDArray[np.uint8] | None = None
    """Behind a transparent photo; None: light grey."""
    seed: int = 0
    """Of the life that the resting face shows."""


def export(request: Request, *, progress: Progress) -> tuple[Artifact, Avatar]:
    """Writes the avatar and gives its manifest; what was there before stays if anything fails.

    Raises:
        PortraitError: the picture cannot become a face, and what to do about it.
        ModelError: a face model is missing.
    """
    models = request.face_models
    files = models / "face_detector.onnx", models / "face_landmarks.onnx"
    finder = FaceFinder(*files)
    progress(0.05, "finding the face")
    body: Body | None = None
    if is_video(request.photo):
        meter = ApertureMeter(*files)
        portrait, body = film(request.photo, finder, meter, size=request.size, fit=request.fit)
    else:
        portrait = load_portrait(
            request.photo,
            finder,
            size=request.size,
            fit=request.fit,
            is_mirrored=request.is_mirrored,
            backdrop=_backdrop(request),
        )
    progress(0.2, "lips, lids and what moves with them")
    avatar = replace(Avatar.of(portrait), name=request.name, body=body)
    checks = checks_of(avatar, finder)
    progress(0.3, "the resting face")
    avatar = replace(avatar, idle=idle_loop(avatar, seed=request.seed, progress=progress))
    with replaced_directory(request.out) as directory:
        write_avatar(directory, avatar)
        artifact = write_manifest(
            directory,
            Format("halfsecond", "fp32", "float32"),
            kind=KIND,
            sources=hashes_of([request.photo]),
            rebuild=request.rebuild,
            checks=checks,
            details=_details(request, portrait),
            libraries=LIBRARIES,
        )
    progress(1.0, "")
    return artifact, avatar


def _backdrop(request: Request) -> tuple[int, int, int] | NDArray[np.uint8]:
    """What is seen behind the person; raises PortraitError where nothing can be."""
    if request.backdrop is None:
        return BACKDROP
    if read_picture(request.photo).cover is None:
        raise PortraitError(
            f"{request.photo} is not transparent anywhere, so that no background can be put behind "
            "the person; cut the person out in a photo editor and save it as PNG or WebP"
        )
    return request.backdrop


def idle_loop(avatar: Avatar, *, seed: int, progress: Progress) -> IdleLoop:
    """The resting face, once through its life; its end goes over into its beginning."""
    import cv2

    compositor = Compositor(avatar, expression=Expression(seed=seed))
    period_s = LIFE_S if avatar.body is None else avatar.body.period_s
    count = max(1, round(period_s * IDLE_FPS))
    fps = count / period_s
    jpegs: list[bytes] = []
    for number in range(count):
        image = compositor.render_pose(CLOSED, number / fps)
        quality = [cv2.IMWRITE_JPEG_QUALITY, IDLE_QUALITY]
        jpegs.append(cv2.imencode(".jpg", image[:, :, ::-1], quality)[1].tobytes())
        progress(0.3 + 0.6 * number / count, "the resting face")
    return IdleLoop(tuple(jpegs), fps, seed)


def _details(request: Request, portrait: Portrait) -> dict[str, str | int | float]:
    width, height = portrait.size
    return {
        "layout": LAYOUT,
        "name": request.name,
        "width": width,
        "height": height,
        "eye_distance_px": round(portrait.eye_distance_px, 1),
        "idle_seed": request.seed,
        "idle_fps": IDLE_FPS,
        "advice": portrait.advice,
        "digital_source_type": FACE_TYPE,
    }
