from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from halfsecond.artifact import Tensor
from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.tts.chinese import _aspirated, _sinicized
from halfsecond.models.tts.kokoro import STYLE_ENCODER, KokoroVoice, blend_parts, open_kokoro
from halfsecond.models.tts.levels import TARGET_DB, speech_level_db
from halfsecond.models.tts.pauses import AUDIBLE
from halfsecond.models.tts.registry import VOICES, open_voice
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Voice
from halfsecond.voiceprint import Voiceprint

ModelDir = Callable[[str], Path]

OLD = "門開點歡迎來這館張學東邊樓請問會講們個嗎語裡後時間"
NEW = "门开点欢迎来这馆张学东边楼请问会讲们个吗语里后时间"
MODERN = str.maketrans(OLD, NEW)
"""Whisper writes some characters in their old form."""


@pytest.fixture(scope="module")
def whisper(model_dir: ModelDir) -> Iterator[Whisper]:
    whisper = Whisper(model_dir("whisper-base"))
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def english(model_dir: ModelDir) -> Iterator[Voice]:
    voice = open_voice("kokoro", model_dir("kokoro"), threads=2)
    yield voice
    voice.close()


@pytest.fixture(scope="module")
def chinese(model_dir: ModelDir) -> Iterator[Voice]:
    pytest.importorskip("misaki.zh", reason="Chinese needs misaki, which Python 3.13 has not")
    voice = open_voice("kokoro", model_dir("kokoro"), speaker="zf_xiaoxiao", threads=2)
    yield voice
    voice.close()


def spoken(voice: Voice, text: str) -> NDArray[np.float32]:
    return np.concatenate([chunk.samples for chunk in voice.speak(text)])


