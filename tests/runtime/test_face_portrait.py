"""Which pictures become a portrait, how they are framed, and why others are refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import halfsecond
from halfsecond.errors import PortraitError
from halfsecond.models.face import points
from halfsecond.models.face.finder import Face, FaceFinder, face_angles
from halfsecond.models.face.picture import read_picture
from halfsecond.models.face.portrait import frame_portrait, load_portrait
from halfsecond.models.face.suitability import check_faces

pytestmark = pytest.mark.models

Picture = NDArray[np.uint8]

ASTRONAUT = Path(halfsecond.__file__).parent / "assets" / "astronaut.png"

LEFT_EYE, RIGHT_EYE = (203.0, 101.0), (247.0, 104.0)
"""Middles of the irises in the astronaut's picture, read off it by eye."""


@pytest.fixture(scope="module")
def finder(model_dir: Callable[[str], Path]) -> FaceFinder:
    folder = model_dir("face")
    return FaceFinder(folder / "face_detector.onnx", folder / "face_landmarks.onnx")


@pytest.fixture(scope="module")
def astronaut() -> Picture:
    return read_picture(ASTRONAUT).image


def eye_middles(face: Face) -> NDArray[np.float32]:
    left = face.landmarks[[points.LEFT_EYE_OUTER, points.LEFT_EYE_INNER], :2].mean(axis=0)
    right = face.landmarks[[points.RIGHT_EYE_OUTER, points.RIGHT_EYE_INNER], :2].mean(axis=0)
    return np.stack([left, right])


