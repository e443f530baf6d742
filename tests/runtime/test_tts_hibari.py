from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, ModelMissingError
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.tts.hibari import HibariVoice
from halfsecond.models.tts.levels import TARGET_DB, speech_level_db, window_levels_db
from halfsecond.models.tts.pauses import AUDIBLE
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk

pytestmark = pytest.mark.models

ModelDir = Callable[[str], Path]

SENTENCE = "Please pick up a big paper bag before you pay Bob."


@pytest.fixture(scope="module")
def voice(model_dir: ModelDir) -> Iterator[HibariVoice]:
    voice = HibariVoice(model_dir("hibari") / "hibari.onnx")
    yield voice
    voice.close()


@pytest.fixture(scope="module")
def whisper(model_dir: ModelDir) -> Iterator[Whisper]:
    whisper = Whisper(model_dir("whisper-tiny.en"))
    yield whisper
    whisper.close()


def say(voice: HibariVoice, text: str) -> SpeechChunk:
    chunks = list(voice.speak(text))
    assert len(chunks) == 1
    return chunks[0]


def heard(whisper: Whisper, samples: NDArray[np.float32]) -> str:
    quiet = np.zeros(SPEECH_RATE_HZ // 4, np.float32)
    padded = np.concatenate([quiet, samples, quiet])
    text = whisper.transcribe(soxr.resample(padded, SPEECH_RATE_HZ, 16_000)).text
    words = " ".join(re.sub(r"[^\w\s%$.:]|[.:](?!\d)", " ", text.lower()).split())
    return re.sub(r"^(.+?)(?: \1)+$", r"\1", words)  # Whisper tiny now and then repeats itself


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            "The museum opens at nine in the morning.",
            r"the museum opens at (nine|9) in the morning",
        ),
        (
            "The ticket costs $3.50 today.",
            r"the ticket costs (\$3.50|three dollars and fifty cents)",
        ),
        ("We close at 7:30 pm on Sundays.", r"we close at 7[.:]?30 ?p\.?m"),
        ("It is 20 °C in the hall.", r"20 degrees celsius"),
        (
            "There are 1,250 paintings here.",
            r"there are (1 ?250|1250|one thousand two hundred and fifty)",
        ),
        (
            "It was opened on the 3rd of March 2024.",
            r"(the )?(3rd of|third of|3) march (2024|20 24)",
        ),
        (
            "About 50% of the visitors are children.",
            r"(50 ?%|50 percent|fifty percent) of the visitors",
        ),
        (
            "The ship is 120 m long and weighs 35 kg.",
            r"120 (meters|metres) long and weighs 35 (kilograms|kg|kilos)",
        ),
        ("It took 5-10% of the time.", r"(5 to 10 ?%|five to ten percent) of the time"),
        ("Say [goodbye](/həlˈO/) now.", "say goodbye now"),
        ("**Please** visit `our` [shop](https://example.com) 😀", r"^please visit our shop$"),
        (
            "Dr. Smith lives at 12 Main St.",
            r"(dr|doctor) smith lives at (12|twelve) main (street|st)",
        ),
        ("Write to info@example.com, please.", r"info at example( dot|.)? ?com"),
    ],
)
def test_what_is_written_is_heard_as_it_is_said(
    voice: HibariVoice, whisper: Whisper, written: str, expected: str
) -> None:
    text = heard(whisper, say(voice, written).samples)
    assert re.search(expected, text), text


def test_the_first_sample_that_is_heard_comes_at_once(voice: HibariVoice) -> None:
    for text in ("Hello there.", "Sure,", "She sells sea shells,", "Please come in."):
        samples = say(voice, text).samples
        first = np.flatnonzero(np.abs(samples) > AUDIBLE)[0]
        assert first <= 0.006 * SPEECH_RATE_HZ


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [("Well,", 0.12), ("Come in.", 0.30), ('"Come in!"', 0.30), ("Come in", 0.02)],
)
def test_the_pause_after_a_clause_follows_its_punctuation(
    voice: HibariVoice, text: str, pause_s: float
) -> None:
    samples = say(voice, text).samples
    last = np.flatnonzero(np.abs(samples) > AUDIBLE)[-1]
    assert (len(samples) - last) / SPEECH_RATE_HZ == pytest.approx(pause_s + 0.03, abs=0.002)


def test_the_same_clause_gives_the_same_samples(voice: HibariVoice) -> None:
    np.testing.assert_array_equal(say(voice, SENTENCE).samples, say(voice, SENTENCE).samples)


def test_another_seed_gives_other_noise_and_the_same_words(
    voice: HibariVoice, whisper: Whisper, model_dir: ModelDir
) -> None:
    other = HibariVoice(model_dir("hibari") / "hibari.onnx", seed=1)
    mine, theirs = say(voice, SENTENCE).samples, say(other, SENTENCE).samples
    assert len(mine) != len(theirs) or not np.array_equal(mine, theirs)
    assert heard(whisper, theirs) == heard(whisper, mine)


