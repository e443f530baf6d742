"""Phone times, loudness, pauses and pieces, without a model."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.models.tts.levels import (
    TARGET_DB,
    amplified,
    gain_for,
    speech_level_db,
    window_levels_db,
)
from halfsecond.models.tts.pauses import pause_after_s, trimmed
from halfsecond.models.tts.phones import PAD, phones_from_durations, settle
from halfsecond.models.tts.pieces import speech_pieces, spoken_pieces
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone


def tone(length_s: float, amplitude: float = 0.3) -> NDArray[np.float32]:
    times = np.arange(round(length_s * SPEECH_RATE_HZ)) / SPEECH_RATE_HZ
    return (amplitude * np.sin(2 * np.pi * 200 * times)).astype(np.float32)


def silence(length_s: float) -> NDArray[np.float32]:
    return np.zeros(round(length_s * SPEECH_RATE_HZ), np.float32)


def times(phones: tuple[Phone, ...]) -> list[tuple[str, float, float]]:
    return [(p.symbol, round(p.start_s, 4), round(p.end_s, 4)) for p in phones]


def test_a_stress_mark_belongs_to_its_vowel_and_a_length_mark_to_the_one_before() -> None:
    symbols = [PAD, "h", "ˈ", "i", "ː", PAD]
    phones = phones_from_durations(symbols, np.array([0.3, 0.1, 0.05, 0.1, 0.1, 0.2]))
    assert times(phones) == [("h", 0.3, 0.4), ("i", 0.4, 0.65)]


def test_a_space_is_shared_and_punctuation_is_a_gap() -> None:
    symbols = [PAD, "a", " ", "ˈ", "b", ",", " ", "a", PAD]
    phones = phones_from_durations(symbols, np.full(9, 0.1))
    assert times(phones) == [("a", 0.1, 0.25), ("b", 0.25, 0.5), ("a", 0.7, 0.8)]


def test_chinese_tones_belong_to_the_sound_before() -> None:
    phones = phones_from_durations([PAD, "n", "i", "↓", PAD], np.full(5, 0.1))
    assert times(phones) == [("n", 0.1, 0.2), ("i", 0.2, 0.4)]


def test_times_are_moved_by_the_shift() -> None:
    phones = phones_from_durations([PAD, "a", PAD], np.full(3, 0.1), shift_s=-0.05)
    assert times(phones) == [("a", 0.05, 0.15)]


def test_as_many_durations_as_symbols_are_needed() -> None:
    with pytest.raises(ValueError, match="argument 2 is"):
        phones_from_durations(["a", "b"], np.array([0.1]))


def test_a_phone_before_a_pause_ends_where_it_falls_silent() -> None:
    samples = np.concatenate([tone(0.2), silence(0.3), tone(0.2), silence(0.3)])
    phones = (Phone("a", -0.01, 0.45), Phone("m", 0.5, 0.6), Phone("i", 0.6, 1.1))
    assert times(settle(phones, samples)) == [("a", 0, 0.2), ("m", 0.5, 0.6), ("i", 0.6, 0.7)]


def test_silence_is_trimmed_and_the_phones_move_along() -> None:
    samples = np.concatenate([silence(0.3), tone(0.5), silence(0.4)])
    speech, phones = trimmed(samples, (Phone("a", 0.3, 0.8),), pause_s=0.1)
    assert len(speech) / SPEECH_RATE_HZ == pytest.approx(0.005 + 0.5 + 0.03 + 0.1, abs=0.002)
    assert phones[0].start_s == pytest.approx(0.005, abs=1e-3)
    assert phones[0].end_s == pytest.approx(0.505, abs=1e-3)
    assert np.abs(speech[-2000:]).max() == 0


def test_a_trim_at_the_very_edges_keeps_every_sample() -> None:
    speech, _ = trimmed(tone(0.1), (), pause_s=0.0)
    assert len(speech) >= 0.099 * SPEECH_RATE_HZ


def test_nothing_audible_gives_nothing() -> None:
    speech, phones = trimmed(tone(0.5, amplitude=0.001), (Phone("a", 0, 0.5),), pause_s=0.3)
    assert not speech.size
    assert phones == ()


@pytest.mark.parametrize(
    ("text", "pause_s"),
    [
        ("Well,", 0.12),
        ('"Yes."', 0.3),
        ("**Yes!**", 0.3),
        ("然后，", 0.12),
        ("好。”", 0.3),
        ("and", 0.02),
        ("line\n", 0.3),
        ("", 0.02),
    ],
)
def test_the_pause_follows_the_punctuation(text: str, pause_s: float) -> None:
    assert pause_after_s(text) == pause_s


def test_the_gain_brings_speech_to_the_target_whatever_its_pauses() -> None:
    for amplitude in (0.02, 0.1, 0.5):
        speech = np.concatenate([silence(0.5), tone(1.0, amplitude), silence(2.0)])
        assert speech_level_db(amplified(speech, gain_for(speech))) == pytest.approx(
            TARGET_DB, abs=0.3
        )


def test_silence_and_noise_floors_are_not_amplified() -> None:
    assert gain_for(silence(1.0)) == 1.0
    assert gain_for(tone(1.0, 1e-5)) == 1.0
    assert gain_for(silence(0.001)) == 1.0


def test_loud_peaks_are_rounded_and_quiet_ones_left_alone() -> None:
    samples = np.array([0.1, -0.5, 0.79, 1.0, -4.0], np.float32)
    loud = amplified(samples, 1.0)
    np.testing.assert_allclose(loud[:3], samples[:3])
    assert 0.8 < loud[3] < 0.99
    assert -0.99 <= loud[4] < -0.98
    assert samples[4] == -4.0


def test_levels_are_of_whole_windows() -> None:
    levels = window_levels_db(
        np.concatenate([np.ones(480), np.zeros(500)]).astype(np.float32), 0.02
    )
    np.testing.assert_allclose(levels, [0.0, -100.0])


def test_long_clauses_are_spoken_in_pieces_and_the_pieces_are_the_clause() -> None:
    clause = "One is here. " + "Two, three, four, five, " * 8 + "and six."
    pieces = speech_pieces(clause, max_words=12)
    assert "".join(pieces) == clause
    assert pieces[0] == "One is here."
    assert len(pieces) > 3


def test_a_piece_of_too_many_phonemes_is_cut_at_a_space_and_its_text_given_once() -> None:
    said: list[str] = []

    def synthesize(phonemes: str) -> tuple[NDArray[np.float32], tuple[Phone, ...]]:
        said.append(phonemes)
        return tone(0.2), ()

    phonemes = "abcde " * 150
    chunks = list(
        spoken_pieces("Hm.", phonemize=lambda _: phonemes, synthesize=synthesize, speed=1.0)
    )
    assert "".join(said) == phonemes
    assert all(len(portion) <= 400 for portion in said)
    assert [chunk.text for chunk in chunks] == ["Hm.", "", ""]
    assert len(chunks[0].samples) < len(chunks[-1].samples)  # the pause comes at the end only
