"""Whether voices sound like themselves and unlike each other, by the cosine of their embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.models.speaker.encoder import mean_voice, similarity
from halfsecond_bench.statistics import Distribution, distribution

Voiceprints = Mapping[str, Sequence[NDArray[np.float32]]]


class Confusion(msgspec.Struct, frozen=True):
    """An utterance that is nearer to another speaker than to the rest of its own."""

    speaker: str
    taken_for: str
    own: float
    other: float


class SpeakerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Cosines of pairs of utterances: of one speaker, and of two."""

    speakers: int
    utterances: int
    same: Distribution
    different: Distribution
    same_mean: float
    different_mean: float
    apart: float
    """The difference of the means."""
    confusions: list[Confusion]
    nearest: dict[str, tuple[str, float]]
    """The other speaker who sounds most alike, and the cosine of both voices."""


def compare_speakers(
    voices: Voiceprints, *, one_person: Mapping[str, str] | None = None
) -> SpeakerFigures:
    """Every pair of utterances, and every utterance against every speaker.

    one_person: names of voices that are another one's, and whose; they count as one speaker.
    """
    people: dict[str, list[NDArray[np.float32]]] = {}
    for name, spoken in voices.items():
        people.setdefault((one_person or {}).get(name, name), []).extend(spoken)
    return _compare(people, _nearest(voices))


def _compare(voices: Voiceprints, nearest: dict[str, tuple[str, float]]) -> SpeakerFigures:
    utterances = [(name, voice) for name, spoken in voices.items() for voice in spoken]
    same: list[float] = []
    different: list[float] = []
    for (one, first), (other, second) in combinations(utterances, 2):
        (same if one == other else different).append(similarity(first, second))
    same_mean, different_mean = float(np.mean(same)), float(np.mean(different))
    return SpeakerFigures(
        speakers=len(voices),
        utterances=len(utterances),
        same=distribution(same),
        different=distribution(different),
        same_mean=round(same_mean, 3),
        different_mean=round(different_mean, 3),
        apart=round(same_mean - different_mean, 3),
        confusions=_confusions(voices),
        nearest=nearest,
    )


def _confusions(voices: Voiceprints) -> list[Confusion]:
    """Each utterance against its speaker without it, and against all others."""
    centres = {name: mean_voice(np.stack(spoken)) for name, spoken in voices.items()}
    found = []
    for name, spoken in voices.items():
        for at, voice in enumerate(spoken):
            rest = [other for index, other in enumerate(spoken) if index != at]
            own = similarity(voice, mean_voice(np.stack(rest)))
            others = {
                other: similarity(voice, centre)
                for other, centre in centres.items()
                if other != name
            }
            nearest = max(others, key=lambda other: others[other])
            if others[nearest] >= own:
                found.append(Confusion(name, nearest, round(own, 3), round(others[nearest], 3)))
    return found


def _nearest(voices: Voiceprints) -> dict[str, tuple[str, float]]:
    centres = {name: mean_voice(np.stack(spoken)) for name, spoken in voices.items()}
    nearest = {}
    for name, centre in centres.items():
        cosines = {
            other: similarity(centre, voice) for other, voice in centres.items() if other != name
        }
        best = max(cosines, key=lambda other: cosines[other])
        nearest[name] = (best, round(cosines[best], 3))
    return nearest