def test_a_higher_speed_is_shorter_and_still_understood(
    voice: HibariVoice, whisper: Whisper
) -> None:
    slow, fast = (next(iter(voice.speak(SENTENCE, speed=speed))).samples for speed in (1.0, 1.3))
    assert 1.1 < len(slow) / len(fast) < 1.4
    assert "paper bag before you pay bob" in heard(whisper, fast)


def test_nothing_to_say_gives_no_chunk(voice: HibariVoice) -> None:
    for text in ("", "  \n", "...", "?!", "“”", "😀", "```", "你好。"):
        assert list(voice.speak(text)) == []


def test_sentences_in_one_clause_follow_one_another(voice: HibariVoice, whisper: Whisper) -> None:
    text = "Come in. The door is open! Would you like some tea?"
    chunks = list(voice.speak(text))
    assert [chunk.text for chunk in chunks] == [
        "Come in.",
        " The door is open!",
        " Would you like some tea?",
    ]
    joined = np.concatenate([chunk.samples for chunk in chunks])
    assert heard(whisper, joined) == "come in the door is open would you like some tea"


def test_speech_is_as_loud_as_every_voice_and_never_clips(voice: HibariVoice) -> None:
    texts = (SENTENCE, "Hello there, how are you today?", "Wow, what a beautiful ship!")
    levels = []
    for text in texts:
        samples = say(voice, text).samples
        assert np.abs(samples).max() < 0.99
        levels.append(speech_level_db(samples))
    assert np.mean(levels) == pytest.approx(TARGET_DB, abs=1.5)


def test_phones_tell_every_sound_in_order_within_the_speech(voice: HibariVoice) -> None:
    chunk = say(voice, SENTENCE)
    spoken = "".join(phone.symbol for phone in chunk.phones)
    assert spoken == "plizpɪkʌpɐbɪɡpApəɹbæɡbəfɔɹjupAbɑb"
    assert all(phone.end_s > phone.start_s for phone in chunk.phones)
    assert all(one.end_s <= two.start_s + 1e-6 for one, two in pairwise(chunk.phones))
    last = np.flatnonzero(np.abs(chunk.samples) > AUDIBLE)[-1] / SPEECH_RATE_HZ
    assert last - 0.12 < chunk.phones[-1].end_s < last + 0.05


def middle_levels(chunk: SpeechChunk, symbols: str) -> list[float]:
    """The level in the middle of every phone that is one of `symbols`."""
    return [level_at(chunk, phone) for phone in chunk.phones if phone.symbol in symbols]


def level_at(chunk: SpeechChunk, phone: Phone) -> float:
    middle = round((phone.start_s + phone.end_s) / 2 * SPEECH_RATE_HZ)
    around = chunk.samples[max(middle - 360, 0) : middle + 360]
    return float(window_levels_db(around, len(around) / SPEECH_RATE_HZ)[0])


def test_lips_that_close_are_quieter_than_open_vowels(voice: HibariVoice) -> None:
    for text in (SENTENCE, "Peter Piper picked a peck of pickled peppers."):
        chunk = say(voice, text)
        closures, vowels = middle_levels(chunk, "pb"), middle_levels(chunk, "iɪAæɔɑɛ")
        assert np.median(closures) < np.median(vowels) - 6


def test_hissing_sounds_are_where_the_phones_say(voice: HibariVoice) -> None:
    chunk = say(voice, "The seven sisters wash six fish dishes in the sea.")
    times = (np.arange(len(chunk.samples)) + 0.5) / SPEECH_RATE_HZ
    hiss = np.diff(chunk.samples, prepend=0.0)
    is_hissing, is_vowel = np.zeros(len(times), bool), np.zeros(len(times), bool)
    for phone in chunk.phones:
        inside = (times >= phone.start_s) & (times < phone.end_s)
        is_hissing |= inside & (phone.symbol in "sʃ")
        is_vowel |= inside & (phone.symbol in "ɛɪɑiə")

    def brightness(where: NDArray[np.bool_]) -> float:
        return float(np.mean(hiss[where] ** 2) / np.mean(chunk.samples[where] ** 2))

    assert brightness(is_hissing) > 5 * brightness(is_vowel)


def test_a_comma_inside_a_clause_is_a_gap_between_phones(voice: HibariVoice) -> None:
    chunk = say(voice, "Welcome to the old harbour museum, where ships are kept.")
    gaps = [(one.end_s, two.start_s) for one, two in pairwise(chunk.phones)]
    (start_s, end_s) = max(gaps, key=lambda gap: gap[1] - gap[0])
    assert end_s - start_s > 0.15
    gap = chunk.samples[round(start_s * SPEECH_RATE_HZ) : round(end_s * SPEECH_RATE_HZ)]
    assert np.median(window_levels_db(gap, 0.01)) < TARGET_DB - 25


def test_a_missing_or_broken_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="models fetch"):
        HibariVoice(tmp_path / "hibari.onnx")
    (tmp_path / "hibari.onnx").write_bytes(b"not a model")
    with pytest.raises(ModelCorruptError, match="models verify"):
        HibariVoice(tmp_path / "hibari.onnx")