def heard(whisper: Whisper, samples: NDArray[np.float32], language: str) -> str:
    quiet = np.zeros(SPEECH_RATE_HZ // 4, np.float32)
    padded = soxr.resample(np.concatenate([quiet, samples, quiet]), SPEECH_RATE_HZ, 16_000)
    prompt = "以下是普通话的句子。" if language == "zh" else ""
    return whisper.transcribe(padded, language=language, prompt=prompt).text


def edits(one: str, two: str) -> int:
    """The Levenshtein distance."""
    row = list(range(len(two) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(two, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@pytest.mark.models
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("The museum opens at nine.", r"the museum opens at (nine|9)"),
        ("It costs $3.50 at 7:30 pm.", r"it costs \$3.50 at 7[.:]30 ?p\.?m"),
    ],
)
def test_kokoro_says_in_english_what_is_written(
    english: Voice, whisper: Whisper, written: str, expected: str
) -> None:
    text = heard(whisper, spoken(english, written), "en").lower()
    assert re.search(expected, text), text


@pytest.mark.models
@pytest.mark.parametrize(
    "sentence",
    ["欢迎来到我们的博物馆，今天上午九点半开门。", "这个展馆在二楼，请往右边走。"],
)
def test_kokoro_says_in_chinese_what_is_written(
    chinese: Voice, whisper: Whisper, sentence: str
) -> None:
    text = heard(whisper, spoken(chinese, sentence), "zh").translate(MODERN)
    text, wanted = ("".join(re.findall(r"\w", words)) for words in (text, sentence))
    assert edits(text, wanted) <= 0.1 * len(wanted), text


@pytest.mark.models
def test_chinese_numbers_and_english_words_are_heard(chinese: Voice, whisper: Whisper) -> None:
    text = heard(whisper, spoken(chinese, "这里共有1,250件展品，今天20℃。"), "zh")
    assert re.search("1,?250|一千[二两]百五十", text), text
    assert re.search("(20|二十)(度|摄氏度|℃|°C)", text), text
    assert "New York" in heard(whisper, spoken(chinese, "我叫Tom，来自New York。"), "zh")


def test_english_in_chinese_has_the_diphthongs_of_chinese() -> None:
    assert _sinicized("wˈIfI ˌOkˈA") == "wˈaifai ˌoukʰˈei"
    assert _sinicized("nˈW bˈY") == "nˈau bˈoi"


def test_english_in_chinese_keeps_the_breath_that_tells_p_from_b() -> None:
    assert _aspirated("tˈɑm kəmpjˈuTəɹ spˈik ˈɪnfO") == "tʰˈɑm kʰəmpʰjˈutəɹ spˈik ˈɪnfO"


@pytest.mark.models
def test_kokoro_is_as_loud_as_every_voice_and_starts_at_once(english: Voice) -> None:
    for text in ("Yes, I can help.", "The museum opens at nine in the morning."):
        samples = spoken(english, text)
        assert speech_level_db(samples) == pytest.approx(TARGET_DB, abs=2.0)
        assert np.abs(samples).max() < 0.99
        assert np.flatnonzero(np.abs(samples) > AUDIBLE)[0] <= 0.006 * SPEECH_RATE_HZ


@pytest.mark.models
def test_nothing_to_say_gives_no_chunk(english: Voice, chinese: Voice) -> None:
    for text in ("", " \n", "...", "。。。", "😀"):
        assert list(english.speak(text)) == []
        assert list(chinese.speak(text)) == []


@pytest.mark.models
def test_characters_without_a_reading_are_left_out(chinese: Voice) -> None:
    np.testing.assert_array_equal(spoken(chinese, "兙你好。"), spoken(chinese, "你好。"))


@pytest.mark.models
def test_an_unknown_speaker_is_an_error_that_lists_the_others(model_dir: ModelDir) -> None:
    with pytest.raises(ConfigError, match=r'"af_nobody".*af_heart.*zf_xiaoxiao'):
        open_kokoro(model_dir("kokoro"), "af_nobody", threads=1, seed=0)


@pytest.mark.models
def test_without_misaki_chinese_says_what_to_install(
    model_dir: ModelDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_import = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("misaki"):
            raise ModuleNotFoundError("No module named 'misaki'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UnsupportedModelError, match=r"pip install 'halfsecond\[zh\]'"):
        open_kokoro(model_dir("kokoro"), "zf_xiaobei", threads=1, seed=0)


def test_an_unknown_voice_is_an_error_that_lists_the_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='"piperr"; the voices are hibari, kokoro'):
        open_voice("piperr", tmp_path)
    with pytest.raises(ConfigError, match="heart"):
        open_voice("hibari", tmp_path, speaker="bob")
    assert list(VOICES) == ["hibari", "kokoro"]


def test_a_speaker_of_a_language_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ff_siwis.bin").write_bytes(bytes(1024))
    with pytest.raises(ConfigError, match="ff_siwis"):
        KokoroVoice(tmp_path / "kokoro.onnx", tmp_path / "ff_siwis.bin")


def test_missing_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="models fetch"):
        open_kokoro(tmp_path, "", threads=1, seed=0)
    (tmp_path / "voices").mkdir()
    (tmp_path / "voices" / "af_heart.bin").write_bytes(b"short")
    with pytest.raises(ModelCorruptError, match="5 bytes"):
        open_kokoro(tmp_path, "", threads=1, seed=0)
    (tmp_path / "voices" / "af_heart.bin").write_bytes(bytes(510 * 1024))
    with pytest.raises(ModelMissingError, match=r"kokoro-v1\.0\.int8\.onnx"):
        open_kokoro(tmp_path, "", threads=1, seed=0)


@pytest.mark.parametrize(
    ("written", "shares"),
    [
        ("af_heart", {"af_heart": 1.0}),
        ("af_heart:0.6+bf_emma:0.4", {"af_heart": 0.6, "bf_emma": 0.4}),
        (" af_heart : 3 + bf_emma ", {"af_heart": 0.75, "bf_emma": 0.25}),
    ],
)
def test_a_blend_is_read_as_shares_of_one(written: str, shares: dict[str, float]) -> None:
    assert blend_parts(written) == pytest.approx(shares)


@pytest.mark.parametrize("written", ["af_heart:x", "af_heart:-1", "a+a", "a+", "a:0", "a:inf"])
def test_a_blend_that_means_nothing_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot be blended.*af_heart:0\.6\+bf_emma:0\.4"):
        blend_parts(written)


def test_a_blend_of_two_languages_is_refused(tmp_path: Path) -> None:
    parts = {tmp_path / "af_heart.bin": 0.5, tmp_path / "zf_xiaobei.bin": 0.5}
    with pytest.raises(ConfigError, match=r"af_heart \(en\), zf_xiaobei \(zh\)"):
        KokoroVoice(tmp_path / "kokoro.onnx", parts)


class _FakeSession:
    """A model with durations: a tone of 0.1 s per symbol."""

    def __init__(self) -> None:
        self.style_sums: list[float] = []
        self.outputs = [
            Tensor(name=name, dtype="float32", shape=()) for name in ("audio", "durations")
        ]

    def run(
        self, inputs: Mapping[str, Any], names: Sequence[str] = ()
    ) -> dict[str, NDArray[np.float32]]:
        assert list(names) == ["audio", "durations"]
        self.style_sums.append(float(inputs["style"].sum()))
        count = inputs["tokens"].shape[1]
        audio = 0.1 * np.sin(np.arange(count * 2400) / 20)
        return {
            "audio": audio.astype(np.float32),
            "durations": np.full((1, count), 4, np.float32),
        }


def test_phones_come_from_the_durations_where_the_model_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    styles = np.repeat(np.arange(510, dtype="<f4")[:, None], 256, axis=1)
    styles.tofile(tmp_path / "af_test.bin")
    session = _FakeSession()
    monkeypatch.setattr("halfsecond.models.tts.kokoro.open_session", lambda *_, **__: session)
    voice = KokoroVoice(tmp_path / "kokoro.onnx", tmp_path / "af_test.bin")
    chunk = next(iter(voice.speak("see")))
    assert [phone.symbol for phone in chunk.phones] == ["s", "i"]
    # "s ˈ i": the stress mark's time is the vowel's.
    assert chunk.phones[1].end_s - chunk.phones[1].start_s == pytest.approx(0.2)
    # three phonemes take the third style
    assert session.style_sums[-1] == 2 * 256


def test_a_blend_is_the_mean_of_its_speakers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("af_one", 1.0), ("bf_two", 3.0)):
        np.full((510, 256), value, "<f4").tofile(tmp_path / f"{name}.bin")
    session = _FakeSession()
    monkeypatch.setattr("halfsecond.models.tts.kokoro.open_session", lambda *_, **__: session)
    parts = {tmp_path / "af_one.bin": 0.25, tmp_path / "bf_two.bin": 0.75}
    voice = KokoroVoice(tmp_path / "kokoro.onnx", parts)
    list(voice.speak("see"))
    assert session.style_sums[-1] == pytest.approx(2.5 * 256)
    assert voice.name == "kokoro/af_one:0.25+bf_two:0.75"


class _LoudByStyle(_FakeSession):
    def run(
        self, inputs: Mapping[str, Any], names: Sequence[str] = ()
    ) -> dict[str, NDArray[np.float32]]:
        outputs = super().run(inputs, names)
        return outputs | {"audio": outputs["audio"] * np.float32(inputs["style"].mean())}


def test_a_voice_is_measured_once_however_often_voices_take_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.full((510, 256), 1.0, "<f4").tofile(tmp_path / "af_own.bin")
    session = _LoudByStyle()
    monkeypatch.setattr("halfsecond.models.tts.kokoro.open_session", lambda *_, **__: session)
    voice = KokoroVoice(tmp_path / "kokoro.onnx", tmp_path / "af_own.bin")

    def of(style: float) -> Voiceprint:
        return Voiceprint(np.full(256, style, np.float32), STYLE_ENCODER)

    for style in (0.5, None, 2.0, None, 0.5, 2.0, None):
        voice.voiceprint = None if style is None else of(style)
        assert speech_level_db(spoken(voice, "see")) == pytest.approx(TARGET_DB, abs=1.0)
    measured = [sum_ / 256 for sum_ in session.style_sums]
    turns = [0.5, 1.0, 2.0, 1.0, 0.5, 2.0, 1.0]
    # Each voice speaks the sentence that is measured when it is new, then what it is asked to.
    assert measured == [1.0, 0.5, *turns[:2], 2.0, *turns[2:]]
