"""Phrases rendered ahead: spoken from the file, unless the voice or the words have changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner

from halfsecond.audio import resample
from halfsecond.config import Config, PhrasesConfig, PresetQuestion, TtsConfig
from halfsecond.errors import ConfigError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk
from halfsecond.stages import engines, openers
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.rendered import PhraseShelf
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest, TtsStage
from halfsecond.store import Store
from halfsecond_export.cli import app

ModelDir = Callable[[str], Path]
PHRASES = PhrasesConfig(
    greeting="Welcome to the museum. What would you like to know?",
    openings=("Let me see.",),
    presets=(PresetQuestion(question="When do you close?", answer="At five."),),
)
TOML = """
[phrases]
greeting = "Welcome to the museum. What would you like to know?"
openings = ["Let me see."]
[[phrases.presets]]
question = "When do you close?"
answer = "At five."
"""


class Tone:
    """A voice of 0.1 s a clause, in which it says how many it has spoken."""

    name, language = "tone", "en"

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        self.spoken.append(clause)
        level = len(self.spoken) / 100
        phones = (Phone("a", 0.0, 0.05), Phone("p", 0.05, 0.1))
        yield SpeechChunk(np.full(SPEECH_RATE_HZ // 10, level, np.float32), clause, phones)

    def close(self) -> None:
        pass


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store in which every model is there, as far as the voice's stage asks."""
    monkeypatch.setattr(Store, "path", lambda self, name: self.home / "models" / name)
    monkeypatch.setenv("HALFSECOND_HOME", str(tmp_path))
    return Store.default()


@pytest.fixture
def voices(monkeypatch: pytest.MonkeyPatch) -> list[Tone]:
    """Every voice that was opened."""
    opened: list[Tone] = []

    def open_voice(config: TtsConfig, directory: Path) -> Tone:
        opened.append(Tone())
        return opened[-1]

    monkeypatch.setattr(openers, "open_voice", open_voice)
    return opened


def config(**tts: object) -> Config:
    return Config(phrases=PHRASES, tts=msgspec.structs.replace(TtsConfig(), **tts))


def rendered(tmp_path: Path, toml: str = TOML) -> None:
    (tmp_path / "kiosk.toml").write_text(toml)
    result = CliRunner().invoke(app, ["phrases", "--config", str(tmp_path / "kiosk.toml")])
    assert result.exit_code == 0, result.exception
    assert "4 clauses, 0.4 s of speech" in result.stdout


def opened_stage(settings: Config, store: Store) -> TtsStage:
    stage = engines.build_stage("tts", settings, store)
    assert isinstance(stage, TtsStage)
    stage.open()
    return stage


def speak_all(stage: TtsStage, settings: Config) -> list[SpeechChunk]:
    requests = [
        TtsRequest(clause, settings.tts.speed, is_kept=True)
        for clause in Phrases(settings.phrases).clauses()
    ]
    return [chunk for request in requests for chunk in stage.run(request, Cancel())]


def test_rendered_phrases_are_spoken_without_the_voice(
    tmp_path: Path, store: Store, voices: list[Tone]
) -> None:
    rendered(tmp_path)
    stage = opened_stage(config(), store)
    chunks = speak_all(stage, config())
    ahead, now = voices
    assert len(ahead.spoken) == 4
    assert now.spoken == []
    assert [chunk.text.strip() for chunk in chunks] == [text.strip() for text in ahead.spoken]
    assert chunks[1].phones == (Phone("a", 0.0, 0.05), Phone("p", 0.05, 0.1))
    np.testing.assert_allclose(chunks[1].samples, np.full(2400, 0.02), atol=1 / 32768)


def test_other_words_are_spoken_by_the_voice(
    tmp_path: Path, store: Store, voices: list[Tone]
) -> None:
    rendered(tmp_path)
    stage = opened_stage(config(), store)
    list(stage.run(TtsRequest("We close at six."), Cancel()))
    assert voices[-1].spoken == ["We close at six."]


