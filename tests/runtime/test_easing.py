"""A hot machine: its sensors are read, and the face is eased before anything stutters."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.metrics import METRICS
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.driver import Frame
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.tts.voice import Phone
from halfsecond.recording import Shown, decode_picture
from halfsecond.stages import easing as easing_module
from halfsecond.stages.easing import CALM_S, SETTLES_S, STEPS, Easing, watch_temperature
from halfsecond.stages.lipsync import LipSyncRequest, LipSyncStage, Picture
from halfsecond.stages.stage import Cancel
from halfsecond.thermal import Zone, hottest, read_zones


class Tree:
    """A /sys/class/thermal of one's own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._count = 0

    def zone(self, name: str, temp: str, **trips: int) -> Path:
        folder = self.root / f"thermal_zone{self._count}"
        self._count += 1
        folder.mkdir()
        (folder / "type").write_text(f"{name}\n")
        (folder / "temp").write_text(f"{temp}\n")
        for number, (kind, at) in enumerate(trips.items()):
            (folder / f"trip_point_{number}_type").write_text(f"{kind}\n")
            (folder / f"trip_point_{number}_temp").write_text(f"{at}\n")
        return folder


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


# The sensors.


def test_the_limit_is_where_the_kernel_begins_to_slow_down(tree: Tree) -> None:
    tree.zone("cpu-thermal", "61500", active=50_000, passive=99_000, critical=104_500)
    (zone,) = read_zones(tree.root)
    assert zone == Zone("cpu-thermal", 61.5, 99.0)
    assert zone.headroom_c == pytest.approx(37.5)


def test_a_zone_that_only_switches_off_is_taken_to_slow_down_some_degrees_before(
    tree: Tree,
) -> None:
    tree.zone("soc", "40000", critical=105_000, passive=0)
    tree.zone("board", "40000")
    assert [zone.limit_c for zone in read_zones(tree.root)] == [90.0, 85.0]


def test_a_sensor_that_cannot_be_read_is_passed_over(tree: Tree) -> None:
    tree.zone("gpu-thermal", "-256000", passive=99_000)
    (tree.zone("pmic", "50000") / "temp").unlink()
    tree.zone("cv0", "not a number")
    assert read_zones(tree.root) == []
    assert hottest([]) is None


def test_the_hottest_zone_is_the_one_nearest_to_its_own_limit(tree: Tree) -> None:
    tree.zone("cpu", "80000", passive=99_000)
    tree.zone("disk", "65000", passive=70_000)
    zone = hottest(read_zones(tree.root))
    assert zone is not None
    assert zone.name == "disk"


def test_a_machine_that_shows_no_zones_has_none(tmp_path: Path) -> None:
    assert read_zones(tmp_path / "nothing") == []


# The steps.


def test_steps_are_taken_one_by_one_and_only_after_the_last_one_could_show() -> None:
    easing = Easing(margin_c=8)
    levels = []
    for at_s in range(0, 100, 2):
        easing.observe(3.0, float(at_s))
        levels.append(easing.level)
    assert levels[0] == 1, "the first one at once"
    changes = [2 * n for n in range(1, len(levels)) if levels[n] != levels[n - 1]]
    assert changes == [SETTLES_S, 2 * SETTLES_S]
    assert levels[-1] == len(STEPS) - 1


def test_a_step_is_taken_back_only_after_the_machine_was_cool_for_a_while() -> None:
    easing = Easing(margin_c=8)
    easing.observe(5.0, 0.0)
    assert not easing.observe(20.0, 2.0)
    assert not easing.observe(10.0, 30.0), "between hot and cool: the time starts anew"
    assert not easing.observe(20.0, 40.0)
    assert not easing.observe(20.0, 40.0 + CALM_S - 1)
    assert easing.observe(20.0, 40.0 + CALM_S)
    assert easing.level == 0


def test_a_reading_between_hot_and_cool_changes_nothing() -> None:
    easing = Easing(margin_c=8)
    easing.observe(7.9, 0.0)
    for at_s in range(0, 600, 2):
        easing.observe(9.0, float(at_s))
    assert easing.level == 1


