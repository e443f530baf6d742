"""A short video as the body: its face is followed, and speaks wherever it is."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import portraits
from halfsecond.errors import PortraitError
from halfsecond.models.face.aperture import ApertureMeter, mouth_aperture
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.lipsync.avatar_file import read_avatar
from halfsecond.models.lipsync.body import Body
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.mouth import CLOSED, MouthPose
from halfsecond_export.avatar import exporting
from halfsecond_export.avatar.filming import film

FPS, FRAMES = 25, 30
WIDE = MouthPose(jaw=1.0, upper=0.2)

Image = NDArray[np.uint8]


def write_video(path: Path, images: list[Image]) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"crf": "16"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def swaying(image: Image) -> list[Image]:
    """Moves to and fro by 14 px, and turns by a little."""
    height, width = image.shape[:2]
    frames = []
    for number in range(FRAMES):
        swing = np.sin(2 * np.pi * number / FRAMES)
        move = cv2.getRotationMatrix2D((width / 2, height), 1.5 * swing, 1.0)
        move[0, 2] += 14 * swing
        moved = cv2.warpAffine(image, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
        frames.append(np.asarray(moved, np.uint8))
    return frames


@pytest.fixture(scope="module")
def models(model_dir: Callable[[str], Path]) -> tuple[Path, Path]:
    folder = model_dir("face")
    return folder / "face_detector.onnx", folder / "face_landmarks.onnx"


@pytest.fixture(scope="module")
def finder(models: tuple[Path, Path]) -> FaceFinder:
    return FaceFinder(*models)


def test_a_video_turns_back_at_its_ends() -> None:
    body = Body((b"",) * 4, ((1.0, 0.0, 0.0, 0.0, 1.0, 0.0),) * 4, 10.0)
    shown = [body.index(step / 10) for step in range(14)]
    assert shown == [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]
    assert body.period_s == 0.6


@pytest.mark.models
def test_a_face_in_a_video_speaks_where_it_is(
    models: tuple[Path, Path], finder: FaceFinder, tmp_path: Path
) -> None:
    small = cv2.resize(portraits.calm(finder).image, (512, 512), interpolation=cv2.INTER_AREA)
    video = write_video(tmp_path / "nova.mp4", swaying(np.asarray(small, np.uint8)))
    out = tmp_path / "nova"
    request = exporting.Request(
        photo=video, name="nova", out=out, face_models=models[0].parent, rebuild="", size=(384, 384)
    )
    exporting.export(request, progress=lambda _done, _text: None)
    avatar = read_avatar(out)
    assert avatar.body is not None and avatar.idle is not None
    assert len(avatar.body.jpegs) == FRAMES
    compositor = Compositor(avatar, expression=Expression())
    places = []
    for number in (0, 7, 15, 22):
        at_s = number / FPS
        shut, opened = (
            finder.find_faces(compositor.render_pose(pose, at_s))[0].landmarks
            for pose in (CLOSED, WIDE)
        )
        assert mouth_aperture(shut) < 0.05
        assert mouth_aperture(opened) > 0.09
        places.append(float(opened[1, 0]))
    assert np.ptp(places) > 10  # the head moves as it does in the video
    shown = cv2.imdecode(np.frombuffer(avatar.idle.at(0.28), np.uint8), cv2.IMREAD_COLOR)
    drawn = compositor.render_pose(CLOSED, 0.28)
    assert np.abs(np.asarray(shown, int)[:, :, ::-1] - drawn).mean() < 4


@pytest.mark.models
def test_videos_that_cannot_be_a_body_are_refused_with_the_reason(
    models: tuple[Path, Path], finder: FaceFinder, tmp_path: Path
) -> None:
    image = np.asarray(cv2.resize(portraits.calm(finder).image, (512, 512)), np.uint8)
    empty = np.full_like(image, 200)
    short = write_video(tmp_path / "short.mp4", [image] * 10)
    leaving = write_video(tmp_path / "leaving.mp4", [*[image] * 20, *[empty] * 20])
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(short.read_bytes()[:2000])
    for path, reason in (
        (short, r"is 0\.4 s long, expected 1 to 12 s"),
        (leaving, r"no face in leaving\.mp4 at 0\.8 s; cut the video"),
        (torn, r"not a video that can be read"),
    ):
        with pytest.raises(PortraitError, match=reason):
            film(path, finder, ApertureMeter(*models), size=(256, 256), fit="crop")
