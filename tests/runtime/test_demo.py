"""The whole chain on real models: a recorded question in, a talking face out."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond_bench.wer import spoken_words

pytestmark = pytest.mark.models

ModelDir = Callable[[str], Path]
FPS = 25


@dataclass(frozen=True)
class Demo:
    folder: Path
    output: str
    timeline: dict[str, Any]

    @property
    def film(self) -> Path:
        return self.folder / "demo.mp4"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """`halfsecond demo`, run once as a user runs it."""
    folder = tmp_path_factory.mktemp("demo")
    result = subprocess.run(
        [sys.executable, "-m", "halfsecond", "demo", "--out", str(folder / "demo.mp4")],
        capture_output=True,
        text=True,
        check=False,
        env={**_environment(), "COLUMNS": "200"},
    )
    assert result.returncode == 0, result.stderr + result.stdout
    return Demo(folder, result.stdout, json.loads((folder / "demo.json").read_text()))


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


@pytest.fixture(scope="module")
def whisper(model_dir: ModelDir) -> Iterator[Whisper]:
    model = Whisper(model_dir("whisper-tiny.en"))
    yield model
    model.close()


def frames_of(film: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(film)) as container:
        return [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]


def test_the_question_is_heard_and_the_answer_is_true(demo: Demo) -> None:
    assert "close" in demo.timeline["question"].lower()
    assert "five" in demo.timeline["answer"].lower()
    assert demo.timeline["question"] in demo.output
    for name in ("demo.mp4", "demo.json", "demo.png", "demo.html"):
        assert name in demo.output
        assert (demo.folder / name).stat().st_size > 500


def test_the_film_says_the_question_and_then_the_answer(demo: Demo, whisper: Whisper) -> None:
    sound = audio.load(demo.film).samples
    cut = int((_end_of_question_s(demo, sound) + 0.1) * audio.RATE_HZ)
    asked = spoken_words(whisper.transcribe(sound[:cut], language="en").text)
    answered = spoken_words(whisper.transcribe(sound[cut:], language="en").text)
    assert {"museum", "close"} <= set(asked)
    assert {"museum", "closes", "five", "afternoon"} <= set(answered)


def test_the_film_is_h264_and_aac_at_25_frames_a_second(demo: Demo) -> None:
    with av.open(str(demo.film)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert (video.width, video.height, int(video.average_rate or 0)) == (512, 512, FPS)
        assert video.duration is not None
        assert video.time_base is not None
        length_s = float(video.duration * video.time_base)
    assert length_s == pytest.approx(audio.load(demo.film).duration_s, abs=0.1)


def test_the_mouth_moves_with_the_answer_and_rests_before_it(
    demo: Demo, model_dir: ModelDir
) -> None:
    marks = demo.timeline["marks"]
    sound = audio.load(demo.film).samples
    end_of_question_s = _end_of_question_s(demo, sound)
    answer_s = end_of_question_s + marks["first_frame_seen"]
    face = model_dir("face")
    meter = ApertureMeter(face / "face_detector.onnx", face / "face_landmarks.onnx")
    aperture = meter.measure_all(frames_of(demo.film))
    first = int(answer_s * FPS)
    before, during = aperture[: first - 2], aperture[first + 2 : first + 2 + 2 * FPS]
    assert not np.isnan(aperture).any()
    assert np.ptp(during) > 0.06  # of the eyes' distance: opens and closes
    assert before.max() < during.max() - 0.04
    assert np.percentile(during, 10) < 0.05


def _end_of_question_s(demo: Demo, sound: NDArray[np.float32]) -> float:
    """Where the question ends in the film: before the silence that precedes the answer."""
    wait_s = demo.timeline["marks"]["first_audio_heard"]
    loud = np.flatnonzero(np.abs(sound) > 10 ** (-45 / 20)) / audio.RATE_HZ
    gaps = np.diff(loud)
    candidates = np.flatnonzero(gaps > 0.5 * wait_s)
    best = min(candidates, key=lambda at: abs(gaps[at] - wait_s))
    return float(loud[best])


def test_the_timeline_is_in_the_order_of_cause_and_effect(demo: Demo) -> None:
    marks = demo.timeline["marks"]
    order = (
        "last_speech", "begun", "llm_first_token", "llm_first_clause", "tts_first_chunk",
        "first_audio_sent", "first_audio_heard",
    )  # fmt: skip
    times = [marks[name] for name in order]
    assert times == sorted(times)
    assert marks["endpoint"] <= marks["first_audio_sent"]
    assert marks["lipsync_first_frame"] <= marks["first_frame_seen"]
    stages = {span["stage"] for span in demo.timeline["spans"]}
    assert {stage.removesuffix(".queue") for stage in stages} == {"asr", "llm", "tts", "lipsync"}
