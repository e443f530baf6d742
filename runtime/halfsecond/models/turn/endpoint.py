"""How much silence ends a turn, given what is known in a pause.

Pure logic. Three opinions are added up as log-odds: how the speech sounds (Smart Turn), whether the
words want more (`text_cues`), and whether a sentence may end there (a language model). One that is
missing adds nothing. The sum decides between three silences: short when the turn sounds and reads
complete, long when it does not, and one in between.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from halfsecond.errors import ConfigError
from halfsecond.models.turn.text_cues import reading

Mode = Literal["smart", "silence"]


@dataclass(frozen=True)
class EndpointConfig:
    """When a pause is the end of the turn. All silences count from the last speech."""

    mode: Mode = "smart"
    """"silence" waits `silence_s` whatever was said: for a language or a box without the models."""
    silence_s: float = 0.5
    """Mode "silence": the silence that ends a turn. Shorter answers sooner and cuts more off."""
    complete_silence_s: float = 0.2
    """After what sounds and reads complete. Below 0.2 s nothing is gained: the answer's first sound
    takes longer to make."""
    unsure_silence_s: float = 0.45
    """When the signs disagree, or as long as none is known."""
    incomplete_silence_s: float = 1.2
    """After "where is the" or "um": the longest wait, and what a wrong sign costs a visitor."""
    complete_above: float = 0.79
    """Probability of an end from which a turn counts as complete. Lower answers more visitors
    early, and cuts more off."""
    incomplete_below: float = 0.19
    """Probability of an end below which a turn counts as incomplete. Higher makes more visitors
    wait for `incomplete_silence_s`."""

    def __post_init__(self) -> None:
        if not 0 < self.complete_silence_s <= self.unsure_silence_s <= self.incomplete_silence_s:
            raise ConfigError(
                f"complete_silence_s {self.complete_silence_s}, unsure_silence_s "
                f"{self.unsure_silence_s} and incomplete_silence_s {self.incomplete_silence_s}: "
                "expected 0 < complete <= unsure <= incomplete"
            )
        if not 0 <= self.incomplete_below <= self.complete_above <= 1:
            raise ConfigError(
                f"incomplete_below {self.incomplete_below} and complete_above "
                f"{self.complete_above}: expected 0 <= incomplete_below <= complete_above <= 1"
            )
        if self.silence_s <= 0:
            raise ConfigError(f"silence_s {self.silence_s}: expected more than 0")


@dataclass(frozen=True)
class Evidence:
    """What is known of a turn in a pause; None is what is not known yet, or never will be."""

    completeness: float | None = None
    """Smart Turn's probability, over the utterance up to now."""
    text: str | None = None
    """What the recogniser heard so far; empty is an answer too, and tells nothing."""
    sentence_end: float | None = None
    """A language model's probability that the text ends there."""
    language: str | None = "en"
    """BCP 47 primary tag of the text."""


@dataclass(frozen=True)
class _Sign:
    """An opinion's weight: log-odds of an end = slope * (its own log-odds - neutral)."""

    slope: float
    neutral: float = 0.0

    def log_odds(self, probability: float) -> float:
        return self.slope * (_logit(probability) - self.neutral)


# Fitted on the tuning half of the turn-end data set by logistic regression.
_SOUND = _Sign(slope=0.16)
_SENTENCE = _Sign(slope=0.6, neutral=-0.9)
_READING = {"open": -0.86, "closed": 1.08, "unknown": 0.0}


def end_probability(evidence: Evidence) -> float:
    """How likely the turn is over, 0 to 1; 0.5 when nothing is known."""
    log_odds = 0.0
    if evidence.completeness is not None:
        log_odds += _SOUND.log_odds(evidence.completeness)
    if evidence.sentence_end is not None:
        log_odds += _SENTENCE.log_odds(evidence.sentence_end)
    if evidence.text is not None:
        log_odds += _READING[reading(evidence.text, language=evidence.language)]
    return 1 / (1 + math.exp(-log_odds))


def required_silence_s(evidence: Evidence, config: EndpointConfig) -> float:
    """The silence since the last speech after which the turn is over.

    Ask again whenever something more is known; the newest answer counts.
    """
    if config.mode == "silence":
        return config.silence_s
    probability = end_probability(evidence)
    if probability >= config.complete_above:
        return config.complete_silence_s
    if probability < config.incomplete_below:
        return config.incomplete_silence_s
    return config.unsure_silence_s


def _logit(probability: float) -> float:
    """Log-odds, bounded to about ±7 so that no single opinion decides alone."""
    return math.log((probability + 1e-3) / (1 - probability + 1e-3))
