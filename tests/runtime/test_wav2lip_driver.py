from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.echo_network import write_echo
from halfsecond.models.face.portrait import Portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import Frame
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.mood import NEUTRAL, Composure, Mood
from halfsecond.models.lipsync.mouth import CLOSED, MouthPose
from halfsecond.models.lipsync.wav2lip import Wav2LipSync
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond_export.wav2lip.untrained import write_untrained

BOX = (20, 16, 100, 112)


class PlainCompositor:
    """Pastes the whole patch into a picture of one colour; the resting mouth is that picture."""

    face_box = BOX

    def __init__(self) -> None:
        image = np.full((120, 128, 3), (200, 150, 100), np.uint8)
        self.portrait = Portrait(image, np.zeros((468, 3), np.float32))
        self.life_s: list[float] = []
        self.expression = Expression(is_on=False)

    def idle_jpeg(self, composure: Composure) -> bytes | None:
        return None

    def render_pose(
        self, pose: MouthPose, t_s: float, *, mood: Mood = NEUTRAL
    ) -> NDArray[np.uint8]:
        assert pose == CLOSED
        self.life_s.append(t_s)
        return np.array(self.portrait.image)

    def render_patch(
        self, patch: NDArray[np.uint8], t_s: float, *, mood: Mood = NEUTRAL
    ) -> NDArray[np.uint8]:
        self.life_s.append(t_s)
        image = np.array(self.portrait.image)
        rows = np.arange(BOX[3] - BOX[1]) * len(patch) // (BOX[3] - BOX[1])
        columns = np.arange(BOX[2] - BOX[0]) * len(patch) // (BOX[2] - BOX[0])
        image[BOX[1] : BOX[3], BOX[0] : BOX[2]] = patch[rows][:, columns]
        return image