async def test_the_watch_reads_the_sensors_and_tells_the_metrics(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(easing_module, "INTERVAL_S", 0.0)
    folder = tree.zone("cpu", "95000", passive=99_000)
    easing, at_s = Easing(margin_c=8), 0.0
    readings = 0

    def read() -> list[Zone]:
        nonlocal at_s, readings
        at_s += 30.0
        readings += 1
        if readings == 2:
            (folder / "temp").write_text("60000\n")
        return [] if readings == 8 else read_zones(tree.root)

    levels = [easing.level]
    watching = asyncio.create_task(watch_temperature(easing, read, now=lambda: at_s))
    while not watching.done():
        await asyncio.sleep(0)
        if easing.level != levels[-1]:
            levels.append(easing.level)
    assert levels == [0, 1, 0]
    assert METRICS.registry.get_sample_value("halfsecond_thermal_level") == 0
    headroom = METRICS.registry.get_sample_value("halfsecond_thermal_headroom_celsius")
    assert headroom == pytest.approx(39.0)


# The face.


class Face:
    """A driver that draws at its rate."""

    size = (512, 512)

    def __init__(self, avatar: str | Avatar = "", *, fps: int | None = None) -> None:
        self.avatar = avatar if isinstance(avatar, str) else avatar.name
        self.fps = fps or 25

    def feel(self, mood: MoodName) -> None:
        pass

    def idle_jpeg(self) -> bytes | None:
        return None

    def begin(self) -> None:
        self._fed = self._drawn = 0

    def feed(
        self, samples: NDArray[np.float32], *, phones: Sequence[Phone] = ()
    ) -> Iterator[Frame]:
        self._fed += len(samples)
        while self._drawn / self.fps < self._fed / 16_000:
            yield self._frame(self._drawn / self.fps, is_driven=True)
            self._drawn += 1

    def skip(self, before_s: float) -> None:
        pass

    def finish(self) -> Iterator[Frame]:
        yield from ()

    def idle(self) -> Frame:
        return self._frame(0.0, is_driven=False)

    def close(self) -> None:
        pass

    @staticmethod
    def _frame(pts_s: float, *, is_driven: bool) -> Frame:
        return Frame(np.full((512, 512, 3), 128, np.uint8), pts_s, 0.0, is_driven)


def ask(stage: LipSyncStage, action: Any, **fields: Any) -> list[Picture]:
    return list(stage.run(LipSyncRequest("one", action, **fields), Cancel()))


def answer(stage: LipSyncStage, **fields: Any) -> list[Picture]:
    """The pictures of an answer of one second."""
    ask(stage, "begin", **fields)
    return ask(stage, "feed", samples=np.zeros(16_000, np.float32), **fields)


def test_an_answer_has_fewer_and_smaller_pictures_at_each_step_and_its_times_stay_true() -> None:
    easing = Easing(margin_c=8)
    stage = LipSyncStage(lambda: Face, jpeg_quality=80, label="face", easing=easing)
    stage.open()
    ask(stage, "open")
    seen = []
    for level in range(len(STEPS)):
        pictures = answer(stage)
        seen.append((len(pictures), pictures[0].width))
        assert pictures[-1].pts_s == pytest.approx(1 - 1 / len(pictures))
        shown = Shown(0, 0, pictures[-1].data, True, 0, "jpeg", (0, 0))
        assert decode_picture(shown).shape[:2] == (pictures[-1].height, pictures[-1].width)
        easing.observe(0.0, level * SETTLES_S)
    assert seen == [(25, 512), (15, 512), (15, 384), (10, 256)]


def test_the_rate_changes_between_answers_and_never_within_one() -> None:
    easing = Easing(margin_c=8)
    stage = LipSyncStage(lambda: Face, jpeg_quality=80, label="face", easing=easing)
    stage.open()
    first = answer(stage)
    easing.observe(0.0, 0.0)
    rest = ask(stage, "feed", samples=np.zeros(16_000, np.float32))
    assert len(first) == len(rest) == 25
    assert len(answer(stage)) == 15


def test_the_resting_face_is_drawn_half_as_often_on_a_hot_machine() -> None:
    easing = Easing(margin_c=8)
    stage = LipSyncStage(lambda: Face, jpeg_quality=80, label="face", easing=easing)
    stage.open()
    assert sum(len(ask(stage, "idle")) for _ in range(10)) == 10
    easing.observe(0.0, 0.0)
    assert sum(len(ask(stage, "idle")) for _ in range(10)) == 5


def test_a_session_that_wishes_30_pictures_a_second_gets_them_and_is_eased_from_there() -> None:
    easing = Easing(margin_c=8)
    stage = LipSyncStage(lambda: Face, jpeg_quality=80, label="face", easing=easing)
    stage.open()
    (first,) = ask(stage, "open", fps=30)
    assert first.fps == 30
    seen = []
    for level in range(len(STEPS)):
        pictures = answer(stage, fps=30)
        seen.append(len(pictures))
        assert pictures[-1].pts_s == pytest.approx(1 - 1 / len(pictures))
        easing.observe(0.0, level * SETTLES_S)
    assert seen == [30, 18, 18, 12]


def test_sessions_of_different_rates_stand_beside_one_another() -> None:
    stage = LipSyncStage(lambda: Face, jpeg_quality=80, label="face")
    stage.open()
    sound = np.zeros(16_000, np.float32)
    counts = {}
    for session, fps in (("usual", 0), ("quick", 30), ("slow", 25)):
        for action in ("open", "begin", "feed"):
            request = LipSyncRequest(session, action, samples=sound, fps=fps)
            counts[session] = len(list(stage.run(request, Cancel())))
    assert counts == {"usual": 25, "quick": 30, "slow": 25}
