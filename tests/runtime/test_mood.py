"""What a face shows of the conversation: brows, smile, eyes, and no seam between states."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.assets import asset
from halfsecond.models.face import points
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import load_portrait
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.expression import LIFE_S, Expression, ExpressionPose, Liveliness
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.mood import MOODS, NEUTRAL, Composure, MoodName
from halfsecond.models.lipsync.mouth import CLOSED


def easing(name: MoodName, frames: int, *, fps: int = 25) -> list[tuple[float, ...]]:
    composure = Composure(fps=fps)
    composure.name = name
    moods = [composure.step(is_idle=False)[1] for _ in range(frames)]
    return [(mood.brow, mood.smile, mood.pitch_rad) for mood in moods]


@pytest.mark.parametrize("name", [name for name in MOODS if MOODS[name] != NEUTRAL])
def test_a_mood_is_reached_within_a_second_and_begins_and_ends_softly(name: MoodName) -> None:
    values = np.array(easing(name, 25))
    wanted = MOODS[name]
    assert values[-1] == pytest.approx((wanted.brow, wanted.smile, wanted.pitch_rad), abs=0.02)
    steps = np.abs(np.diff(np.concatenate([np.zeros((1, 3)), values]), axis=0)).max(axis=1)
    assert steps[0] < steps.max()  # no jump at once
    assert steps.max() < 0.35 * np.abs(values[-1]).max()


def test_a_mood_takes_as_long_at_any_rate_of_pictures() -> None:
    slow, fast = easing("asking", 6, fps=12), easing("asking", 25, fps=50)
    assert slow[-1][0] == pytest.approx(fast[-1][0], abs=0.12)


def test_life_goes_on_at_the_pace_at_which_pictures_are_asked_for() -> None:
    composure = Composure(fps=25, idle_fps=12)
    times = [composure.step(is_idle=True)[0] for _ in range(13)]
    assert times[-1] == pytest.approx(1.0)
    assert composure.step(is_idle=False)[0] == pytest.approx(13 / 12)
    assert composure.step(is_idle=False)[0] == pytest.approx(13 / 12 + 0.04)


def test_a_face_is_at_rest_again_when_a_mood_has_passed() -> None:
    composure = Composure(fps=25)
    composure.name = "greeting"
    for _ in range(20):
        composure.step(is_idle=True)
    composure.name = "idle"
    assert not composure.is_at_rest
    for _ in range(60):
        composure.step(is_idle=True)
    assert composure.is_at_rest


def test_a_face_that_shall_show_nothing_stays_neutral() -> None:
    composure = Composure(fps=25, is_expressive=False)
    composure.name = "greeting"
    assert {composure.step(is_idle=True)[1] for _ in range(20)} == {NEUTRAL}


def test_a_life_begins_again_without_a_seam() -> None:
    life = Expression(seed=4)
    before, after = life.at(LIFE_S - 1e-6), life.at(0.0)
    for name in ("yaw_rad", "pitch_rad", "roll_rad", "shift_x", "shift_y", "breath"):
        assert getattr(before, name) == pytest.approx(getattr(after, name), abs=1e-4)
    assert before.blink == after.blink == 0.0
    assert astuple(life.at(3.3)) == pytest.approx(astuple(life.at(3.3 + LIFE_S)))


def test_each_part_of_life_can_be_turned_off() -> None:
    times = np.arange(0, LIFE_S, 0.05)
    unblinking = Expression(seed=1, liveliness=Liveliness(is_blinking=False))
    assert max(unblinking.at(t).blink for t in times) == 0.0
    assert unblinking.at(2.0).yaw_rad != 0.0
    unmoving = Expression(seed=1, liveliness=Liveliness(is_moving=False))
    assert {unmoving.at(t).yaw_rad for t in times} == {0.0}
    assert max(unmoving.at(t).blink for t in times) == 1.0


# On the picture.


@pytest.fixture(scope="module")
def finder(model_dir: Callable[[str], Path]) -> FaceFinder:
    folder = model_dir("face")
    return FaceFinder(folder / "face_detector.onnx", folder / "face_landmarks.onnx")


@pytest.fixture(scope="module")
def avatar(finder: FaceFinder) -> Avatar:
    return Avatar.of(load_portrait(asset("astronaut.png"), finder, size=(320, 320)))


class OneLook(Expression):
    def __init__(self, pose: ExpressionPose) -> None:
        super().__init__()
        self._pose = pose

    def at(self, t_s: float, *, stress: float = 0.0) -> ExpressionPose:
        return self._pose


def looking(avatar: Avatar, **pose: float) -> NDArray[np.uint8]:
    expression = OneLook(ExpressionPose(**pose))
    return Compositor(avatar, expression=expression).render_pose(CLOSED, 0.0)


def marks(finder: FaceFinder, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    return finder.find_faces(image)[0].landmarks


@pytest.mark.models
def test_raised_brows_are_seen_higher_above_the_eyes(finder: FaceFinder, avatar: Avatar) -> None:
    brows = [*points.LEFT_BROW, *points.RIGHT_BROW]
    eyes = [points.LEFT_EYE_OUTER, points.RIGHT_EYE_OUTER]

    def height(image: NDArray[np.uint8]) -> float:
        found = marks(finder, image)
        return float(found[eyes, 1].mean() - found[brows, 1].mean())

    raised = height(looking(avatar, brow=1.0)) - height(looking(avatar))
    # The landmarks see a part of what is drawn: they know where brows usually are.
    assert raised > 0.012 * avatar.portrait.eye_distance_px


@pytest.mark.models
def test_a_smile_is_seen_at_the_corners_of_the_mouth(finder: FaceFinder, avatar: Avatar) -> None:
    corners = [points.MOUTH_LEFT, points.MOUTH_RIGHT]
    plain, smiling = (marks(finder, looking(avatar, smile=s))[corners] for s in (0.0, 1.0))
    eye = avatar.portrait.eye_distance_px
    assert np.ptp(smiling[:, 0]) - np.ptp(plain[:, 0]) > 0.03 * eye
    assert plain[:, 1].mean() - smiling[:, 1].mean() > 0.02 * eye


@pytest.mark.models
def test_a_look_aside_moves_the_irises_and_nothing_else(avatar: Avatar) -> None:
    ahead, aside = looking(avatar), looking(avatar, gaze_x=0.022)
    changed = np.abs(ahead.astype(int) - aside).max(axis=2) > 4
    inside = np.zeros_like(changed)
    for eye in avatar.eyes.eyes:
        inside[eye.window] = True
    assert changed.any()
    assert not changed[~inside].any()
    for eye in avatar.eyes.eyes:
        dark = [np.argwhere(image[eye.window].mean(axis=2) < 60) for image in (ahead, aside)]
        assert dark[1][:, 1].mean() > dark[0][:, 1].mean() + 0.5


@pytest.mark.models
def test_eyes_that_close_are_open_again_after_a_tenth_to_four_tenths_of_a_second(
    avatar: Avatar,
) -> None:
    idle_fps = 25
    driver = MeshLipSync(
        avatar, idle_fps=idle_fps, liveliness=Liveliness(is_moving=False, is_expressive=False)
    )
    lids = [eye.window for eye in avatar.eyes.eyes]
    images = [driver.idle().image for _ in range(14 * idle_fps)]
    changed = np.array(
        [np.mean([np.abs(i[w].astype(int) - images[0][w]).mean() for w in lids]) for i in images]
    )
    is_shut = changed > 0.25 * changed.max()
    edges = np.flatnonzero(np.diff(is_shut.astype(int)))
    lengths_s = np.diff(edges)[::2] / idle_fps
    assert 2 <= len(lengths_s) <= 8
    assert lengths_s.min() >= 0.08
    assert np.median(lengths_s) <= 0.35
    assert lengths_s.max() <= 0.75  # two in a row


@pytest.mark.models
def test_no_state_of_the_conversation_begins_with_a_jump(avatar: Avatar) -> None:
    driver = MeshLipSync(avatar, seed=3)
    images: list[NDArray[np.uint8]] = []
    changes: list[int] = []
    states: tuple[MoodName, ...] = ("idle", "listening", "thinking", "greeting", "asking", "idle")
    for mood in states:
        changes.append(len(images))
        driver.feel(mood)
        images += [driver.idle().image for _ in range(25)]
    pairs = itertools.pairwise(images)
    steps = np.array([np.abs(a.astype(int) - b).mean() for a, b in pairs])
    at_changes = max(steps[change - 1 : change + 1].max() for change in changes[1:])
    assert at_changes <= 1.5 * np.percentile(steps, 95)
