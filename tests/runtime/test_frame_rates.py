"""25 and 30 pictures a second: so many come, and their mouths are in time, at either."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from fakes.echo_network import write_echo
from fakes.engines import CLAUSE_S
from fakes.gateways import running_gateway
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.assets import asset
from halfsecond.client import Received
from halfsecond.film import Film, write_mp4
from halfsecond.gateway.tracks import AnswerSound, FacePictures
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import Portrait, load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import LIPSYNC_RATE_HZ, Frame, LipSync
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.mel import MEL_STEPS_PER_S, first_step
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.wav2lip import Wav2LipSync
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond.models.tts.hibari import HibariVoice
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.recording import Shown
from halfsecond_bench.av_offset import offset_of

RATES = (25, 30)
LENGTH_S = 10.0
SENTENCES = (
    "Maybe my mother and Bob have a big open boat by the harbour. "
    "We close at five today, and at eight on Fridays. Come and see the old lighthouse."
)

FaceModels = tuple[Path, Path]


@pytest.fixture(scope="module")
def face_models(model_dir: Callable[[str], Path]) -> FaceModels:
    folder = model_dir("face")
    return folder / "face_detector.onnx", folder / "face_landmarks.onnx"


@pytest.fixture(scope="module")
def portrait(face_models: FaceModels) -> Portrait:
    return load_portrait(asset("astronaut.png"), FaceFinder(*face_models), size=(256, 256))


@pytest.fixture(scope="module")
def speech(model_dir: Callable[[str], Path]) -> NDArray[np.float32]:
    """10 s of it, at the rate of the lips."""
    voice = HibariVoice(model_dir("hibari") / "hibari.onnx")
    spoken = np.concatenate([chunk.samples for chunk in voice.speak(SENTENCES)])
    samples = soxr.resample(spoken, SPEECH_RATE_HZ, LIPSYNC_RATE_HZ).astype(np.float32)
    return np.asarray(np.resize(samples, int(LENGTH_S * LIPSYNC_RATE_HZ)), np.float32)


def speak(driver: LipSync, samples: NDArray[np.float32]) -> list[Frame]:
    """The pictures of speech, fed as a turn feeds it."""
    driver.begin()
    piece = int(0.4 * LIPSYNC_RATE_HZ)
    frames: list[Frame] = []
    for start in range(0, len(samples), piece):
        frames += driver.feed(samples[start : start + piece])
    return [frame for frame in (*frames, *driver.finish()) if frame.is_driven]


def mouths(frames: list[Frame]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array([f.pts_s for f in frames]), np.array([f.mouth for f in frames], float)


def assert_same_mouths(slow: list[Frame], quick: list[Frame]) -> None:
    """Both are one movement, seen more or less often: at one time, in one place."""
    (slow_s, slow_mouths), (quick_s, quick_mouths) = mouths(slow), mouths(quick)
    grid = np.arange(0.0, LENGTH_S - 0.1, 0.005)
    one = np.interp(grid, slow_s, slow_mouths)
    other = np.interp(grid, quick_s, quick_mouths)
    shifts = range(-20, 21)
    agreement = [float(np.corrcoef(one, np.roll(other, shift))[0, 1]) for shift in shifts]
    assert max(agreement) > 0.97
    assert abs(5 * shifts[int(np.argmax(agreement))]) <= 10  # milliseconds


@pytest.mark.parametrize("fps", RATES)
def test_wav2lips_windows_stay_within_a_step_before_their_pictures_for_ten_minutes(
    fps: int,
) -> None:
    early = [
        Fraction(frame, fps) - Fraction(first_step(frame, fps), MEL_STEPS_PER_S)
        for frame in range(600 * fps)
    ]
    assert min(early) == 0
    assert max(early) < Fraction(1, MEL_STEPS_PER_S)


@pytest.mark.models
def test_the_mesh_driver_draws_one_movement_at_either_rate(
    portrait: Portrait, speech: NDArray[np.float32]
) -> None:
    drawn = [speak(MeshLipSync(portrait, fps=fps, is_expressive=False), speech) for fps in RATES]
    assert [len(frames) for frames in drawn] == [250, 300]
    assert_same_mouths(*drawn)


@pytest.mark.models
def test_wav2lip_draws_one_movement_at_either_rate(
    portrait: Portrait, speech: NDArray[np.float32], tmp_path: Path
) -> None:
    write_echo(tmp_path / "echo.onnx", depth=0.9)  # darkens the mouth with the sound
    network = Wav2LipNetwork(tmp_path / "echo.onnx")
    compositor = Compositor(portrait, expression=Expression(seed=0, is_on=False))
    drawn = [speak(Wav2LipSync(network, compositor, fps=fps), speech) for fps in RATES]
    assert [len(frames) for frames in drawn] == [250, 300]
    assert_same_mouths(*drawn)


@pytest.mark.models
@pytest.mark.slow
@pytest.mark.parametrize("fps", RATES)
def test_the_lips_that_are_seen_are_in_time_with_the_sound(
    face_models: FaceModels, speech: NDArray[np.float32], fps: int
) -> None:
    portrait = load_portrait(asset("astronaut.png"), FaceFinder(*face_models))
    frames = speak(MeshLipSync(portrait, fps=fps, is_expressive=False), speech)
    seen = ApertureMeter(*face_models).measure_all(frame.image for frame in frames)
    found = offset_of(mouths(frames)[0], seen, speech, LIPSYNC_RATE_HZ)
    assert found is not None
    assert abs(found.offset_s) <= 0.04


@pytest.mark.parametrize("fps", RATES)
async def test_a_client_that_wishes_a_rate_gets_it(run_server: RunServer, fps: int) -> None:
    async with run_server() as running, running.client(fps=fps) as client:
        assert client.welcome is not None
        assert client.welcome.fps == fps
        reply = await client.reply("When do you close?")
    times = [shown.pts_s for shown in reply.pictures if shown.is_driven]
    assert len(times) == 2 * CLAUSE_S * fps
    assert times == pytest.approx([n / fps for n in range(len(times))], abs=1e-5)


async def test_another_rate_is_refused_in_words(run_server: RunServer) -> None:
    async with run_server() as running:
        client = running.client()
        await client.open()
        await client._socket.send_multipart(wire.encode(wire.Hello(fps=24)))  # type: ignore[arg-type]
        async for event in client.events():
            if isinstance(event, Received) and isinstance(event.message, wire.Error):
                assert event.message.code == "bad_message"
                assert "fps" in event.message.message
                break
        await client.close()


@pytest.mark.parametrize("fps", RATES)
def test_a_film_has_the_rate_and_the_length_of_what_it_shows(tmp_path: Path, fps: int) -> None:
    pictures = [
        (n / fps, Shown(0.0, n / fps, bytes([8 * n]) * (16 * 16 * 3), True, 0.0, "rgb", (16, 16)))
        for n in range(fps)
    ]
    write_mp4(tmp_path / "film.mp4", Film(pictures, np.zeros(48_000, np.float32), fps))
    with av.open(str(tmp_path / "film.mp4")) as film:
        video = film.streams.video[0]
        assert video.average_rate == fps
        assert video.frames == fps
        greys = [float(frame.to_ndarray(format="gray").mean()) for frame in film.decode(video)]
    assert np.all(np.diff(greys) > 0)  # each picture is seen once


@pytest.mark.parametrize("fps", RATES)
async def test_a_browser_that_wishes_a_rate_gets_it(run_server: RunServer, fps: int) -> None:
    async with (
        run_server() as server,
        running_gateway(QUICK, server.address, clock=time.time) as gateway,
        gateway.browser(fps=fps) as browser,
    ):
        assert [welcome["fps"] for welcome in browser.of("welcome")] == [fps]
        await browser.say(type="text", text="When do you close?")
        await browser.until("turn_end", reason="complete")
        assert len([m for m in browser.of("video") if m["is_driven"]]) == 2 * CLAUSE_S * fps


async def test_the_tracks_of_webrtc_go_at_the_rate_of_their_session() -> None:
    """A picture every 40 ms or 33 ms of the clock."""
    clock_s = 0.0

    def now() -> float:
        return clock_s

    for fps in RATES:
        clock_s = 0.0
        pictures = FacePictures(AnswerSound(now=now), fps=25, taken=lambda _: None, now=now)
        pictures.restart(fps=fps)
        shown = []
        for number in range(1, 4):
            header = wire.Video(width=2, height=2, format="rgb")
            pictures.add(header, bytes(12))
            clock_s = number / fps + 1e-6
            shown.append((await pictures.recv()).pts)
        assert shown == pytest.approx([90_000 * n / fps for n in (1, 2, 3)], abs=1)
