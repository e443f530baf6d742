"""A face that cannot be drawn fast enough loses pictures, and keeps in time with the sound."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.echo_network import write_echo
from fakes.servers import RunServer
from halfsecond.assets import asset
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import Portrait, load_portrait
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame, LipSync
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.lipsync.wav2lip import Wav2LipSync
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond.models.tts.voice import Phone
from halfsecond.stages.animation import FEED_S, VIDEO_AHEAD_S
from halfsecond.stages.av_offset import AvOffset
from halfsecond.stages.lipsync import LipSyncRequest, LipSyncStage
from halfsecond.stages.stage import Cancel

LENGTH_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def now(self) -> float:
        return self.s


class LabouredFace:
    """Takes `draw_s` of the clock for each picture that it draws."""

    size = (16, 16)
    avatar = ""
    fps = 25

    def __init__(self, clock: Clock, draw_s: float, *, can_skip: bool = True) -> None:
        self._clock, self._draw_s, self._can_skip = clock, draw_s, can_skip
        self._skip_s = 0.0
        self._fed = self._next = 0

    def feel(self, mood: MoodName) -> None:
        pass

    def idle_jpeg(self) -> bytes | None:
        return None

    def begin(self) -> None:
        self._fed = self._next = 0
        self._skip_s = 0.0

    def skip(self, before_s: float) -> None:
        self._skip_s = before_s if self._can_skip else 0.0

    def feed(
        self, samples: NDArray[np.float32], *, phones: Sequence[Phone] = ()
    ) -> Iterator[Frame]:
        self._fed += len(samples)
        while self._next / self.fps < self._fed / LIPSYNC_RATE_HZ:
            pts_s = self._next / self.fps
            self._next += 1
            if pts_s < self._skip_s:
                continue
            self._clock.s += self._draw_s
            yield Frame(np.zeros((16, 16, 3), np.uint8), pts_s, 0.0, is_driven=True)

    def finish(self) -> Iterator[Frame]:
        yield from ()

    def idle(self) -> Frame:
        return Frame(np.zeros((16, 16, 3), np.uint8), 0.0, 0.0, is_driven=False)

    def close(self) -> None:
        pass


def answered(draw_s: float, *, can_skip: bool = True) -> tuple[list[float], AvOffset]:
    """An answer of 10 s as a turn feeds it: how late each picture leaves, and the figures."""
    clock = Clock()

    def open_driver(avatar: str | Avatar = "", *, fps: int | None = None) -> LipSync:
        return LabouredFace(clock, draw_s, can_skip=can_skip)

    stage = LipSyncStage(lambda: open_driver, jpeg_quality=80, label="face", now=clock.now)
    stage.open()
    av, late_s = AvOffset("one", 1), list[float]()
    list(stage.run(LipSyncRequest("one", "begin"), Cancel()))
    sound = np.zeros(int(FEED_S * LIPSYNC_RATE_HZ), np.float32)
    clock.s = 0.0
    for number in range(round(LENGTH_S / FEED_S)):
        clock.s = max(clock.s, number * FEED_S - VIDEO_AHEAD_S)
        request = LipSyncRequest("one", "feed", samples=sound, heard_s=clock.s)
        for picture in stage.run(request, Cancel()):
            late_s.append(clock.s - picture.pts_s)
            av.sent(picture.pts_s, clock.s)
    return late_s, av


def test_a_face_at_half_the_speed_keeps_its_lips_and_loses_pictures() -> None:
    late_s, av = answered(0.08)
    assert max(late_s[10:]) <= 0.0401
    assert 100 <= len(late_s) <= 150  # of 250
    figures = av.end()
    assert figures.offset_s is not None
    assert figures.offset_s <= 0.0401
    assert figures.drift_s_per_minute == pytest.approx(0.0, abs=0.1)
    assert figures.repeated >= 100


def test_without_leaving_any_out_its_lips_would_run_off_and_the_figures_say_so() -> None:
    late_s, av = answered(0.08, can_skip=False)
    assert len(late_s) == 250
    assert late_s[-1] > 9.0
    drift = av.end().drift_s_per_minute
    assert drift == pytest.approx(60.0, rel=0.15)  # a second of it takes two


def test_a_face_that_is_fast_enough_loses_none() -> None:
    late_s, av = answered(0.03)
    assert len(late_s) == 250
    assert av.end().repeated == 0


async def test_a_turn_tells_its_face_where_the_ear_is(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = tuple(f"Sentence {n} is here. " for n in range(4))
        await client.reply("Tell me everything.")
        fed = [r for r in running.engines.lipsync.requests if r.action == "feed"]
    heard = [request.heard_s for request in fed if request.heard_s is not None]
    assert len(heard) >= 3
    assert heard == sorted(heard)
    assert heard[-1] > 0.2


# The drivers.


@pytest.fixture(scope="module")
def portrait(model_dir: Callable[[str], Path]) -> Portrait:
    folder = model_dir("face")
    finder = FaceFinder(folder / "face_detector.onnx", folder / "face_landmarks.onnx")
    return load_portrait(asset("astronaut.png"), finder, size=(256, 256))


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Wav2LipNetwork:
    path = tmp_path_factory.mktemp("wav2lip") / "echo.onnx"
    write_echo(path, depth=0.9)
    return Wav2LipNetwork(path)


def hum(seconds: float) -> NDArray[np.float32]:
    t = np.arange(int(seconds * LIPSYNC_RATE_HZ)) / LIPSYNC_RATE_HZ
    tone = sum(np.sin(2 * np.pi * hz * t) for hz in (150, 600, 750, 1200))
    return np.asarray(0.1 * np.sin(2 * np.pi * 1.3 * t) ** 2 * tone, np.float32)


def spoken(driver: LipSync, *, skip_s: float = 0.0) -> list[Frame]:
    """Two seconds; after the first picture of it, those before `skip_s` are left out."""
    driver.begin()
    frames: list[Any] = []
    pictures = driver.feed(hum(2.0))
    frames.append(next(pictures))
    driver.skip(skip_s)
    frames += pictures
    return [*frames, *driver.finish()]


@pytest.mark.models
@pytest.mark.parametrize("kind", ["mesh", "wav2lip"])
def test_pictures_that_are_left_out_change_nothing_of_those_that_come(
    portrait: Portrait, network: Wav2LipNetwork, kind: str
) -> None:
    def driver() -> LipSync:
        if kind == "mesh":
            return MeshLipSync(portrait, seed=3)
        return Wav2LipSync(network, Compositor(portrait, expression=Expression(seed=3)))

    whole, cut = spoken(driver()), spoken(driver(), skip_s=0.9)
    assert [f.pts_s for f in cut] == [f.pts_s for f in whole if f.pts_s == 0.0 or f.pts_s >= 0.9]
    by_time = {f.pts_s: f for f in whole}
    later = [f for f in cut if f.pts_s > 1.2]  # the nod and the mouth's easing have caught up
    assert len(later) > 15
    for frame in later:
        assert frame.mouth == pytest.approx(by_time[frame.pts_s].mouth, abs=0.02)
        change = np.abs(frame.image.astype(int) - by_time[frame.pts_s].image).mean()
        assert change < 1.0  # of 255: blinks and head are where they would have been


@pytest.mark.models
def test_an_answer_after_one_with_pictures_left_out_is_drawn_whole(portrait: Portrait) -> None:
    driver = MeshLipSync(portrait, is_expressive=False)
    spoken(driver, skip_s=1.5)
    assert [f.pts_s for f in spoken(driver) if f.is_driven] == pytest.approx(
        [n / 25 for n in range(50)]
    )
