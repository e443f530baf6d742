"""From sounds to mouth poses: visemes, coarticulation, closure; no models needed."""

from __future__ import annotations

import numpy as np
import pytest

from halfsecond.models.lipsync.articulation import LEAD_S, PhoneTrack
from halfsecond.models.lipsync.expression import Expression
from halfsecond.models.lipsync.hearing import Hearing
from halfsecond.models.lipsync.mouth import CHANNELS, CLOSED, MouthPose
from halfsecond.models.lipsync.visemes import BILABIALS, PAUSES, visemes
from halfsecond.models.tts.voice import Phone

KOKORO_ENGLISH = "AIWYOQæɑɒɔəɛɜɪiʊuʌᵊᵻbdfhjklmnpstvwzðŋɡɹɾʃʒʤʧθʔT"
JAW, WIDTH, PRESS, ROUND = (CHANNELS.index(name) for name in ("jaw", "width", "press", "round"))


def track(symbols: str, each_s: float) -> PhoneTrack:
    result = PhoneTrack()
    result.add([Phone(s, i * each_s, (i + 1) * each_s) for i, s in enumerate(symbols)], 0.0)
    return result


@pytest.mark.parametrize("symbol", KOKORO_ENGLISH)
def test_every_english_phoneme_has_a_mouth_of_its_own(symbol: str) -> None:
    unknown = visemes("☃")
    assert visemes(symbol) != unknown or symbol in "əᵊ"


def test_openings_follow_the_vowel_chart() -> None:
    jaw = {symbol: visemes(symbol)[0].pose.jaw for symbol in "ɑæɛɪiuʊɔ"}
    assert jaw["ɑ"] > jaw["æ"] > jaw["ɛ"] > jaw["ɪ"] > jaw["i"]
    assert jaw["ɔ"] > jaw["ʊ"] > jaw["u"]
    assert visemes("i")[0].pose.width > 0.5
    assert visemes("u")[0].pose.width < -0.5


def test_pauses_rest_and_bilabials_close() -> None:
    assert all(visemes(symbol)[0].pose == CLOSED for symbol in PAUSES)
    assert all(visemes(symbol)[0].pose.jaw == 0 for symbol in BILABIALS)


@pytest.mark.parametrize("symbol", sorted(BILABIALS))
@pytest.mark.parametrize("each_s", [0.06, 0.12])
def test_lips_meet_in_every_bilabial_between_open_vowels(symbol: str, each_s: float) -> None:
    between = track(f"ɑ{symbol}ɑ", each_s)
    closed = between.at(1.2 * each_s - LEAD_S)
    assert MouthPose.from_array(closed).opening < 0.05
    assert closed[PRESS] > 0.4
    assert between.at(0.4 * each_s - LEAD_S)[JAW] > 0.35


def test_lips_round_before_the_rounded_vowel_begins() -> None:
    rounded, spread = track("su", 0.12), track("si", 0.12)
    at_s = 0.08 - LEAD_S
    assert rounded.at(at_s)[ROUND] > spread.at(at_s)[ROUND] + 0.15
    assert rounded.at(at_s)[WIDTH] < spread.at(at_s)[WIDTH] - 0.2


def test_a_diphthong_moves_from_its_first_mouth_to_its_second() -> None:
    spoken = track("I", 0.24)
    early, late = spoken.at(0.05 - LEAD_S), spoken.at(0.21 - LEAD_S)
    assert early[JAW] > late[JAW] + 0.2
    assert late[WIDTH] > early[WIDTH]


def test_sounds_that_begin_later_do_not_change_the_present() -> None:
    short, long = track("hɑ", 0.1), track("hɑmu", 0.1)
    assert np.array_equal(short.at(0.02), long.at(0.02))


def test_where_no_phonemes_are_known_the_sound_has_to_do() -> None:
    spoken = track("ɑ", 0.2)
    assert spoken.cover(0.1) == 1.0
    assert spoken.cover(0.5) == 0.0
    assert PhoneTrack().cover(0.1) == 0.0


def test_hearing_is_the_same_in_whatever_pieces_the_sound_comes() -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 16_000).astype(np.float32)
    whole, pieces = Hearing(), Hearing()
    whole.add(sound)
    for start in range(0, len(sound), 333):
        pieces.add(sound[start : start + 333])
    times = np.arange(0, 0.85, 0.01)
    assert all(np.array_equal(whole.pose(t), pieces.pose(t)) for t in times)
    assert all(whole.gate(t) == pieces.gate(t) for t in times)


def test_noise_below_the_floor_keeps_the_mouth_shut() -> None:
    hearing = Hearing()
    hearing.add(np.random.default_rng(0).normal(0, 0.001, 16_000).astype(np.float32))
    assert max(hearing.pose(t)[JAW] for t in np.arange(0, 0.9, 0.04)) < 0.01
    assert hearing.gate(0.5) == 0.0


def test_a_hissing_sound_opens_less_than_a_vowel_as_loud() -> None:
    t = np.arange(16_000) / 16_000
    vowel = 0.05 * np.sin(2 * np.pi * np.outer((240, 720, 840, 1200, 1320), t)).sum(axis=0)
    hiss = np.diff(np.random.default_rng(0).normal(0, 0.05, 16_001), n=1)
    heard = []
    for sound in (vowel, hiss):
        hearing = Hearing()
        hearing.add(sound.astype(np.float32))
        heard.append(float(hearing.pose(0.5)[JAW]))
    assert heard[0] > 0.4
    assert heard[1] < 0.5 * heard[0]


def test_people_blink_some_ten_to_twenty_five_times_a_minute() -> None:
    for seed in range(5):
        life = Expression(seed=seed)
        lids = np.array([life.at(i / 50).blink for i in range(50 * 120)])
        blinks = int(((lids[1:] >= 0.5) & (lids[:-1] < 0.5)).sum())
        assert 20 <= blinks <= 52, seed
        assert lids.max() == 1.0
        assert float((lids > 0).mean()) < 0.15


def test_what_a_face_does_at_an_instant_does_not_depend_on_what_was_asked_before() -> None:
    forwards, once = Expression(seed=7), Expression(seed=7)
    for i in range(500):
        forwards.at(i / 25)
    assert forwards.at(12.34) == once.at(12.34)


def test_the_head_turns_no_further_than_backgrounds_allow() -> None:
    life = Expression(seed=2)
    poses = [life.at(i / 5) for i in range(1500)]
    assert 0.01 < max(abs(pose.yaw_rad) for pose in poses) <= 0.04
    assert max(abs(pose.roll_rad) for pose in poses) <= 0.02


def test_expression_that_is_off_keeps_still() -> None:
    life = Expression(seed=2, is_on=False)
    assert all(life.at(t) == life.at(0) for t in np.arange(0, 30, 0.1))


def test_heads_nod_with_the_weight_of_the_words() -> None:
    life = Expression(seed=2)
    plain, stressed = life.at(3.0), life.at(3.0, stress=1.0)
    assert stressed.pitch_rad > plain.pitch_rad + 0.01
    assert stressed.yaw_rad == plain.yaw_rad
