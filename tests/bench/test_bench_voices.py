"""What `bench voices` counts: words and characters, who sounds like whom, what it prints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console

from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeechChunk
from halfsecond.store import Store
from halfsecond_bench import voices
from halfsecond_bench.han import character_errors, spoken_characters
from halfsecond_bench.speakers import compare_speakers
from halfsecond_bench.voice_texts import MIXED, READINGS, SENTENCES
from halfsecond_bench.voices_report import print_report

Voice = NDArray[np.float32]


def around(direction: int, n: int, *, spread: float, seed: int = 0) -> list[Voice]:
    """Utterances of one speaker: near one axis."""
    rng = np.random.default_rng(seed + direction)
    axis = np.eye(8, dtype=np.float32)[direction]
    return [(axis + spread * rng.standard_normal(8)).astype(np.float32) for _ in range(n)]


def test_characters_are_counted_as_they_are_said() -> None:
    assert spoken_characters("我叫Tom，今年20岁。") == ["我", "叫", "tom", "今", "年", "20", "岁"]
    assert spoken_characters("歡迎來到博物館") == list("欢迎来到博物馆")


def test_each_wrong_missing_or_added_character_is_one_error() -> None:
    found = character_errors([("请问几点关门？", "請問几點開门"), ("谢谢。", "谢谢您")])
    assert (found.errors, found.words) == (2, 8)


def test_speakers_that_are_apart_are_not_confused() -> None:
    figures = compare_speakers({"ada": around(0, 5, spread=0.05), "bob": around(1, 5, spread=0.05)})
    assert figures.apart > 0.8
    assert figures.confusions == []
    assert figures.same.n == 20
    assert figures.different.n == 25
    assert figures.nearest["ada"][0] == "bob"


def test_two_voices_of_one_person_are_not_confused_with_each_other() -> None:
    ada, bob = around(0, 8, spread=0.1), around(1, 5, spread=0.05)
    apart = {"ada": ada[:4], "ada at night": ada[4:], "bob": bob}
    assert compare_speakers(apart).confusions
    figures = compare_speakers(apart, one_person={"ada at night": "ada"})
    assert figures.confusions == []
    assert figures.speakers == 2
    assert figures.nearest["ada"][0] == "ada at night"


def test_an_utterance_of_another_speaker_is_found() -> None:
    ada, bob = around(0, 5, spread=0.05), around(1, 5, spread=0.05)
    figures = compare_speakers({"ada": [*ada[:4], bob[0]], "bob": bob})
    (confusion,) = figures.confusions
    assert (confusion.speaker, confusion.taken_for) == ("ada", "bob")
    assert confusion.other > confusion.own


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_sentence_has_a_digit_and_every_reading_has_a_pattern(language: str) -> None:
    assert not any(re.search(r"\d", text) for text in SENTENCES[language])
    for _, pattern in (*READINGS[language], *MIXED):
        re.compile(pattern)


def test_a_reading_that_is_right_is_seen_and_one_that_is_wrong() -> None:
    patterns = dict(READINGS["en"]) | dict(READINGS["zh"])
    right = {
        "It costs $3.50 for a child.": "It costs $3.50 for a child.",
        "The rocket weighs 2,800 tons.": "The rocket weighs 2800 tons.",
        "我们下午5:30关门。": "我們下午五點半關門",
        "水占71%。": "水占百分之七十一",
    }
    wrong = {
        "It costs $3.50 for a child.": "It costs dollar three point five zero for a child.",
        "我们下午5:30关门。": "我们下午五三零关门",
        "水占71%。": "水占七一",
    }
    for written, heard in right.items():
        assert re.search(patterns[written], heard.lower()), written
    for written, heard in wrong.items():
        assert not re.search(patterns[written], heard.lower()), written


class Parrot:
    """A voice whose recogniser hears what it was given; its tone tells who it is."""

    language = "en"

    def __init__(self, name: str, level: float) -> None:
        self.name = name
        self.level = level

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        tone = self.level * np.sin(np.arange(SPEECH_RATE_HZ) / 10)
        yield SpeechChunk(tone.astype(np.float32), clause)

    def close(self) -> None:
        pass


class Listener:
    """Whisper and speaker encoder in one: hears every sentence right but the second."""

    def __init__(self, *_: object, **__: object) -> None:
        readings = [written for written, _ in READINGS["en"][:2]]
        self.answers = iter([SENTENCES["en"][0], "Something else.", *readings] * 2)
        self.seen = 0

    def transcribe(self, samples: Voice, *, language: str, prompt: str) -> object:
        answer = next(self.answers)
        return type("Transcript", (), {"text": answer})()

    def embed(self, samples: Voice) -> Voice:
        self.seen += 1
        return around(0 if np.abs(samples).max() > 0.15 else 1, 1, spread=0.01)[0]

    def close(self) -> None:
        pass


def test_the_table_tells_errors_readings_loudness_and_likeness(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(voices, "Whisper", Listener)
    monkeypatch.setattr(voices, "SpeakerEncoder", Listener)

    def opened(engine: str, *_: object, speaker: str, **__: object) -> Parrot:
        return Parrot(engine, 0.2 if speaker == "loud" else 0.1)

    monkeypatch.setattr(voices, "open_voice", opened)
    monkeypatch.setattr(Store, "path", lambda self, name: tmp_path)
    report = voices.measure(
        Store.default(tmp_path),
        ["kokoro/loud", "kokoro/soft"],
        {},
        recognizer="whisper-base",
        threads=1,
        sentences=2,
    )
    first = report.voices[0]
    assert first.words.n == 22
    assert [row.written for row in first.heard] == [SENTENCES["en"][1]]
    assert (first.readings.right, first.readings.n) == (2, 2)
    assert report.loudness_apart_db == pytest.approx(6.0, abs=0.1)
    assert report.speakers.confusions == []
    console = Console(record=True, width=160)
    print_report(report, console)
    printed = console.export_text()
    assert "kokoro/loud" in printed
    assert "2/2" in printed
    assert "kokoro/loud is most like kokoro/soft" in printed
    assert "0 taken for another" in printed
