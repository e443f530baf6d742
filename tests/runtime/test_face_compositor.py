"""What is drawn where: pasted patches, lids, glasses, and mouths of other portraits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import halfsecond
from halfsecond.models.face import points
from halfsecond.models.face.aperture import mouth_aperture
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import Portrait, frame_portrait, load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.expression import Expression, ExpressionPose
from halfsecond.models.lipsync.eyes import Eyes, wears_glasses
from halfsecond.models.lipsync.mouth import CLOSED, MouthPose

pytestmark = pytest.mark.models

Picture = NDArray[np.uint8]

ASTRONAUT = Path(halfsecond.__file__).parent / "assets" / "astronaut.png"
WIDE = MouthPose(jaw=1.0, upper=0.2)
ROUND = MouthPose(jaw=0.3, width=-1.0, round=1.0)
SPREAD = MouthPose(jaw=0.3, width=1.0)


class OneLook(Expression):
    """A face that does one thing all the time."""

    def __init__(self, pose: ExpressionPose) -> None:
        super().__init__()
        self._pose = pose

    def at(self, t_s: float, *, stress: float = 0.0) -> ExpressionPose:
        return self._pose


@pytest.fixture(scope="module")
def finder(model_dir: Callable[[str], Path]) -> FaceFinder:
    folder = model_dir("face")
    return FaceFinder(folder / "face_detector.onnx", folder / "face_landmarks.onnx")


@pytest.fixture(scope="module")
def portrait(finder: FaceFinder) -> Portrait:
    return load_portrait(ASTRONAUT, finder)


def seen_gap(finder: FaceFinder, image: Picture) -> float:
    return mouth_aperture(finder.find_faces(image)[0].landmarks)


def mouth_width(finder: FaceFinder, image: Picture) -> float:
    face = finder.find_faces(image)[0]
    corners = face.landmarks[[points.MOUTH_LEFT, points.MOUTH_RIGHT], 0]
    return float(np.ptp(corners)) / face.eye_distance_px


def iris_brightness(portrait: Portrait, image: Picture) -> float:
    """Mean of the middle of both eyes, 0 to 255; the landmark model itself does not see blinks."""
    parts = []
    for upper, lower in ((159, 145), (386, 374)):
        x, y = portrait.landmarks[[upper, lower], :2].mean(axis=0).astype(int)
        parts.append(image[y - 2 : y + 2, x - 4 : x + 5].mean())
    return float(np.mean(parts))


def with_glasses(portrait: Portrait) -> Portrait:
    """The same face behind round, dark rims."""
    image = np.array(portrait.image)
    eye, flat = portrait.eye_distance_px, portrait.landmarks[:, :2]
    middles = [
        flat[[points.LEFT_EYE_OUTER, points.LEFT_EYE_INNER]].mean(axis=0),
        flat[[points.RIGHT_EYE_INNER, points.RIGHT_EYE_OUTER]].mean(axis=0),
    ]
    for x, y in middles:
        size = (int(0.27 * eye), int(0.2 * eye))
        cv2.ellipse(image, (int(x), int(y)), size, 0, 0, 360, (30, 30, 30), 3)
    (x0, y0), (x1, y1) = middles
    reach = 0.27 * eye
    cv2.line(image, (int(x0 + reach), int(y0)), (int(x1 - reach), int(y1)), (30, 30, 30), 3)
    return Portrait(image, portrait.landmarks)


def test_a_smile_is_closed_and_opened_again(finder: FaceFinder, portrait: Portrait) -> None:
    compositor = Compositor(portrait)
    smile = seen_gap(finder, portrait.image)
    closed = seen_gap(finder, compositor.still(CLOSED))
    opened = seen_gap(finder, compositor.still(WIDE))
    assert 0.07 < smile < 0.13
    assert closed < 0.035
    assert opened > 0.12


def test_a_portrait_with_closed_lips_speaks_as_well(finder: FaceFinder, portrait: Portrait) -> None:
    calm = frame_portrait(Compositor(portrait).still(CLOSED), finder, is_reframed=False)
    compositor = Compositor(calm)
    assert calm.advice == ""
    assert seen_gap(finder, compositor.still(CLOSED)) < 0.035
    assert seen_gap(finder, compositor.still(WIDE)) > 0.12
    # At rest such a portrait is itself: only its lips are drawn again.
    difference = np.abs(compositor.still(CLOSED).astype(int) - calm.image)
    assert difference.mean() < 0.3


def test_the_smile_of_the_portrait_earns_advice(portrait: Portrait) -> None:
    assert "closed lips" in portrait.advice


def test_lips_round_and_spread_on_the_picture(finder: FaceFinder, portrait: Portrait) -> None:
    compositor = Compositor(portrait)
    spread = mouth_width(finder, compositor.still(SPREAD))
    rounded = mouth_width(finder, compositor.still(ROUND))
    assert rounded < 0.85 * spread


def test_a_grey_portrait_stays_grey_inside_the_mouth(
    finder: FaceFinder, portrait: Portrait
) -> None:
    grey = np.repeat(portrait.image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    drawn = Compositor(Portrait(grey, portrait.landmarks)).still(WIDE).astype(int)
    assert np.ptp(drawn, axis=2).max() <= 3


def test_blinks_cover_the_eyes_and_leave_the_brows(portrait: Portrait) -> None:
    compositor = Compositor(portrait, expression=OneLook(ExpressionPose(blink=1.0)))
    blinking = compositor.render_pose(CLOSED, 0.0)
    awake = Compositor(portrait).render_pose(CLOSED, 0.0)
    assert iris_brightness(portrait, awake) < 90
    assert iris_brightness(portrait, blinking) > 120
    brow_y = int(portrait.landmarks[[*points.LEFT_BROW], 1].min())
    assert np.array_equal(blinking[: brow_y - 2], awake[: brow_y - 2])


def test_eyes_behind_glasses_stay_open(portrait: Portrait) -> None:
    bespectacled = with_glasses(portrait)
    assert wears_glasses(bespectacled)
    assert not wears_glasses(portrait)
    frame = np.array(bespectacled.image)
    Eyes.of(bespectacled).close(frame, 1.0)
    assert np.array_equal(frame, bespectacled.image)


@pytest.mark.parametrize("side", ["yaw_rad", "roll_rad"])
def test_the_head_turns_by_the_angle_it_is_told(
    finder: FaceFinder, portrait: Portrait, side: str
) -> None:
    left, right = (
        finder.find_faces(
            Compositor(portrait, expression=OneLook(ExpressionPose(**{side: angle}))).render_pose(
                CLOSED, 0.0
            )
        )[0]
        for angle in (-0.04, 0.04)
    )
    if side == "roll_rad":
        assert right.angles_rad[2] - left.angles_rad[2] == pytest.approx(0.08, abs=0.02)
    else:
        # The nose is in front of the ears: it moves more than they do.
        nose = right.landmarks[points.NOSE_TIP, 0] - left.landmarks[points.NOSE_TIP, 0]
        edges = [points.LEFT_EDGE, points.RIGHT_EDGE]
        rim = (right.landmarks[edges, 0] - left.landmarks[edges, 0]).mean()
        assert nose > rim + 2


def test_a_patch_is_pasted_into_the_lower_face_only(portrait: Portrait) -> None:
    compositor = Compositor(portrait)
    x0, y0, x1, y1 = compositor.face_box
    green = np.zeros((96, 96, 3), np.uint8)
    green[..., 1] = 255
    frame = compositor.render_patch(green, 0.0).astype(int)
    mouth = portrait.landmarks[[13, 14], :2].mean(axis=0).astype(int)
    assert frame[mouth[1], mouth[0]] == pytest.approx(np.array([0, 255, 0]), abs=3)
    changed = np.abs(frame - portrait.image).max(axis=2) > 0
    rows, columns = np.nonzero(changed)
    assert x0 <= columns.min() <= columns.max() < x1
    assert portrait.landmarks[points.NOSE_TIP, 1] < rows.min() <= rows.max() < y1
    assert y0 < rows.min()


def test_pasting_what_is_there_changes_nothing(portrait: Portrait) -> None:
    compositor = Compositor(portrait)
    x0, y0, x1, y1 = compositor.face_box
    frame = compositor.render_patch(np.array(portrait.image[y0:y1, x0:x1]), 0.0)
    assert np.abs(frame.astype(int) - portrait.image).max() <= 1


def test_the_crop_for_patches_holds_the_face_and_some_chin(portrait: Portrait) -> None:
    x0, y0, x1, y1 = Compositor(portrait).face_box
    low, high = portrait.landmarks[:, :2].min(axis=0), portrait.landmarks[:, :2].max(axis=0)
    assert x0 <= low[0] and x1 >= high[0] and y0 <= low[1]
    assert y1 > high[1] + 0.05 * (high[1] - low[1])


def test_frames_handed_out_are_never_written_again(portrait: Portrait) -> None:
    own = np.array(portrait.image)
    compositor = Compositor(portrait)
    first = compositor.render_pose(CLOSED, 0.0)
    kept = np.array(first)
    compositor.render_pose(WIDE, 0.04)
    assert np.array_equal(first, kept)
    assert np.array_equal(portrait.image, own)