@pytest.mark.parametrize(("changes", "named"), [({"speed": 1.1}, "speed"), ({"threads": 4}, "")])
def test_another_pace_makes_them_stale_and_threads_do_not(
    tmp_path: Path, store: Store, voices: list[Tone], changes: dict[str, object], named: str
) -> None:
    rendered(tmp_path)
    with capture_logs() as logs:
        stage = opened_stage(config(**changes), store)
    speak_all(stage, config(**changes))
    if not named:
        assert logs == []
        assert voices[-1].spoken == []
        return
    (line,) = logs
    assert line["reason"] == f"made with another {named}"
    assert line["remedy"] == "run `halfsecond export phrases` again"
    assert len(voices[-1].spoken) == 4


def test_other_model_files_make_them_stale(
    tmp_path: Path, store: Store, voices: list[Tone], monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered(tmp_path)
    shelf = PhraseShelf.of(config().tts, store)
    other = msgspec.structs.replace(shelf.facts, files={"hibari.onnx": "ab" * 32})
    clauses = list(Phrases(PHRASES).clauses())
    with capture_logs() as logs:
        assert PhraseShelf(shelf.folder, other).read(clauses) == {}
    assert [line["reason"] for line in logs] == ["made with another files"]


def test_another_speaker_has_a_file_of_its_own(
    tmp_path: Path, store: Store, voices: list[Tone]
) -> None:
    rendered(tmp_path)
    with capture_logs() as logs:
        stage = opened_stage(config(voice="heart"), store)
    speak_all(stage, config(voice="heart"))
    assert logs == []
    assert len(voices[-1].spoken) == 4
    one, other = (PhraseShelf.of(config(voice=v).tts, store).path for v in ("", "heart"))
    assert one != other


def test_a_changed_phrase_alone_is_made_anew(
    tmp_path: Path, store: Store, voices: list[Tone]
) -> None:
    rendered(tmp_path)
    changed = msgspec.structs.replace(
        config(), phrases=msgspec.structs.replace(PHRASES, openings=("One moment.",))
    )
    with capture_logs() as logs:
        stage = opened_stage(changed, store)
    speak_all(stage, changed)
    assert voices[-1].spoken == ["One moment."]
    assert [line["reason"] for line in logs] == ["1 phrases of the config are not in it"]


def test_a_broken_file_is_told_of_once_and_not_used(
    tmp_path: Path, store: Store, voices: list[Tone]
) -> None:
    rendered(tmp_path)
    path = PhraseShelf.of(config().tts, store).path
    path.write_bytes(path.read_bytes()[:-100])
    with capture_logs() as logs:
        stage = opened_stage(config(), store)
    speak_all(stage, config())
    assert len(logs) == 1
    assert "cannot be read" in logs[0]["reason"]
    assert len(voices[-1].spoken) == 4


def test_without_phrases_in_the_config_nothing_is_taken_from_the_file(
    tmp_path: Path, store: Store, voices: list[Tone]
) -> None:
    rendered(tmp_path)
    stage = opened_stage(Config(), store)
    list(stage.run(TtsRequest("At five."), Cancel()))
    assert voices[-1].spoken == ["At five."]


@pytest.mark.models
def test_what_a_real_voice_rendered_is_what_is_heard_from_the_file(
    tmp_path: Path, model_dir: ModelDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").symlink_to(model_dir("hibari").parent)
    monkeypatch.setenv("HALFSECOND_HOME", str(tmp_path))
    (tmp_path / "kiosk.toml").write_text(TOML)
    result = CliRunner().invoke(app, ["phrases", "--config", str(tmp_path / "kiosk.toml")])
    assert result.exit_code == 0, result.exception
    found = PhraseShelf.of(config().tts, Store.default()).read(Phrases(PHRASES).clauses())
    chunks = found["What would you like to know?"]
    samples = np.concatenate([chunk.samples for chunk in chunks])
    whisper = Whisper(model_dir("whisper-tiny.en-onnx"))
    heard = whisper.transcribe(resample(samples, from_hz=SPEECH_RATE_HZ, to_hz=16_000))
    whisper.close()
    assert "what would you like to know" in heard.text.lower()
    assert [phone.symbol for phone in chunks[0].phones][:3] == ["w", "ʌ", "t"]


def test_a_config_without_phrases_has_nothing_to_render(tmp_path: Path) -> None:
    (tmp_path / "kiosk.toml").write_text('language = "en"\n')
    result = CliRunner().invoke(app, ["phrases", "--config", str(tmp_path / "kiosk.toml")])
    assert isinstance(result.exception, ConfigError)
    assert "nothing to render" in str(result.exception)
