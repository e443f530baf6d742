"""Speech probabilities in, the beginnings, pauses and ends of utterances out.

Pure logic: it counts samples and knows no clock, so a recording gives the same events at any pace.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from halfsecond.errors import ConfigError

RATE_HZ = 16_000


@dataclass(frozen=True)
class SegmenterConfig:
    """When sound becomes an utterance, and when an utterance is over."""

    on_probability: float = 0.5
    """Silero's own default; lower starts on breath and chairs, higher loses soft beginnings."""
    off_probability: float = 0.35
    """Silero's own hysteresis (0.15 below `on`): speech between the two goes on."""
    min_speech_s: float = 0.096
    """Speech shorter than this many windows is a click. Three windows keep "yes"."""
    pause_s: float = 0.128
    """Silence after which a guess at the answer may start; the visitor may still go on."""
    silence_s: float = 0.32
    """Silence that ends the utterance. Shorter answers sooner and cuts slow speakers off."""
    pre_roll_s: float = 0.3
    """Audio kept from before the first window of speech: soft consonants come first."""
    lag_s: float = 0.064
    """How long Silero goes on after the last speech: two windows, the median over the labelled
    clips. Counted as silence already, and taken off where the speech is said to end."""
    max_utterance_s: float = 28.0
    """Whisper takes 30 s at most, pre-roll and trailing silence included."""


@dataclass(frozen=True)
class SpeechStarted:
    """Someone speaks; sent once the speech is longer than a click."""

    at_sample: int
    """Where the first window of speech begins."""
    from_sample: int
    """Where the audio of the utterance begins: `at_sample` less the pre-roll."""


@dataclass(frozen=True)
class SpeechPaused:
    """A short silence, which may become the end or be talked over."""

    last_sample: int
    """Just after the last speech so far."""


@dataclass(frozen=True)
class SpeechResumed:
    """The visitor goes on after a pause: whatever was guessed from it is void."""

    at_sample: int


@dataclass(frozen=True)
class SpeechEnded:
    """The utterance is over."""

    last_sample: int
    """Just after the last speech."""
    from_sample: int
    """Where the audio of the utterance begins, as in `SpeechStarted`."""
    is_cut: bool = False
    """It reached the longest length; what follows is a new utterance."""


SpeechEvent = SpeechStarted | SpeechPaused | SpeechResumed | SpeechEnded


@dataclass
class _Speech:
    """The utterance under way, positions in samples and lengths in windows."""

    first: int
    last: int = 0
    spoken: int = 0
    silent: int = 0
    """Since the last window of speech."""
    is_started: bool = False
    """Longer than a click, so that others were told of it."""


class Segmenter:
    """Turns the probabilities of consecutive windows into `SpeechEvent`s.

    window_samples: length of one window. Positions count from the first sample after creation or
    `reset`, at 16 kHz.

    Raises:
        ConfigError: thresholds or lengths that contradict each other.
    """

    def __init__(self, config: SegmenterConfig | None = None, *, window_samples: int = 512) -> None:
        self._config = config or SegmenterConfig()
        self._window = window_samples
        _check(self._config)
        self._pause_windows = self._windows(self._config.pause_s - self._config.lag_s)
        self._silence_windows = self._windows(self._config.silence_s - self._config.lag_s)
        self._lag = round(self._config.lag_s * RATE_HZ)
        self._speech_windows = self._windows(self._config.min_speech_s)
        self.reset()

    def reset(self) -> None:
        """Forgets an utterance that is under way, and counts from zero again."""
        self._position = 0
        self._previous_end = 0
        self._speech: _Speech | None = None

    @property
    def position(self) -> int:
        """Just after the last window that was judged, in samples."""
        return self._position

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance has started and not ended; pauses count as speaking."""
        return self._speech is not None and self._speech.is_started

    def finish(self) -> None:
        """Ends the utterance that is under way without a word: somebody else knows that it is over.

        What follows is a new one, and does not begin before the speech of this one ended.
        """
        if self._speech is not None:
            self._previous_end = max(self._previous_end, self._speech.last)
            self._speech = None

    def push(self, probability: float) -> Iterator[SpeechEvent]:
        """The events of the next window. Take them all before the next call."""
        begin = self._position
        self._position += self._window
        is_talking = self._speech is not None and self._speech.silent == 0
        threshold = self._config.off_probability if is_talking else self._config.on_probability
        if probability >= threshold:
            yield from self._on_speech(begin)
        elif self._speech is not None:
            yield from self._on_silence(self._speech)

    def _on_speech(self, begin: int) -> Iterator[SpeechEvent]:
        if self._speech is None:
            self._speech = _Speech(first=begin)
        speech = self._speech
        if speech.is_started and speech.silent >= self._pause_windows:
            yield SpeechResumed(at_sample=begin)
        speech.silent = 0
        speech.spoken += 1
        speech.last = max(speech.first, self._position - self._lag)
        if not speech.is_started and speech.spoken >= self._speech_windows:
            speech.is_started = True
            yield SpeechStarted(at_sample=speech.first, from_sample=self._from_sample(speech))
        yield from self._cut(speech)

    def _on_silence(self, speech: _Speech) -> Iterator[SpeechEvent]:
        speech.silent += 1
        if not speech.is_started:
            # A click: forgotten as soon as a pause shows that nothing follows it.
            if speech.silent >= self._pause_windows:
                self._speech = None
            return
        if speech.silent == self._pause_windows:
            yield SpeechPaused(last_sample=speech.last)
        if speech.silent >= self._silence_windows:
            yield self._end(speech)
        else:
            yield from self._cut(speech)

    def _cut(self, speech: _Speech) -> Iterator[SpeechEvent]:
        """Ends an utterance that is as long as it may be."""
        length = self._position - self._from_sample(speech)
        if speech.is_started and length >= self._config.max_utterance_s * RATE_HZ:
            yield self._end(speech, is_cut=True)

    def _end(self, speech: _Speech, *, is_cut: bool = False) -> SpeechEnded:
        begin = self._from_sample(speech)
        # Speech goes on through a cut: what was heard so far is not heard again as pre-roll.
        last = self._position if is_cut and not speech.silent else speech.last
        self._previous_end = last
        self._speech = None
        return SpeechEnded(last_sample=last, from_sample=begin, is_cut=is_cut)

    def _from_sample(self, speech: _Speech) -> int:
        wanted = speech.first - round(self._config.pre_roll_s * RATE_HZ)
        return max(self._previous_end, wanted)

    def _windows(self, seconds: float) -> int:
        """How many windows the time lasts, rounded up, at least one."""
        # Less a hundredth, so that 0.32 s is ten windows of 32 ms in floating point too.
        return max(1, math.ceil(seconds * RATE_HZ / self._window - 0.01))


def _check(config: SegmenterConfig) -> None:
    if not 0 < config.off_probability <= config.on_probability < 1:
        raise ConfigError(
            f"off_probability {config.off_probability} and on_probability "
            f"{config.on_probability}: expected 0 < off <= on < 1"
        )
    if not 0 < config.pause_s <= config.silence_s:
        raise ConfigError(
            f"pause_s {config.pause_s} and silence_s {config.silence_s}: "
            "expected 0 < pause_s <= silence_s"
        )
    if min(config.pre_roll_s, config.min_speech_s, config.lag_s) < 0:
        raise ConfigError("pre_roll_s, min_speech_s and lag_s: expected 0 or more")
    if not config.silence_s < config.max_utterance_s <= 29:
        raise ConfigError(
            f"max_utterance_s {config.max_utterance_s}: expected more than silence_s, at most 29"
        )
