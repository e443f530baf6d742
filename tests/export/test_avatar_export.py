"""One photo becomes an avatar that speaks, or is refused with what to do about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import portraits
from fakes.portraits import ASTRONAUTS, BAD, FACES, RENDERED, RENDERED_BAD, Image
from halfsecond.artifact import verified_artifact
from halfsecond.assets import asset
from halfsecond.config import Config, FaceConfig
from halfsecond.config.check import check_usable
from halfsecond.errors import ConfigError, ModelCorruptError, PortraitError, UnsupportedModelError
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.picture import read_picture
from halfsecond.models.face.portrait import frame_portrait
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.avatar_file import read_avatar
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.mouth import CLOSED, MouthPose
from halfsecond_export.avatar import exporting
from halfsecond_export.cli import app
from halfsecond_export.commands.avatar import parse_size

pytestmark = pytest.mark.models

WIDE = MouthPose(jaw=1.0, upper=0.2)
SEEN_TO_OPEN = {"arjun": 0.008}
"""In a full beard the landmarks hardly see an open mouth: of his own, rendered 0.17 and 0.26 eye
distances wide, 0.05 and 0.09."""


@pytest.fixture(scope="module")
def finder(model_dir: Callable[[str], Path]) -> FaceFinder:
    folder = model_dir("face")
    return FaceFinder(folder / "face_detector.onnx", folder / "face_landmarks.onnx")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, model_dir: Callable[[str], Path]) -> Path:
    """An avatar of the bundled portrait, small so that its loop is made quickly."""
    out = tmp_path_factory.mktemp("avatars") / "nova"
    request = exporting.Request(
        photo=asset("astronaut.png"),
        name="nova",
        out=out,
        face_models=model_dir("face"),
        rebuild="halfsecond export avatar astronaut.png --name nova",
        size=(256, 256),
    )
    exporting.export(request, progress=lambda _done, _text: None)
    return out


def aperture(finder: FaceFinder, image: NDArray[np.uint8]) -> float:
    return mouth_aperture(finder.find_faces(image)[0].landmarks)


def test_an_avatar_that_is_read_draws_what_the_portrait_drew(bundle: Path) -> None:
    avatar = read_avatar(bundle)
    fresh = Compositor(Avatar.of(avatar.portrait), expression=Expression(seed=2))
    kept = Compositor(avatar, expression=Expression(seed=2))
    for number, pose in enumerate((CLOSED, WIDE, MouthPose(jaw=0.3, width=-1.0, round=1.0))):
        drawn = kept.render_pose(pose, number * 1.7)
        assert np.array_equal(drawn, fresh.render_pose(pose, number * 1.7))


def test_the_resting_face_lies_ready_and_its_end_goes_over_into_its_beginning(bundle: Path) -> None:
    avatar = read_avatar(bundle)
    assert avatar.idle is not None
    images = [
        np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), int)
        for jpeg in avatar.idle.jpegs
    ]
    steps = [np.abs(a - b).mean() for a, b in zip(images, images[1:] + images[:1], strict=True)]
    assert len(images) == 300
    assert max(np.abs(image - images[0]).mean() for image in images) > 1.0  # it moves
    assert steps[-1] <= np.percentile(steps, 95)


def test_a_driver_shows_the_ready_pictures_and_draws_where_more_is_to_be_seen(bundle: Path) -> None:
    driver = MeshLipSync(read_avatar(bundle), fps=25, idle_fps=12)
    assert driver.avatar == "nova"
    assert driver.size == (256, 256)
    ready = driver.idle_jpeg()
    assert ready is not None
    assert ready.startswith(b"\xff\xd8")
    driver.feel("listening")
    assert driver.idle_jpeg() is None
    assert MeshLipSync(read_avatar(bundle), seed=1).idle_jpeg() is None
    assert MeshLipSync(read_avatar(bundle), is_expressive=False).idle_jpeg() is None


def test_a_file_that_was_changed_is_never_shown(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "changed"
    copy.mkdir()
    for path in bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    (copy / "portrait.png").write_bytes((bundle / "portrait.png").read_bytes()[:-1] + b"x")
    with pytest.raises(ModelCorruptError, match=r"make it again: halfsecond export avatar"):
        read_avatar(copy)


def test_an_avatar_of_another_version_says_how_to_make_it_again(
    bundle: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "older"
    copy.mkdir()
    for path in bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    manifest = json.loads((copy / "artifact.json").read_text())
    manifest["details"]["layout"] = 0
    (copy / "artifact.json").write_text(json.dumps(manifest))
    with pytest.raises(UnsupportedModelError, match=r"has layout 0.* make it again"):
        read_avatar(copy)


def test_the_manifest_says_what_was_seen_of_the_mouth(bundle: Path) -> None:
    artifact = verified_artifact(bundle)
    closed, opened = artifact.checks
    assert artifact.kind == "avatar"
    assert closed.value < 0.045 < 0.10 < opened.value
    assert "closed lips" in str(artifact.details["advice"])


def test_the_config_takes_an_avatar_and_refuses_two_faces(bundle: Path) -> None:
    check_usable(Config(face=FaceConfig(avatar=str(bundle))))
    with pytest.raises(ConfigError, match="two faces"):
        check_usable(Config(face=FaceConfig(avatar=str(bundle), portrait="nova.jpg")))
    with pytest.raises(ConfigError, match=r"no avatar 'nobody' .*halfsecond export avatar PHOTO"):
        check_usable(Config(face=FaceConfig(avatar="nobody")))


def test_the_command_says_what_is_wrong_and_leaves_nothing_behind(tmp_path: Path) -> None:
    landscape = tmp_path / "landscape.png"
    landscape.write_bytes(
        portraits.encoded(read_picture(asset("astronaut.png")).image[150:, 300:], ".png")
    )
    out = tmp_path / "nobody"
    result = CliRunner().invoke(
        app, ["avatar", str(landscape), "--name", "nobody", "--out", str(out)]
    )
    assert "no face found" in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize("text", ["9:16", "720x1280"])
def test_sizes_are_proportions_or_pixels(text: str) -> None:
    assert parse_size(text) == (720, 1280)


@pytest.mark.parametrize("text", ["4:3", "64x64", "641x481", "big"])
def test_a_size_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--size is"):
        parse_size(text)


@pytest.mark.parametrize("what", BAD)
def test_a_bad_picture_is_refused_with_the_right_reason(
    what: str, finder: FaceFinder, tmp_path: Path
) -> None:
    make, reason = BAD[what]
    path = tmp_path / "photo"
    path.write_bytes(make(finder))
    with pytest.raises(PortraitError, match=reason):
        frame_portrait(read_picture(path).image, finder)


@pytest.mark.parametrize("what", RENDERED_BAD)
def test_a_person_who_cannot_be_drawn_is_refused_with_the_right_reason(
    what: str, finder: FaceFinder
) -> None:
    picture = read_picture(FACES / "bad" / f"{what}.jpg").image
    with pytest.raises(PortraitError, match=RENDERED_BAD[what]):
        frame_portrait(picture, finder)


@pytest.mark.parametrize("name", RENDERED)
def test_a_person_is_accepted_and_their_drawn_mouth_opens_and_closes(
    name: str, finder: FaceFinder
) -> None:
    portrait = frame_portrait(read_picture(RENDERED[name]).image, finder)
    compositor = Compositor(portrait)
    shut = aperture(finder, compositor.still(CLOSED))
    assert shut < 0.045
    assert aperture(finder, compositor.still(WIDE)) - shut > SEEN_TO_OPEN.get(name, 0.04)


@pytest.mark.parametrize("what", ASTRONAUTS)
def test_a_photo_in_poor_shape_is_accepted_and_its_drawn_mouth_opens_and_closes(
    what: str, finder: FaceFinder
) -> None:
    compositor = Compositor(frame_portrait(ASTRONAUTS[what](finder), finder))
    assert aperture(finder, compositor.still(CLOSED)) < 0.045
    assert aperture(finder, compositor.still(WIDE)) > 0.10


def test_a_picture_of_33_million_pixels_is_accepted(finder: FaceFinder) -> None:
    wide = np.full((4320, 7680, 3), 190, np.uint8)
    face = cv2.resize(portraits.calm(finder).image, (4320, 4320), interpolation=cv2.INTER_LINEAR)
    wide[:, 1680:6000] = face
    portrait = frame_portrait(wide, finder)
    assert portrait.eye_distance_px == pytest.approx(0.235 * 512, abs=8)


def test_cmyk_is_shown_in_its_colours(finder: FaceFinder, tmp_path: Path) -> None:
    own = portraits.calm(finder).image
    path = tmp_path / "print.jpg"
    path.write_bytes(portraits.by_pillow(own, "JPEG", mode="CMYK"))
    assert np.abs(read_picture(path).image.astype(int) - own).mean() < 4
    assert frame_portrait(read_picture(path).image, finder).eye_distance_px > 100


def test_transparency_is_filled_with_the_colour_that_is_asked_for(
    finder: FaceFinder, tmp_path: Path
) -> None:
    own = portraits.calm(finder)
    cover = np.where(portraits.head_and_shoulders(own), 255, 0).astype(np.uint8)
    path = tmp_path / "cut-out.png"
    path.write_bytes(
        portraits.encoded(np.dstack([own.image[..., ::-1], cover]), ".png", is_bgr=True)
    )
    picture = read_picture(path)
    on_green = picture.on((0, 177, 64))
    assert tuple(on_green[5, 5]) == (0, 177, 64)
    nose = own.landmarks[1, :2].astype(int)
    assert np.array_equal(on_green[nose[1], nose[0]], own.image[nose[1], nose[0]])
    assert frame_portrait(on_green, finder).eye_distance_px > 100


def test_a_tall_frame_of_a_square_photo_is_cropped_or_padded(finder: FaceFinder) -> None:
    own: Image = portraits.calm(finder).image
    cropped = frame_portrait(own, finder, size=(360, 640))
    padded = frame_portrait(own, finder, size=(360, 640), fit="pad", is_reframed=False)
    assert cropped.eye_distance_px > 1.3 * padded.eye_distance_px
    assert padded.size == cropped.size == (360, 640)
    # Nothing of the photo is lost, and what goes on above it is as bright as its edge.
    edge = own[:4].mean(axis=(0, 1))
    assert np.abs(padded.image[:20].mean(axis=(0, 1)) - edge).max() < 12


def test_a_background_behind_a_photo_that_hides_it_is_refused(
    model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    request = exporting.Request(
        photo=asset("astronaut.png"),
        name="nova",
        out=tmp_path / "nova",
        face_models=model_dir("face"),
        rebuild="",
        backdrop=(0, 177, 64),
    )
    with pytest.raises(PortraitError, match=r"not transparent anywhere.* cut the person out"):
        exporting.export(request, progress=lambda _done, _text: None)
