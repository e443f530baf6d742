"""Speech over an answer, sample by sample and word by word."""

from __future__ import annotations

import msgspec
import pytest

from halfsecond.config import TurnConfig
from halfsecond.stages.barge_in import BargeIn, Decision

CONFIG = TurnConfig()
WINDOW_S = 0.032


def at(seconds: float) -> int:
    return round(seconds * 16_000)


class Sound:
    """Something that begins at 1 s of the microphone; what is decided about it, and when."""

    def __init__(
        self, length_s: float, words: str, *, words_at_end: str = "", config: TurnConfig = CONFIG
    ) -> None:
        self.decisions: list[tuple[Decision, float]] = []
        self.listened_to_s: list[float] = []
        barge_in = BargeIn(config)
        self._note(barge_in.started(at(1.0), at(1.1)), 1.1)
        listening: tuple[float, int] | None = None
        now_s = 1.1
        while now_s < 6.0 and barge_in.is_judging:
            now_s += WINDOW_S
            if now_s > 1.0 + length_s + 0.1:
                barge_in.stopped(at(1.0 + length_s))
            if listening is not None and now_s >= listening[0]:
                to_sample, listening = listening[1], None
                is_whole = bool(words_at_end) and to_sample >= at(1.0 + length_s)
                heard = words_at_end if is_whole else words
                self._note(barge_in.heard(heard, to_sample), now_s)
            decision = barge_in.decide(at(now_s))
            self._note(decision, now_s)
            if decision == "listen":
                end_s = min(now_s, 1.0 + length_s)
                self.listened_to_s.append(end_s - 1.0)
                listening = (now_s + 0.06, at(end_s))  # Whisper takes some 60 ms

    def _note(self, decision: Decision, now_s: float) -> None:
        if decision not in ("none", "listen"):
            self.decisions.append((decision, round(now_s - 1.0, 2)))

    @property
    def what(self) -> list[Decision]:
        return [decision for decision, _ in self.decisions]

    @property
    def paused_s(self) -> float:
        """How long the answer stood still."""
        return self.decisions[1][1] - self.decisions[0][1]


def test_words_over_an_answer_pause_it_and_then_stop_it() -> None:
    sound = Sound(1.5, "Where is the")
    assert sound.what == ["pause", "stop"]
    assert sound.decisions[1][1] < 0.55  # long before the sentence is over


@pytest.mark.parametrize("words", ["", "Mm-hmm.", "Uh-huh", "Yeah, okay.", "I see."])
def test_what_listeners_say_lets_the_answer_go_on(words: str) -> None:
    sound = Sound(0.45, words)
    assert sound.what[0] == "pause"
    assert sound.what[-1] == "dismiss"
    assert "stop" not in sound.what
    assert sound.paused_s < 0.6


def test_a_click_is_dismissed_when_it_has_passed() -> None:
    sound = Sound(0.1, "")
    assert sound.what == ["pause", "dismiss"]
    assert sound.paused_s < 0.3


def test_what_whisper_makes_of_a_click_stops_nothing() -> None:
    assert Sound(0.15, "Beep").what == ["pause", "dismiss"]


def test_words_of_a_sound_as_short_as_an_mm_hm_stop_nothing() -> None:
    assert "stop" not in Sound(0.5, "", words_at_end="Yes, I would").what


@pytest.mark.parametrize("words", ["Stop!", "No.", "Wait a moment", "Excuse me", "停"])
def test_a_command_stops_the_answer_however_short_it_is(words: str) -> None:
    assert Sound(0.25, words).what == ["pause", "stop"]


def test_a_long_noise_holds_the_answer_for_half_a_second_only() -> None:
    sound = Sound(1.6, "")
    assert sound.what == ["pause", "resume", "dismiss"]
    assert sound.paused_s == pytest.approx(CONFIG.hold_s, abs=2 * WINDOW_S)


def test_words_that_are_found_late_still_stop_the_answer() -> None:

    barge_in = BargeIn(CONFIG)
    barge_in.started(at(1.0), at(1.1))
    assert barge_in.decide(at(1.4)) == "listen"
    assert barge_in.heard("", at(1.4)) == "none"
    assert barge_in.decide(at(1.62)) == "resume"
    assert barge_in.decide(at(1.7)) == "listen"
    assert barge_in.heard("I wanted to ask", at(1.7)) == "stop"
    assert not barge_in.is_judging


def test_speech_that_nobody_understands_stops_the_answer_in_the_end() -> None:
    config = msgspec.structs.replace(CONFIG, interrupt_anyway_s=1.2)
    sound = Sound(3.0, "", config=config)
    assert sound.what == ["pause", "resume", "stop"]
    assert sound.decisions[-1][1] == pytest.approx(1.2, abs=2 * WINDOW_S)


def test_a_growing_sound_is_listened_to_again_but_not_all_the_time() -> None:
    sound = Sound(1.5, "Mm-hmm")
    gaps_s = [b - a for a, b in zip(sound.listened_to_s, sound.listened_to_s[1:], strict=False)]
    assert len(sound.listened_to_s) >= 3
    assert min(gaps_s[:-1]) >= 0.25
    assert sound.what[-1] == "dismiss"


def test_words_that_whisper_is_not_sure_of_stop_nothing_until_there_are_more() -> None:
    barge_in = BargeIn(CONFIG)
    barge_in.started(at(1.0), at(1.1))
    assert barge_in.heard("Yes, I would", at(1.5), log_probability=-0.7) == "none"
    assert barge_in.heard("Yes, I would", at(1.8), log_probability=-0.84) == "none"
    assert barge_in.heard("Yes, I would like", at(2.1), log_probability=-0.84) == "stop"


def test_without_an_answer_there_is_nothing_to_decide() -> None:
    barge_in = BargeIn(CONFIG)
    barge_in.stopped(at(2.0))
    assert barge_in.decide(at(3.0)) == "none"
    assert barge_in.heard("Stop", at(3.0)) == "none"
