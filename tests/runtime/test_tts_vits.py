"""The voice that opens an exported VITS, on a small network with random weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from fakes.voices import exported_voice
from halfsecond.artifact import (
    MANIFEST_NAME,
    artifact_of_kind,
    read_artifact,
    write_artifact,
)
from halfsecond.config import Config, TtsConfig
from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.models.tts import windows as windows_module
from halfsecond.models.tts.pauses import trimmed
from halfsecond.models.tts.vits import VitsVoice
from halfsecond.models.tts.vits_config import CONFIG_NAME, VitsConfig, encode_config, read_config
from halfsecond.models.tts.vits_network import Frames, back_path
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeechChunk
from halfsecond.models.tts.windows import Window
from halfsecond.placements import running_networks
from halfsecond.stages import openers
from halfsecond.stages.engines import model_directory, open_store
from halfsecond.voiceprint import Voiceprint

Samples = NDArray[np.float32]
ESPEAK = {symbol: [at] for at, symbol in enumerate("^_$ .,?ʃiːsɛlzbaɪðəɔɹˈˌhoʊtnmʌædfjkpuwɐɑʒ")}
CLAUSE = "hello there, who are you and why do you ask?"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_voice(tmp_path_factory.mktemp("voice"))


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported_voice(tmp_path_factory.mktemp("trio"), has_speakers=True)


def sound(chunks: list[SpeechChunk]) -> Samples:
    return np.concatenate([chunk.samples for chunk in chunks])


def spoken(voice: VitsVoice, text: str = CLAUSE, *, speed: float = 1.0) -> list[SpeechChunk]:
    return list(voice.speak(text, speed=speed))


def with_config(source: Path, target: Path, change: Callable[[VitsConfig], VitsConfig]) -> Path:
    """A copy of a voice with another voice.json."""
    target.mkdir()
    for file in source.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    (target / CONFIG_NAME).write_bytes(encode_config(change(read_config(source))))
    return target


def test_windows_sound_like_the_whole_clause(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = VitsVoice(small)
    pieces = spoken(voice)
    assert len(pieces) > 2
    monkeypatch.setattr(windows_module, "FIRST_S", 100.0)
    whole = spoken(voice)
    assert len(whole) == 1
    together, at_once = sound(pieces), sound(whole)
    assert len(together) == len(at_once)
    assert np.linalg.norm(together - at_once) < 1e-3 * np.linalg.norm(at_once)


def test_without_context_the_seams_are_heard(small: Path, tmp_path: Path) -> None:
    deaf = with_config(
        small, tmp_path / "deaf", lambda c: msgspec.structs.replace(c, context_frames=0)
    )
    good, bad = sound(spoken(VitsVoice(small))), sound(spoken(VitsVoice(deaf)))
    shared = min(len(good), len(bad))
    assert np.linalg.norm(good[:shared] - bad[:shared]) > 1e-2 * np.linalg.norm(good)


def test_the_first_chunk_comes_before_the_rest_is_computed(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = VitsVoice(small)
    asked: list[int] = []
    inner = voice._network.sound

    def sound_of(frames: Frames, window: Window) -> Samples:
        asked.append(window.last)
        return inner(frames, window)

    monkeypatch.setattr(voice._network, "sound", sound_of)
    chunks = voice.speak(CLAUSE)
    next(chunks)
    first = len(asked)
    assert first <= 2
    list(chunks)
    assert len(asked) > first + 1


def test_the_same_clause_gives_the_same_samples_and_another_seed_others(small: Path) -> None:
    mine, again = (sound(spoken(VitsVoice(small))) for _ in range(2))
    np.testing.assert_array_equal(mine, again)
    other = sound(spoken(VitsVoice(small, seed=1)))
    assert len(other) != len(mine) or not np.array_equal(other, mine)


def test_a_higher_speed_is_shorter(small: Path) -> None:
    voice = VitsVoice(small)
    slow, fast = (sum(len(c.samples) for c in spoken(voice, speed=s)) for s in (1.0, 1.5))
    assert 1.25 < slow / fast < 1.75


def test_the_text_is_told_once_and_the_pause_follows_the_punctuation(small: Path) -> None:
    chunks = spoken(VitsVoice(small), "well, yes.")
    assert "".join(chunk.text for chunk in chunks) == "well, yes."
    assert not np.any(chunks[-1].samples[-round(0.29 * SPEECH_RATE_HZ) :])


def test_punctuation_alone_and_symbols_that_are_not_known_say_nothing(small: Path) -> None:
    voice = VitsVoice(small)
    assert spoken(voice, "...") == [] and spoken(voice, "日本") == []
    np.testing.assert_array_equal(sound(spoken(voice, "h\u00e9llo")), sound(spoken(voice, "hello")))


def test_phonemes_have_times_within_their_chunks(tmp_path: Path) -> None:
    directory = exported_voice(tmp_path, phoneme_type="espeak", phoneme_id_map=ESPEAK)
    chunks = spoken(VitsVoice(directory), "She sells sea shells by the shore.")
    symbols = [phone.symbol for chunk in chunks for phone in chunk.phones]
    assert len(chunks) > 1 and symbols.count("ʃ") >= 3
    for chunk in chunks:
        times = [time for phone in chunk.phones for time in (phone.start_s, phone.end_s)]
        assert times == sorted(times)
        assert not times or (times[0] >= 0 and times[-1] <= len(chunk.samples) / SPEECH_RATE_HZ)


def test_letters_are_no_phonemes_and_have_no_times(small: Path) -> None:
    assert all(not chunk.phones for chunk in spoken(VitsVoice(small)))


def test_speakers_are_chosen_by_name_and_sound_different(trio: Path) -> None:
    ann, bob = (sound(spoken(VitsVoice(trio, speaker=name))) for name in ("ann", "bob"))
    np.testing.assert_array_equal(ann, sound(spoken(VitsVoice(trio))))
    assert len(ann) != len(bob) or np.abs(ann - bob).max() > 0.05
    with pytest.raises(ConfigError, match='no speaker "dan"; the speakers are ann, bob, cyd'):
        VitsVoice(trio, speaker="dan")


def test_the_config_opens_a_directory_and_hibari_takes_no_voiceprint(
    small: Path, tmp_path: Path
) -> None:
    config = Config(tts=TtsConfig(model=str(small)))
    directory = model_directory("tts", config.tts.model, open_store(config))
    voice = openers.open_voice(config.tts, directory)
    assert (voice.name, voice.language) == ("en_US-small", "en")
    assert sound(list(voice.speak("hello"))).any()
    with pytest.raises(ConfigError, match=r"tts\.language is for voices that"):
        openers.open_voice(TtsConfig(language="x"), directory)
    with pytest.raises(ConfigError, match="takes no voiceprint"):
        VitsVoice(small, voiceprint=Voiceprint(np.ones(8, np.float32), "encoder"))


def test_a_changed_voice_is_not_opened(small: Path, tmp_path: Path) -> None:
    changed = with_config(
        small, tmp_path / "changed", lambda c: msgspec.structs.replace(c, name="other")
    )
    with pytest.raises(ModelCorruptError, match=r"voice\.json"):
        artifact_of_kind(str(changed), "vits")
    (changed / MANIFEST_NAME).unlink()
    with pytest.raises(ModelMissingError, match="no artifact in"):
        artifact_of_kind(str(changed), "vits")


@pytest.mark.parametrize("content", [b"", b"{}", b'{"name": 3}', b"\xff\xfe"])
def test_a_broken_voice_json_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ModelMissingError, match=r"no voice\.json"):
        read_config(tmp_path)
    (tmp_path / CONFIG_NAME).write_bytes(content)
    with pytest.raises(ModelCorruptError, match=r"voice\.json cannot be read"):
        read_config(tmp_path)


def test_a_front_of_another_voice_is_refused(small: Path, trio: Path, tmp_path: Path) -> None:
    mixed = with_config(small, tmp_path / "mixed", lambda c: c)
    (mixed / "back.onnx").write_bytes((trio / "back.onnx").read_bytes())
    with pytest.raises(ModelCorruptError, match="do not belong together"):
        VitsVoice(mixed)


def test_the_directory_of_an_engine_is_a_voice_and_wants_a_gpu(small: Path, tmp_path: Path) -> None:
    built = with_config(small, tmp_path / "built", lambda c: c)
    (built / "back.onnx").rename(built / "engine.plan")
    write_artifact(built, msgspec.structs.replace(read_artifact(small), runtime="tensorrt_rtx"))
    assert back_path(built) == built and back_path(small) == small / "back.onnx"
    with pytest.raises(ConfigError, match="is an engine for tensorrt_rtx and runs on a GPU alone"):
        VitsVoice(built)


def test_the_doctor_opens_the_front_on_the_cpu_and_the_back_where_it_is_wanted(small: Path) -> None:
    config = Config(tts=TtsConfig(model=str(small), device="cpu"))
    found = [each for each in running_networks(config, open_store(config)) if each.stage == "tts"]
    assert [each.network for each in found] == ["front.onnx", "back.onnx"]
    assert all("CPU" in each.runs_on and not each.is_fallen for each in found)


def test_the_voice_resamples_to_the_rate_of_speech(small: Path) -> None:
    voice = VitsVoice(small)
    spelled = voice._table.spell(CLAUSE)
    samples = voice._network.sound(voice._frames(spelled, 1.0))
    whole, _ = trimmed(soxr.resample(samples, 16_000, SPEECH_RATE_HZ), (), pause_s=0.3)
    assert len(sound(spoken(voice))) == pytest.approx(len(whole), abs=2)
