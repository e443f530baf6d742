"""The turn-end data set: what is asked for, how it is made, and where its labels lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from halfsecond import audio
from halfsecond.errors import ConfigError
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk
from halfsecond.store import Store
from halfsecond_bench import turn_cache, turn_speech
from halfsecond_bench.clips import load_clips
from halfsecond_bench.turn_clips import (
    HALVES,
    Half,
    Order,
    Way,
    folder_of,
    orders,
    recordings,
    split,
)

RATE_HZ = audio.RATE_HZ
LETTER_S = 0.08
ORDER = Order("x-01-apart", "tuning", "apart", "af_x", ("Where is the", "exit?"), ("broken",))


class Hummer:
    """Hums 0.08 s for each letter, without a gap."""

    name, language = "hummer", "en"

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        letters = spell(clause)
        at_s = np.arange(round(LETTER_S * len(letters) * SPEECH_RATE_HZ)) / SPEECH_RATE_HZ
        hum = (0.3 * np.sin(2 * np.pi * 220 * at_s)).astype(np.float32)
        phones = [
            Phone(letter, LETTER_S * n, LETTER_S * (n + 1)) for n, letter in enumerate(letters)
        ]
        yield SpeechChunk(hum, clause, tuple(phones))

    def close(self) -> None:
        pass


def spell(text: str) -> str:
    return "".join(filter(str.isalpha, text.lower()))


def make(order: Order) -> turn_cache.Made:
    return turn_speech.make(order, Hummer(), spell)  # type: ignore[arg-type]


def test_the_halves_share_no_sentence_and_no_voice(clips_dir: Path) -> None:
    tuning, test = (orders(folder_of(clips_dir), half) for half in HALVES)
    assert not {order.text for order in tuning} & {order.text for order in test}
    assert not {order.voice for order in tuning} & {order.voice for order in test}


@pytest.mark.parametrize("half", HALVES)
def test_a_half_has_enough_pauses_of_every_kind(clips_dir: Path, half: Half) -> None:
    kinds = Counter(kind for order in orders(folder_of(clips_dir), half) for kind in order.kinds)
    assert sum(kinds.values()) >= 100
    assert set(kinds) == {"broken", "filler", "list", "clause", "sentence"}


def test_the_same_sentences_ask_for_the_same_clips(clips_dir: Path) -> None:
    folder = folder_of(clips_dir)
    once, again = ([turn_cache.fingerprint(o) for o in orders(folder, "test")] for _ in range(2))
    assert once == again
    assert len(set(once)) == len(once)


def test_a_mark_becomes_a_pause_with_its_kind() -> None:
    assert split("Um, |f where is |w it?") == (("Um,", "where is", "it?"), ("filler", "broken"))


def test_an_unknown_mark_is_refused() -> None:
    with pytest.raises(ConfigError, match="has the mark 'x'"):
        split("Where |x is it?")


def test_a_clip_is_the_same_each_time_it_is_made() -> None:
    (clip, samples), (again, same) = make(ORDER), make(ORDER)
    assert clip == again
    np.testing.assert_array_equal(samples, same)
    other, _ = make(replace(ORDER, name="x-02-apart"))
    assert other.pauses != clip.pauses


@pytest.mark.parametrize("way", ["apart", "within"])
def test_a_pause_is_labelled_where_the_voice_is_silent(way: Way) -> None:
    order = replace(ORDER, name=f"x-01-{way}", way=way)
    clip, samples = make(order)
    ((start, end, kind),) = [(p.start, p.end, p.kind) for p in clip.pauses]
    assert kind == "broken"
    assert 0.2 * RATE_HZ <= end - start <= 1.6 * RATE_HZ
    spoken_s = LETTER_S * len(spell(ORDER.parts[0]))
    assert start / RATE_HZ - turn_speech.LEAD_S == pytest.approx(spoken_s, abs=0.1)
    rms = [
        np.sqrt(np.mean(np.square(part)))
        for part in (samples[start:end], samples[end : clip.last_speech_sample])
    ]
    assert rms[0] < 0.03 * rms[1]
    assert np.abs(samples[clip.last_speech_sample + 160 :]).max() < 0.1 * rms[1]


def test_the_ways_of_a_sentence_break_it_at_the_same_word() -> None:
    starts = []
    ways: tuple[Way, Way] = ("apart", "within")
    for way in ways:
        clip, _ = make(replace(ORDER, way=way))
        starts.append(clip.pauses[0].start)
    assert starts[0] == pytest.approx(starts[1], abs=0.1 * RATE_HZ)


def test_recorded_pauses_are_silences_by_the_rule_of_the_labels(clips_dir: Path) -> None:
    made = list(recordings(load_clips(clips_dir), folder_of(clips_dir)))
    assert sum(len(clip.pauses) for clip, _ in made) >= 6
    for clip, samples in made:
        for pause in clip.pauses:
            assert pause.end - pause.start >= 0.15 * RATE_HZ
            inside = samples[pause.start : pause.end]
            assert np.sqrt(np.mean(np.square(inside))) < 0.3 * np.sqrt(np.mean(np.square(samples)))


def test_a_recording_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real.toml").write_text('[[clip]]\nfile = "none.flac"\npauses = []\n')
    with pytest.raises(ConfigError, match=r"none\.flac, which clips\.toml lacks"):
        list(recordings([], tmp_path))


def test_a_clip_is_made_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def make_all(wanted: list[Order], store: Store) -> Iterator[tuple[Order, turn_cache.Made]]:
        for order in wanted:
            asked.append(order.name)
            yield order, make(order)

    monkeypatch.setattr(turn_cache, "_make", make_all)
    store = Store.default(home=tmp_path)
    ((clip, samples),) = turn_cache.clips([ORDER], store)
    ((kept, same),) = turn_cache.clips([ORDER], store)
    assert asked == ["x-01-apart"]
    assert (clip, len(samples)) == (kept, len(same))
    np.testing.assert_allclose(samples, make(ORDER)[1], atol=1e-4)
    list(turn_cache.clips([replace(ORDER, parts=("Where is", "the exit?"))], store))
    assert asked == ["x-01-apart", "x-01-apart"]
