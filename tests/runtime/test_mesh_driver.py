"""The mesh driver as its users see it: which frames come, when, and what their mouths do."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import halfsecond
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import Portrait, load_portrait
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame, LipSync
from halfsecond.models.lipsync.mesh import LOOK_AHEAD_S, SETTLE_S, MeshLipSync
from halfsecond.models.lipsync.mouth import MouthPose
from halfsecond.models.tts.voice import Phone

pytestmark = pytest.mark.models

FaceModels = tuple[Path, Path]

ASTRONAUT = Path(halfsecond.__file__).parent / "assets" / "astronaut.png"
RATE = LIPSYNC_RATE_HZ


@pytest.fixture(scope="module")
def face_models(model_dir: Callable[[str], Path]) -> FaceModels:
    folder = model_dir("face")
    return folder / "face_detector.onnx", folder / "face_landmarks.onnx"


@pytest.fixture(scope="module")
def portrait(face_models: FaceModels) -> Portrait:
    return load_portrait(ASTRONAUT, FaceFinder(*face_models))


@pytest.fixture
def still(portrait: Portrait) -> MeshLipSync:
    """A driver that moves nothing but the mouth."""
    return MeshLipSync(portrait, is_expressive=False)


@pytest.fixture
def meter(face_models: FaceModels) -> ApertureMeter:
    return ApertureMeter(*face_models)


def voiced(
    seconds: float, *, first_hz: float = 700.0, second_hz: float = 1300.0
) -> NDArray[np.float32]:
    """A vowel: pulses at 120 a second, shaped by two formants."""
    t = np.arange(int(seconds * RATE)) / RATE
    wave = np.zeros_like(t)
    for harmonic in range(1, 40):
        hz = 120.0 * harmonic
        gain = sum(1 / (1 + ((hz - formant) / 120) ** 2) for formant in (first_hz, second_hz))
        wave = wave + gain * np.sin(2 * np.pi * hz * t)
    return np.asarray(0.3 * wave / np.abs(wave).max(), np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(int(seconds * RATE), np.float32)


def spoken(symbols: str, each_s: float) -> list[Phone]:
    return [Phone(s, i * each_s, (i + 1) * each_s) for i, s in enumerate(symbols)]


def speak(
    driver: LipSync, samples: NDArray[np.float32], phones: list[Phone] | None = None
) -> list[Frame]:
    driver.begin()
    return [*driver.feed(samples, phones=phones or ()), *driver.finish()]


def near(frames: list[Frame], t_s: float) -> Frame:
    return min(frames, key=lambda frame: abs(frame.pts_s - t_s))


def test_a_second_of_speech_gives_a_second_of_frames_and_then_the_mouth_settles(
    still: MeshLipSync,
) -> None:
    frames = speak(still, voiced(1.0))
    driven = [frame for frame in frames if frame.is_driven]
    assert len(driven) == still.fps
    assert [frame.pts_s for frame in frames] == pytest.approx(
        [i / still.fps for i in range(len(frames))]
    )
    assert len(frames) == pytest.approx((1.0 + SETTLE_S) * still.fps, abs=1)
    assert driven[-4].mouth > 0.2
    assert frames[-1].mouth < 0.05


def test_frames_come_as_soon_as_the_look_ahead_is_heard(still: MeshLipSync) -> None:
    still.begin()
    assert list(still.feed(voiced(LOOK_AHEAD_S - 0.01))) == []
    first = list(still.feed(voiced(0.02)))
    assert [frame.pts_s for frame in first] == [0.0]


def test_frames_have_the_size_and_type_that_the_seam_asks_for(portrait: Portrait) -> None:
    driver = MeshLipSync(portrait)
    frame = driver.idle()
    width, height = driver.size
    assert frame.image.shape == (height, width, 3)
    assert frame.image.dtype == np.uint8
    assert not frame.is_driven


def test_the_mouth_opens_for_open_vowels_and_closes_on_bilabials_on_the_picture(
    still: MeshLipSync, meter: ApertureMeter
) -> None:
    phones = spoken("ɑmɑbɑpɑ", 0.24)
    frames = speak(still, voiced(7 * 0.24), phones)
    aperture = meter.measure_all(frame.image for frame in frames)
    pts = np.array([frame.pts_s for frame in frames])
    closures: list[NDArray[np.float32]] = []
    vowels: list[NDArray[np.float32]] = []
    for phone in phones:
        inside = (pts >= phone.start_s - 0.06) & (pts < phone.end_s - 0.06)
        (closures if phone.symbol in "mbp" else vowels).append(aperture[inside])
    assert min(part.max() for part in vowels) > 0.08
    assert max(part.min() for part in closures) < 0.035


def test_every_bilabial_of_fluent_speech_shuts_the_lips_for_a_frame(still: MeshLipSync) -> None:
    phones = spoken("bəbæmipoʊbɪm", 0.08)
    frames = speak(still, voiced(12 * 0.08), phones)
    for phone in phones:
        if phone.symbol in "pbm":
            mouths = [f.mouth for f in frames if abs(f.pts_s - phone.start_s) < 0.07]
            assert min(mouths) < 0.10, phone


def test_silence_keeps_the_mouth_shut_on_the_picture(
    still: MeshLipSync, meter: ApertureMeter
) -> None:
    samples = np.concatenate([voiced(0.6), silence(0.8)])
    frames = speak(still, samples)
    quiet = [frame for frame in frames if 0.85 <= frame.pts_s < 1.35]
    assert max(frame.mouth for frame in quiet) < 0.03
    assert meter.measure_all(frame.image for frame in quiet).max() < 0.035


def test_phonemes_without_sound_do_not_move_the_mouth(still: MeshLipSync) -> None:
    frames = speak(still, silence(0.8), spoken("ɑɑɑɑ", 0.2))
    assert max(frame.mouth for frame in frames) == 0.0


def test_rounded_vowels_are_narrower_than_spread_ones(still: MeshLipSync) -> None:
    spread = near(speak(still, voiced(0.8), spoken("iiii", 0.2)), 0.4).image.astype(int)
    rounded = near(speak(still, voiced(0.8), spoken("uuuu", 0.2)), 0.4).image.astype(int)
    lips = still._compositor.avatar.mouth.lips
    corner = (lips.origin + 0.9 * lips.half_width * lips.along).astype(int)
    patch = np.s_[corner[1] - 6 : corner[1] + 7, corner[0] - 8 : corner[0] + 9]
    assert np.abs(spread[patch] - rounded[patch]).mean() > 10


@pytest.mark.parametrize("with_phones", [True, False])
def test_speech_in_small_pieces_gives_the_frames_of_the_whole(
    portrait: Portrait, with_phones: bool
) -> None:
    samples = np.concatenate([voiced(0.5), silence(0.2), voiced(0.5, first_hz=350)])
    phones = spoken("hɑmiwubə ɑpɛ", 0.1) if with_phones else []
    whole = speak(MeshLipSync(portrait, seed=3), samples, phones)
    driver = MeshLipSync(portrait, seed=3)
    driver.begin()
    pieces: list[Frame] = []
    for start in range(0, len(samples), 700):
        end = start + 700
        within = [
            Phone(p.symbol, p.start_s - start / RATE, p.end_s - start / RATE)
            for p in phones
            if start <= p.start_s * RATE < end
        ]
        pieces += driver.feed(samples[start:end], phones=within)
    pieces += driver.finish()
    assert len(pieces) == len(whole)
    for one, other in zip(pieces, whole, strict=True):
        assert one.mouth == pytest.approx(other.mouth, abs=1e-6)
        assert np.abs(one.image.astype(int) - other.image).max() <= 1


def test_the_same_seed_gives_the_same_life_and_another_seed_another(portrait: Portrait) -> None:
    def life(seed: int) -> list[NDArray[np.uint8]]:
        driver = MeshLipSync(portrait, seed=seed)
        return [driver.idle().image for _ in range(40)]

    one, same, other = life(1), life(1), life(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_pixels_that_nothing_moves_stay_those_of_the_portrait(
    portrait: Portrait, still: MeshLipSync
) -> None:
    frames = speak(still, voiced(0.6), spoken("ɑiu", 0.2))
    grid = still._compositor.avatar.mouth.grid
    for frame in frames:
        outside = np.ones(frame.image.shape[:2], bool)
        outside[grid.window] = False
        assert np.array_equal(frame.image[outside], portrait.image[outside])


def test_the_background_stays_still_while_the_head_moves(portrait: Portrait) -> None:
    driver = MeshLipSync(portrait, seed=5)
    frames = [driver.idle() for _ in range(50)]
    edges = [np.s_[:200, :12], np.s_[:200, -12:], np.s_[:1, :]]
    head = np.s_[150:250, 160:350]
    for edge in edges:
        assert all(np.array_equal(f.image[edge], portrait.image[edge]) for f in frames)
    moved = [np.abs(f.image[head].astype(int) - frames[0].image[head]).mean() for f in frames]
    assert max(moved) > 1.0


def test_an_interruption_drops_what_was_pending_and_lets_the_mouth_close_softly(
    still: MeshLipSync,
) -> None:
    still.begin()
    stream = still.feed(voiced(2.0), phones=spoken("ɑ" * 10, 0.2))
    shown = [next(stream) for _ in range(12)]
    still.begin()
    assert list(stream) == []
    idle = [still.idle().mouth for _ in range(12)]
    assert shown[-1].mouth > 0.5
    assert 0.2 * shown[-1].mouth < idle[0] < shown[-1].mouth
    assert idle[-1] == 0.0
    assert all(later <= earlier for earlier, later in itertools.pairwise(idle))


def test_frames_are_made_only_when_they_are_asked_for(
    still: MeshLipSync, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[float] = []
    render = still._compositor.render_pose

    def counted(pose: MouthPose, t_s: float, **rest: Any) -> NDArray[np.uint8]:
        made.append(t_s)
        return render(pose, t_s, **rest)

    monkeypatch.setattr(still._compositor, "render_pose", counted)
    still.begin()
    stream: Iterator[Frame] = iter(still.feed(voiced(1.0)))
    assert made == []
    next(stream)
    next(stream)
    assert len(made) == 2


def test_a_tall_frame_speaks_as_well(face_models: FaceModels) -> None:
    driver = MeshLipSync.open(
        ASTRONAUT,
        detector=face_models[0],
        landmarks=face_models[1],
        size=(720, 1280),
        is_expressive=False,
    )
    assert driver.size == (720, 1280)
    frames = speak(driver, voiced(0.48), spoken("ɑm", 0.24))
    meter = ApertureMeter(*face_models)
    opened = meter.measure(near(frames, 0.1).image)
    shut = meter.measure(near(frames, 0.24).image)
    assert opened > 0.08
    assert shut < 0.04
