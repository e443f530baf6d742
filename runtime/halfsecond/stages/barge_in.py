"""Speech over an answer: pause at once, stop when it proves to be speech, go on when it does not.

Pure logic. It counts microphone samples and knows no clock, so a recording gives the same
decisions at any pace. Words decide, not lengths: a cough can be longer than "stop".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from halfsecond.config import TurnConfig

RATE_HZ = 16_000

CHECK_AGAIN_S = 0.25
"""More speech than was last listened to before it is worth listening again. Less takes a core from
whatever else works; more finds words later."""

SURE_LOG_PROBABILITY = -0.75
"""Mean log probability a token from which Whisper's words are believed. tiny.en wrote "M-HUM" and
"Yes, I would" for an mm-hm, all below -0.78 in recordings; beginnings of 8 questions lay above
-0.72 from 0.7 s on but for one. Lower stops answers for an mm-hm."""
SURE_EARLY_LOG_PROBABILITY = -0.6
"""The same for sounds shorter than `SHORT_S`, of which Whisper makes more up."""
SHORT_S = 0.6
"""An mm-hm lasts half a second. A sound that is over by then stops the answer only as a command."""
SURE_ANYWAY_S = 1.0
"""No mm-hm is this long: words of a sound that is are believed whatever their probability."""

Decision = Literal["none", "pause", "listen", "resume", "dismiss", "stop"]
"""listen: find the words of the sound so far, and call `heard`. resume: go on, the sound is still
judged. dismiss: it was nothing, go on. stop: drop the answer."""


@dataclass
class _Speech:
    """The sound that is judged, positions in samples of the microphone."""

    at_sample: int
    paused_at: int
    last_sample: int | None = None
    """Where it stopped; None while it goes on."""
    heard_to: int = 0
    """Up to where its words are known."""
    is_resumed: bool = False


class BargeIn:
    """Judges one sound after another that begins while an answer is played."""

    def __init__(self, config: TurnConfig) -> None:
        self._config = config
        self._speech: _Speech | None = None
        self._is_listening = False
        self._backchannels = {_bare(words) for words in config.backchannels}
        self._commands = {_bare(words) for words in config.stop_words}

    @property
    def is_judging(self) -> bool:
        """Whether a sound is being judged."""
        return self._speech is not None

    def reset(self) -> None:
        """Forgets the sound: there is no answer that it could stop."""
        self._speech = None
        self._is_listening = False

    def started(self, at_sample: int, now: int) -> Decision:
        """A sound that the VAD takes for speech began at `at_sample`."""
        self._speech = _Speech(at_sample, paused_at=now)
        return "pause"

    def went_on(self) -> None:
        """It goes on after a short silence."""
        if self._speech is not None:
            self._speech.last_sample = None

    def stopped(self, last_sample: int) -> None:
        """A short silence follows it."""
        if self._speech is not None:
            self._speech.last_sample = last_sample

    def decide(self, now: int) -> Decision:
        """What to do when the microphone has come to sample `now`."""
        speech = self._speech
        if speech is None:
            return "none"
        end = now if speech.last_sample is None else speech.last_sample
        length_s = (end - speech.at_sample) / RATE_HZ
        if length_s >= self._config.interrupt_anyway_s:
            return self._end("stop")
        if self._wants_words(speech, end, length_s):
            self._is_listening = True
            return "listen"
        is_known = speech.last_sample is not None and speech.heard_to >= end
        if is_known and not self._is_listening:
            return self._end("dismiss")
        if not speech.is_resumed and (now - speech.paused_at) / RATE_HZ >= self._config.hold_s:
            # It may still prove to be speech; until then nobody waits in silence.
            speech.is_resumed = True
            return "resume"
        return "none"

    def heard(self, text: str, to_sample: int, *, log_probability: float = 0.0) -> Decision:
        """The words of the sound so far, up to `to_sample`.

        log_probability: mean of the tokens', as the recogniser gives it.
        """
        self._is_listening = False
        speech = self._speech
        if speech is None:
            return "none"
        speech.heard_to = max(speech.heard_to, to_sample)
        length_s = (to_sample - speech.at_sample) / RATE_HZ
        is_over = speech.last_sample is not None and to_sample >= speech.last_sample
        if self._is_command(text) or (
            _is_sure(log_probability, length_s)
            and not (is_over and length_s < SHORT_S)
            and self._is_meant(text, length_s)
        ):
            return self._end("stop")
        return "none"

    def _wants_words(self, speech: _Speech, end: int, length_s: float) -> bool:
        if self._is_listening or speech.heard_to >= end:
            return False
        if speech.last_sample is not None:
            return True
        unheard_s = (end - max(speech.heard_to, speech.at_sample)) / RATE_HZ
        return length_s >= self._config.interrupt_s and unheard_s >= CHECK_AGAIN_S

    def _is_command(self, text: str) -> bool:
        """Whether it begins with a word that stops the answer however short it is."""
        bare = _bare(text)
        return any(f"{bare} ".startswith(f"{command} ") for command in self._commands)

    def _is_meant(self, text: str, length_s: float) -> bool:
        """Whether these are words, and more than a listener's."""
        bare = _bare(text)
        if not bare or bare in self._backchannels or self._is_backchannel(bare.split()):
            return False
        # Whisper makes words of a click too; what is said over an answer takes some time.
        return length_s >= self._config.interrupt_s

    def _is_backchannel(self, words: list[str]) -> bool:
        """Whether they are nothing but such words: "yeah, okay"."""
        return all(word in self._backchannels for word in words)

    def _end(self, decision: Decision) -> Decision:
        self.reset()
        return decision


def _is_sure(log_probability: float, length_s: float) -> bool:
    if length_s >= SURE_ANYWAY_S:
        return True
    sure = SURE_EARLY_LOG_PROBABILITY if length_s < SHORT_S else SURE_LOG_PROBABILITY
    return log_probability >= sure


def _bare(text: str) -> str:
    """Lower-case words with a space between them; hyphens part none ("mm-hm" is "mmhm")."""
    return " ".join(re.findall(r"\w+", re.sub(r"[-'’]", "", text.lower())))
