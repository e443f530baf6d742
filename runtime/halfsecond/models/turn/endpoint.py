"""How much silence ends a turn, given what is known in a pause.

Pure logic. Three opinions become a probability: how the speech sounds (Smart Turn), whether the
words want more (`text_cues`), and whether a sentence may end there (a language model). It decides
between three silences: short when the turn is likely over, long when it is likely not, and one in
between. Three are enough: where half of the visitors shall wait at most one time and 95 % at most
another, no finer steps cut fewer people off.
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
    complete_silence_s: float = 0.16
    """After what sounds and reads complete; some 40 ms pass until it is seen to be as long. Shorter
    gains nothing: the signs are not known sooner, and the answer's first sound takes longer."""
    unsure_silence_s: float = 0.38
    """When the signs disagree, or as long as none is known."""
    incomplete_silence_s: float = 1.5
    """After "where is the" or "um": the longest wait, and what a wrong sign costs a visitor."""
    complete_above: float = 0.85
    """Probability of an end from which a turn counts as complete. Lower answers more visitors
    early, and cuts more off."""
    incomplete_below: float = 0.3
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
class _Weights:
    """Log-odds of an end: the bias, each opinion's own log-odds by its weight, and what the words
    add when they want more (`open`) or make a whole (`closed`)."""

    bias: float
    sound: float
    sentence_end: float
    open: float
    closed: float


# Fitted by logistic regression on 100 ends and 102 inner pauses of the tuning half of the turn-end
# data set (`bench turns`). Beside a language model closed words tell nothing more.
_WITH_MODEL = _Weights(bias=1.96, sound=0.22, sentence_end=0.67, open=-1.3, closed=0.0)
_WITHOUT_MODEL = _Weights(bias=-0.16, sound=0.27, sentence_end=0.0, open=-2.24, closed=0.82)


def end_probability(evidence: Evidence) -> float:
    """How likely the turn is over, 0 to 1; about 0.5 when nothing is known."""
    weights = _WITHOUT_MODEL if evidence.sentence_end is None else _WITH_MODEL
    log_odds = weights.bias
    if evidence.completeness is not None:
        log_odds += weights.sound * _logit(evidence.completeness)
    if evidence.sentence_end is not None:
        log_odds += weights.sentence_end * _logit(evidence.sentence_end)
    if evidence.text is not None:
        words = reading(evidence.text, language=evidence.language)
        log_odds += {"open": weights.open, "closed": weights.closed}.get(words, 0.0)
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