def rotated(image: Picture, degrees: float) -> Picture:
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return np.asarray(
        cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


def scaled(image: Picture, factor: float) -> Picture:
    return np.asarray(
        cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )


def turned_by(face: Face, yaw_degrees: float) -> Face:
    """The same mesh seen from the side."""
    yaw = np.radians(yaw_degrees)
    turn = np.array(
        [[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]], np.float32
    )
    middle = face.landmarks.mean(axis=0)
    return Face((face.landmarks - middle) @ turn.T + middle, face.score, face.confidence)


def test_the_eyes_are_found_where_the_picture_has_them(
    finder: FaceFinder, astronaut: Picture
) -> None:
    (face,) = finder.find_faces(astronaut)
    assert face.confidence > 0.9
    assert eye_middles(face) == pytest.approx(np.array([LEFT_EYE, RIGHT_EYE]), abs=3.5)


@pytest.mark.parametrize("degrees", [-20, 15])
def test_a_tilted_head_is_found_with_its_angle(
    finder: FaceFinder, astronaut: Picture, degrees: float
) -> None:
    upright = finder.find_faces(astronaut)[0].angles_rad[2]
    face = finder.find_faces(rotated(astronaut, degrees))[0]
    assert np.degrees(face.angles_rad[2] - upright) == pytest.approx(-degrees, abs=3)


def test_a_mirrored_or_grey_picture_gives_the_same_face(
    finder: FaceFinder, astronaut: Picture
) -> None:
    grey = np.repeat(astronaut.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    mirrored = np.ascontiguousarray(astronaut[:, ::-1])
    as_grey = eye_middles(finder.find_faces(grey)[0])
    as_mirrored = eye_middles(finder.find_faces(mirrored)[0])[::-1]
    expected = np.array([LEFT_EYE, RIGHT_EYE])
    assert as_grey == pytest.approx(expected, abs=3.5)
    as_mirrored[:, 0] = astronaut.shape[1] - 1 - as_mirrored[:, 0]
    assert as_mirrored == pytest.approx(expected, abs=3.5)


@pytest.mark.parametrize("size", [(512, 512), (720, 1280), (640, 360)])
def test_the_frame_is_filled_with_head_and_shoulders(
    finder: FaceFinder, size: tuple[int, int]
) -> None:
    portrait = load_portrait(ASTRONAUT, finder, size=size)
    assert portrait.size == size
    assert portrait.eye_distance_px / min(size) == pytest.approx(0.235, abs=0.05)
    eyes = portrait.landmarks[[points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER], :2].mean(axis=0)
    assert eyes[0] / size[0] == pytest.approx(0.5, abs=0.08)
    assert 0.2 < eyes[1] / size[1] < 0.5


def test_the_landmarks_of_the_frame_lie_on_its_face(finder: FaceFinder) -> None:
    portrait = load_portrait(ASTRONAUT, finder)
    (again,) = finder.find_faces(portrait.image)
    miss = np.abs(again.landmarks[:, :2] - portrait.landmarks[:, :2]).mean()
    assert miss < 0.02 * portrait.eye_distance_px


def test_a_picture_of_the_frames_size_can_be_kept_as_it_is(
    finder: FaceFinder, astronaut: Picture
) -> None:
    portrait = frame_portrait(astronaut, finder, size=(512, 512), is_reframed=False)
    assert np.array_equal(portrait.image, astronaut)


def test_a_picture_turned_by_its_exif_orientation_is_read_upright(
    tmp_path: Path, astronaut: Picture
) -> None:
    lying = cv2.rotate(astronaut, cv2.ROTATE_90_COUNTERCLOCKWISE)
    is_written, jpeg = cv2.imencode(".jpg", lying[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
    assert is_written
    path = tmp_path / "phone.jpg"
    path.write_bytes(with_orientation(jpeg.tobytes(), 6))
    upright = read_picture(path).image
    assert np.abs(upright.astype(int) - astronaut).mean() < 5


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The file with one EXIF entry: 6 says that it has to be turned clockwise to be seen."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0" + b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]


def test_a_picture_without_a_face_is_refused(finder: FaceFinder, astronaut: Picture) -> None:
    helmet_and_shuttle = np.ascontiguousarray(astronaut[150:, 300:])
    with pytest.raises(PortraitError, match=r"no face found .* use one in which a single face"):
        frame_portrait(helmet_and_shuttle, finder)


def test_a_picture_of_several_faces_is_refused_with_their_number(
    finder: FaceFinder, astronaut: Picture
) -> None:
    pair = np.hstack([astronaut, astronaut[:, ::-1]])
    with pytest.raises(PortraitError, match=r"2 faces found .* crop it"):
        frame_portrait(pair, finder)


def test_a_small_face_in_the_background_does_not_matter(
    finder: FaceFinder, astronaut: Picture
) -> None:
    passer_by = scaled(astronaut[30:200, 140:320], 0.30)
    crowd = np.array(astronaut)
    crowd[140 : 140 + passer_by.shape[0], 330 : 330 + passer_by.shape[1]] = passer_by
    assert frame_portrait(crowd, finder).eye_distance_px > 100


def test_a_profile_is_refused(finder: FaceFinder, astronaut: Picture) -> None:
    (face,) = finder.find_faces(astronaut)
    side = turned_by(face, 50)
    assert abs(face_angles(side.landmarks)[0]) > np.radians(40)
    with pytest.raises(PortraitError, match=r"turned away .* from\s+the front"):
        check_faces([side], astronaut)


def test_a_slightly_turned_face_is_taken(finder: FaceFinder, astronaut: Picture) -> None:
    (face,) = finder.find_faces(astronaut)
    assert check_faces([turned_by(face, 20)], astronaut).confidence > 0.9


def test_a_face_of_few_pixels_is_refused_with_its_size(
    finder: FaceFinder, astronaut: Picture
) -> None:
    with pytest.raises(PortraitError, match=r"too small: \d\d px .* at least 50"):
        frame_portrait(scaled(astronaut, 0.6), finder)


def test_a_face_in_the_dark_is_refused(finder: FaceFinder, astronaut: Picture) -> None:
    night = (astronaut * 0.10).astype(np.uint8)
    with pytest.raises(PortraitError, match=r"too dark .* light it|no face found"):
        frame_portrait(night, finder)


def test_a_blurred_face_is_refused(finder: FaceFinder, astronaut: Picture) -> None:
    blurred = np.asarray(cv2.GaussianBlur(astronaut, (0, 0), 3.5), np.uint8)
    with pytest.raises(PortraitError, match=r"too blurred .* in focus"):
        frame_portrait(blurred, finder)


def test_a_head_lying_on_its_side_is_refused(finder: FaceFinder, astronaut: Picture) -> None:
    with pytest.raises(PortraitError, match=r"tilted by .* rotate the picture|no face found"):
        frame_portrait(rotated(astronaut, 50), finder)


def test_a_file_that_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    path.write_bytes(b"not a picture")
    with pytest.raises(PortraitError, match=r"face\.png is not a picture"):
        read_picture(path)
    with pytest.raises(PortraitError, match=r"no picture at .*nowhere\.png"):
        read_picture(tmp_path / "nowhere.png")