class CountingNetwork(Wav2LipNetwork):
    """Notes how many frames each run draws."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.runs: list[int] = []

    def draw(self, sound: NDArray[np.float32], face: NDArray[np.float32]) -> NDArray[np.uint8]:
        self.runs.append(len(sound))
        return super().draw(sound, face)


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that darkens the mouth with the sound."""
    path = tmp_path_factory.mktemp("wav2lip") / "echo.onnx"
    write_echo(path, depth=0.9)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published layers, an eighth as wide."""
    path = tmp_path_factory.mktemp("wav2lip") / "small.onnx"
    write_untrained(path, width=0.125)
    return path


def open_driver(
    path: Path, *, first: int = 2, batch: int = 5
) -> tuple[Wav2LipSync, CountingNetwork]:
    network = CountingNetwork(path)
    compositor = cast(Compositor, PlainCompositor())
    driver = Wav2LipSync(network, compositor, first_batch_frames=first, batch_frames=batch)
    return driver, network


def noise(seconds: float, *, level: float = 0.1, seed: int = 0) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    # Sound whose level moves, so that its frames differ.
    count = round(seconds * 16_000)
    wave = np.sin(np.arange(count) / 16_000 * 2 * np.pi * 2.3) ** 2 + 0.05
    return (random.normal(0, level, count) * wave).astype(np.float32)


def speak(driver: Wav2LipSync, samples: NDArray[np.float32], piece: int = 16_000) -> list[Frame]:
    driver.begin()
    frames: list[Frame] = []
    for i in range(0, len(samples), piece):
        frames.extend(driver.feed(samples[i : i + piece]))
    frames.extend(driver.finish())
    return frames


def is_resting(frame: Frame) -> bool:
    return bool(np.all(frame.image == np.array((200, 150, 100))))


def same_pictures(left: list[Frame], right: list[Frame]) -> bool:
    pairs = zip(left, right, strict=True)
    return all(np.array_equal(a.image, b.image) for a, b in pairs)


def test_frames_follow_each_other_at_25_a_second_to_the_end_of_the_sound(echo: Path) -> None:
    driver, _ = open_driver(echo)
    frames = speak(driver, noise(1.01))
    driven = [f for f in frames if f.is_driven]
    assert len(driven) == 26
    assert [f.pts_s for f in frames] == pytest.approx([i / 25 for i in range(len(frames))])


@pytest.mark.parametrize("piece", [160, 3_333, 40_000])
def test_pieces_of_sound_give_the_frames_of_the_whole(small: Path, piece: int) -> None:
    whole = speak(open_driver(small)[0], noise(1.3))
    assert same_pictures(speak(open_driver(small)[0], noise(1.3), piece), whole)


def test_batches_give_the_frames_of_single_runs(small: Path) -> None:
    single, network = open_driver(small, first=1, batch=1)
    alone = speak(single, noise(1.0))
    assert set(network.runs) == {1}
    together = speak(open_driver(small)[0], noise(1.0))
    # Batches are summed in another order: a rounding may fall to the other side.
    for a, b in zip(alone, together, strict=True):
        assert np.abs(a.image.astype(int) - b.image).max() <= 1


def test_the_first_frame_needs_the_sound_of_its_window_and_no_more(echo: Path) -> None:
    driver, _ = open_driver(echo)
    sound = noise(1.0)
    assert list(driver.feed(sound[:3_399])) == []
    assert [f.pts_s for f in driver.feed(sound[3_399:3_400])] == [0.0]
    assert [f.pts_s for f in driver.feed(sound[3_400:4_200])] == [0.04]


def test_the_network_runs_only_as_frames_are_asked_for(echo: Path) -> None:
    driver, network = open_driver(echo)
    frames = driver.feed(noise(1.0))
    assert network.runs == []
    next(frames)
    next(frames)
    assert network.runs == [2]
    next(frames)
    assert network.runs == [2, 5]


def test_sound_counts_even_if_its_frames_are_never_asked_for(echo: Path) -> None:
    sound = noise(1.0)
    driver, _ = open_driver(echo)
    driver.feed(sound[:8_000])
    driver.feed(sound[8_000:])
    assert same_pictures(list(driver.finish()), speak(open_driver(echo)[0], sound))


def test_the_same_sound_gives_the_same_frames_and_other_sound_others(small: Path) -> None:
    driver, _ = open_driver(small)
    first = speak(driver, noise(0.8))
    assert same_pictures(first, speak(open_driver(small)[0], noise(0.8)))
    other = speak(open_driver(small)[0], noise(0.8, seed=7))
    assert not same_pictures(first, other)


def test_louder_sound_opens_the_mouth_further(echo: Path) -> None:
    quiet = speak(open_driver(echo)[0], noise(1.0, level=0.01))
    loud = speak(open_driver(echo)[0], noise(1.0, level=0.3))
    assert np.mean([f.mouth for f in loud]) > 1.3 * np.mean([f.mouth for f in quiet]) > 0.1
    assert all(0.0 <= f.mouth <= 1.0 for f in loud)


def test_silence_rests_without_the_network(echo: Path) -> None:
    driver, network = open_driver(echo)
    hiss = np.random.default_rng(0).normal(0, 10 ** (-60 / 20), 16_000).astype(np.float32)
    for silence in (np.zeros(16_000, np.float32), hiss):
        frames = speak(driver, silence)
        assert len(frames) == 25
        assert all(is_resting(f) and f.mouth == 0.0 for f in frames)
    assert network.runs == []


def test_the_mouth_closes_softly_in_a_pause_and_opens_again(echo: Path) -> None:
    driver, network = open_driver(echo)
    pause = np.zeros(16_000, np.float32)
    frames = speak(driver, np.concatenate((noise(0.6), pause, noise(0.6))))
    mouths = np.array([f.mouth for f in frames])
    assert all(is_resting(f) for f in frames[20:34])
    assert mouths[:14].max() > 0.4 < mouths[38:55].max()
    closing = mouths[14:20]
    assert np.all(np.diff(closing) <= 0)
    assert np.abs(np.diff(mouths)).max() < 0.45
    assert sum(network.runs) < 40


def test_the_last_frame_rests(echo: Path) -> None:
    frames = speak(open_driver(echo)[0], noise(0.5) + noise(0.5, seed=1))
    settling = [f for f in frames if not f.is_driven]
    assert 2 <= len(settling) <= 5
    assert is_resting(frames[-1])
    assert frames[-1].mouth == 0.0


def test_begin_drops_what_was_pending(echo: Path) -> None:
    driver, network = open_driver(echo)
    pending = driver.feed(noise(2.0))
    next(pending)
    later = driver.feed(noise(0.5))
    driver.begin()
    runs = len(network.runs)
    assert list(pending) == []
    assert len(network.runs) == runs
    new = noise(0.5, seed=3)
    coming = driver.feed(new)
    assert list(later) == []  # an old iterator does not take the new stream's frames
    frames = [*coming, *driver.finish()]
    assert frames[0].pts_s == 0.0
    assert sum(f.is_driven for f in frames) == 13
    # The first frames still ease over from the mouth that was interrupted.
    assert same_pictures(frames[2:], speak(open_driver(echo)[0], new)[2:])


def test_an_interrupted_mouth_closes_softly(echo: Path) -> None:
    driver, _ = open_driver(echo)
    frames: Iterator[Frame] = driver.feed(noise(1.0))
    opened = [next(frames) for _ in range(10)][-1]
    driver.begin()
    idle = [driver.idle() for _ in range(6)]
    mouths = [opened.mouth, *(f.mouth for f in idle)]
    assert mouths[0] > 0.3
    assert mouths == sorted(mouths, reverse=True)
    assert 0.0 < mouths[1] < mouths[0]
    assert is_resting(idle[-1])
    assert not any(f.is_driven for f in idle)


def test_life_goes_on_across_streams_and_rests(echo: Path) -> None:
    compositor = PlainCompositor()
    driver = Wav2LipSync(Wav2LipNetwork(echo), cast(Compositor, compositor))
    compositor.life_s.clear()
    driver.idle()
    speak(driver, noise(0.3))
    driver.idle()
    seen = sorted(set(compositor.life_s))
    assert compositor.life_s == sorted(compositor.life_s)
    assert seen == pytest.approx([i / 25 for i in range(len(seen))])


def test_no_sound_gives_no_frames(echo: Path) -> None:
    driver, network = open_driver(echo)
    driver.begin()
    assert list(driver.feed(np.zeros(0, np.float32))) == []
    assert list(driver.finish()) == []
    assert network.runs == []


def test_a_cough_of_sound_gives_a_frame_with_its_tail(echo: Path) -> None:
    driver, network = open_driver(echo)
    frames = speak(driver, noise(0.05))
    assert sum(f.is_driven for f in frames) == 2
    assert network.runs == [2]
