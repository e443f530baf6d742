"""A visitor's voice: heard, refused as `export voice` refuses, spoken with, and not remembered."""

from __future__ import annotations

import asyncio
import io
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import recordings
from halfsecond import audio
from halfsecond.errors import AudioError, UnsupportedModelError
from halfsecond.models.speaker.encoder import similarity
from halfsecond.models.speaker.recording_file import decode_recording
from halfsecond.models.tts.voice import SpeechChunk
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest, TtsStage
from halfsecond.uploads.job import Job, Made
from halfsecond.uploads.making import make
from halfsecond.uploads.workshop import Workshop
from halfsecond.voiceprint import Voiceprint, decode_voiceprint, encode_voiceprint

CONSENT = "Ada Lovelace, in writing, 2026-11-29"
ModelDir = Callable[[str], Path]


def wav_of(samples: NDArray[np.float32]) -> bytes:
    """(n,) mono 16 kHz as a WAV file."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(audio.float_to_pcm16(samples))
    return data.getvalue()


# The file.


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 10.0.0.1\nm=audio 5004 RTP/AVP 96\n",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"\xff\xd8\xff\xe0 a photo",
    ],
    ids=["nothing", "playlist", "concat", "sdp", "svg", "jpeg"],
)
def test_only_recordings_are_opened_and_never_what_names_other_files(data: bytes) -> None:
    with pytest.raises(AudioError) as refused:
        decode_recording(data, most_s=31)
    assert refused.value.reason == "wrong_kind"


@pytest.mark.parametrize("keep", [8, 30, 44, 60])
def test_a_recording_that_is_cut_off_is_refused_or_short(keep: int) -> None:
    data = wav_of(np.full(16_000, 0.1, np.float32))[:keep]
    try:
        assert decode_recording(data, most_s=31).duration_s < 0.01
    except AudioError as error:
        assert str(error).startswith("the recording")


def test_no_more_of_a_recording_is_decoded_than_is_wanted() -> None:
    hour = wav_of(np.zeros(16_000 * 600, np.float32))
    assert 31 <= decode_recording(hour, most_s=31).duration_s < 32


# The voice.


class Anybody:
    """A voice that says a note whose height is of whom it speaks as."""

    name, language = "anybody", "en"

    def __init__(self) -> None:
        self.voiceprint: Voiceprint | None = None
        self.spoken = 0

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        self.spoken += 1
        height = 0.1 if self.voiceprint is None else float(self.voiceprint.values[0])
        if clause:
            yield SpeechChunk(np.full(240, height, np.float32), clause)

    def close(self) -> None:
        pass


class Somebody(Anybody):
    """A voice that is itself only."""

    def __init__(self) -> None:
        self.spoken = 0

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        yield SpeechChunk(np.zeros(240, np.float32), clause)


def heights(stage: TtsStage, voiceprint: bytes = b"") -> list[float]:
    request = TtsRequest("Hello there.", voiceprint=voiceprint)
    return [round(float(chunk.samples[0]), 3) for chunk in stage.run(request, Cancel())]


def test_a_clause_is_spoken_as_the_visitor_and_the_next_one_as_the_server() -> None:
    voice = Anybody()
    stage = TtsStage(lambda: voice, label="anybody")
    stage.open()
    mine = encode_voiceprint(Voiceprint(np.array([0.5, 1.0], np.float32), "test"))
    assert heights(stage) == [0.1]
    assert heights(stage, mine) == [0.5]
    assert heights(stage) == [0.1]
    assert (heights(stage, mine), voice.spoken) == ([0.5], 3)  # the server's own is remembered
    assert voice.voiceprint is None


def test_a_clause_that_is_broken_off_leaves_the_servers_voice() -> None:
    voice = Anybody()
    stage = TtsStage(lambda: voice, label="anybody")
    stage.open()
    mine = encode_voiceprint(Voiceprint(np.array([0.5, 1.0], np.float32), "test"))
    cancel = Cancel()
    cancel.set()
    assert list(stage.run(TtsRequest("Hello.", voiceprint=mine), cancel)) == []
    assert voice.voiceprint is None


def test_a_voice_of_its_own_says_that_it_cannot() -> None:
    stage = TtsStage(Somebody, label="hibari")
    stage.open()
    mine = encode_voiceprint(Voiceprint(np.array([0.5, 1.0], np.float32), "test"))
    with pytest.raises(UnsupportedModelError, match="hibari cannot speak as somebody else"):
        heights(stage, mine)


# The whole of it, with the real models.


@pytest.fixture(scope="module")
def models(model_dir: ModelDir) -> dict[str, str]:
    return {name: str(model_dir(name)) for name in ("silero-vad", "speaker-encoder")}


@pytest.mark.models
def test_a_reading_becomes_a_voiceprint_that_says_who_agreed(
    models: dict[str, str], clips_dir: Path
) -> None:
    reader = wav_of(recordings.reader(clips_dir))
    workshop = Workshop(models, most_megapixels=50, time_limit_s=300)
    job = Job(kind="voice", data=reader, consent=CONSENT, today="2026-11-29")
    made = asyncio.run(workshop.make(job))
    assert made.product, made
    voiceprint = decode_voiceprint(made.product, "the upload")
    assert voiceprint.provenance is not None
    assert voiceprint.provenance.consent == CONSENT
    assert voiceprint.provenance.reference_sha256 == ""
    again = make(Job(kind="voice", data=reader, consent=CONSENT, models=models))
    other = decode_voiceprint(again.product, "the upload")
    assert similarity(voiceprint.values, other.values) > 0.999


@pytest.mark.models
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda reader: reader * 0, "the recording is silent"),
        (lambda reader: np.clip(reader * 30, -1, 1), "the recording is clipped"),
        (lambda reader: reader[:16_000], "the recording lasts 1.0 s"),
        (lambda reader: np.tile(reader, 6), "and at most 30 are heard"),
    ],
    ids=["silent", "clipped", "short", "long"],
)
def test_a_recording_is_refused_with_the_words_of_export_voice(
    models: dict[str, str],
    clips_dir: Path,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    message: str,
) -> None:
    data = wav_of(change(recordings.reader(clips_dir)))
    made: Made = make(Job(kind="voice", data=data, consent=CONSENT, models=models))
    assert (made.product, made.reason) == (b"", "bad_audio")
    assert message in made.message


@pytest.mark.models
def test_without_consent_nothing_is_heard(models: dict[str, str], clips_dir: Path) -> None:
    data = wav_of(recordings.reader(clips_dir))
    assert make(Job(kind="voice", data=data, consent="", models=models)).reason == "no_consent"
