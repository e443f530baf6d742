"""How near a cut voice comes to its source: numbers, seams between windows, and words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from halfsecond.artifact import Check, Precision
from halfsecond.models.asr.whisper import Whisper
from halfsecond.models.asr.words import bare
from halfsecond.models.tts.vits_config import VitsConfig
from halfsecond.models.tts.vits_network import Frames, VitsNetwork
from halfsecond.models.tts.vits_symbols import SymbolTable
from halfsecond.models.tts.windows import Window, windows
from halfsecond_export.engines.comparing import signal_to_noise_db
from halfsecond_export.engines.passes.graph import GraphIndex, in_order
from halfsecond_export.tts.voice_source import Array, Reference, Samples
from halfsecond_export.whisper.parity import edits

SENTENCES = (
    "The museum opens at nine in the morning and closes late in the evening.",
    "You will find the old ships behind the second door on the left.",
    "Tickets for children are half the price, and babies go in for nothing.",
    "She painted this picture by the window of her small house near the river.",
    "Please do not touch the glass; the colours are older than they look.",
)
"""Spoken to compare, 66 words of every sound of English."""

_RATE_HZ = 16_000
"""Whisper's."""
_SEAM_S = 0.01
"""On both sides of a seam, of what is compared there."""
_LEAST_LEVEL = 1e-3
"""A seam in silence has nothing to compare: -60 dBFS."""
_AT_LEAST_DB = {"fp32": 60.0, "fp16": 25.0}
SEAM_AT_LEAST_DB = 40.0
"""Below it a seam may be heard; the earlier voice of this design reached 41 in fp16."""
CONTEXT_AT_LEAST_DB = 50.0
"""What a context must reach in float32 to be chosen: its losses and those of fp16 add up."""
_CONTEXT_STEP = 8
"""Of the contexts that are tried, in frames."""
WORDS_AT_MOST = 0.05
"""Of the source's words, those that the windows in this precision say otherwise."""
_UNDERSTOOD_AT_MOST = 0.5
"""Wrong words of the source's speech above which its weights say nothing, and nor do its words."""
_FIRST = 2
"""Sentences after which that is told: Whisper takes its time over noise."""


@dataclass(frozen=True)
class Utterance:
    """One sentence, and what the source makes of it."""

    text: str
    feeds: dict[str, Array]
    frames: Frames
    spoken: Samples


class Speaker:
    """Sentences as a voice spells them, with noise that is drawn once for source and candidate."""

    def __init__(
        self,
        config: VitsConfig,
        phonemize: Callable[[str], str],
        *,
        voiceprint: NDArray[np.float32] | None = None,
    ) -> None:
        self._config = config
        self._phonemize = phonemize
        self._table = SymbolTable(config)
        self._voiceprint = voiceprint

    def unknown(self, sentences: Iterable[str]) -> str:
        """Symbols of these sentences that the voice does not know."""
        return self._table.unknown("".join(map(self._phonemize, sentences)))

    def utterance(self, text: str, network: VitsNetwork, reference: Reference) -> Utterance:
        """The sentence through the front of `network`, and through the whole source."""
        ids = self._table.spell(self._phonemize(text)).ids
        frames = network.frames(ids, rng=np.random.default_rng(0), voiceprint=self._voiceprint)
        config, rng = self._config, np.random.default_rng(0)
        scales = (config.noise_scale, config.length_scale, config.duration_noise_scale)
        feeds: dict[str, Array] = {
            "symbols": np.array([ids], np.int64),
            "scales": np.array(scales, np.float32),
            "duration_noise": rng.standard_normal((1, 2, len(ids)), np.float32),
            "noise": rng.standard_normal(frames.latent.shape, np.float32),
            "speaker_id": np.zeros(1, np.int64),
            "language_id": np.zeros(1, np.int64),
        }
        if self._voiceprint is not None:
            feeds["voiceprint"] = self._voiceprint[None]
        return Utterance(text, feeds, frames, reference.sound(feeds))


@dataclass(frozen=True)
class Seams:
    """A sentence whole and in windows."""

    whole: Samples
    joined: Samples
    worst_db: float
    count: int


def joined(
    network: VitsNetwork,
    frames: Frames,
    config: VitsConfig,
    *,
    context: int,
    whole: Samples | None = None,
) -> Seams:
    """The sentence in windows with this context, and how each seam sounds against the whole.

    whole: what the network makes of it whole, where that is known already.
    """
    whole = network.sound(frames) if whole is None else whole
    found = list(_windows(frames, config, context))
    pieces = [network.sound(frames, window) for window in found]
    together = np.concatenate(pieces)
    side = round(_SEAM_S * config.sample_rate_hz)
    ratios = []
    for window in found[:-1]:
        at = window.last * config.hop_samples
        part = slice(max(at - side, 0), at + side)
        if np.abs(whole[part]).max() > _LEAST_LEVEL:
            ratios.append(signal_to_noise_db(whole[part], together[part]))
    return Seams(whole, together, min(ratios, default=200.0), len(ratios))


def _windows(frames: Frames, config: VitsConfig, context: int) -> Iterator[Window]:
    frame_s = config.hop_samples / config.sample_rate_hz
    return windows(frames.count, frame_s=frame_s, context=context)


def least_context(
    network: VitsNetwork, utterances: Sequence[Utterance], config: VitsConfig, *, reach: int
) -> int:
    """The fewest frames on both sides with which no seam is heard, at most the network's reach."""
    wholes = [network.sound(utterance.frames) for utterance in utterances]
    for context in range(_CONTEXT_STEP, reach, _CONTEXT_STEP):
        worst = min(
            joined(network, utterance.frames, config, context=context, whole=whole).worst_db
            for utterance, whole in zip(utterances, wholes, strict=True)
        )
        if worst >= CONTEXT_AT_LEAST_DB:
            return context
    return reach


def number_checks(pairs: Sequence[tuple[Samples, Samples]], precision: Precision) -> list[Check]:
    """Largest error, relative error and signal-to-noise ratio of (source, candidate) samples."""
    if any(len(source) != len(found) for source, found in pairs):
        return [_length_check(pairs)]
    source = np.concatenate([each for each, _ in pairs])
    found = np.concatenate([each for _, each in pairs])
    error = found.astype(np.float64) - source
    relative = float(np.linalg.norm(error) / max(float(np.linalg.norm(source)), 1e-12))
    return [
        Check(what="largest error", value=float(np.abs(error).max()), n=len(source)),
        Check(what="relative error", value=relative, n=len(source)),
        Check(
            what="source against cut",
            value=signal_to_noise_db(source, found),
            unit=" dB",
            n=len(source),
            at_least=_AT_LEAST_DB[precision],
        ),
    ]


def _length_check(pairs: Sequence[tuple[Samples, Samples]]) -> Check:
    longest = max(abs(len(source) - len(found)) for source, found in pairs)
    return Check(what="samples more or fewer than the source", value=longest, at_most=0)


def seam_check(seams: Sequence[Seams]) -> Check:
    """The worst seam of all."""
    return Check(
        what="worst seam of windows",
        value=min(each.worst_db for each in seams),
        unit=" dB",
        n=sum(each.count for each in seams),
        at_least=SEAM_AT_LEAST_DB,
    )


def control_check(source: Samples, damaged: Samples, precision: Precision) -> Check:
    """That the comparison can fail: with one layer damaged, it does."""
    return Check(
        what="control: source against a damaged layer",
        value=signal_to_noise_db(source, damaged),
        unit=" dB",
        n=len(source),
        at_most=_AT_LEAST_DB[precision],
    )


def damaged(back: Any) -> Any:
    """A copy of the back in which what enters the decoder is given channel by channel to the next.

    A layer of the flow would not do: with weights that say little, it changes little.
    """
    from onnx import helper, numpy_helper

    model = type(back).FromString(back.SerializeToString())
    index = GraphIndex(model)
    first = next(node for node in model.graph.node if node.op_type == "ConvTranspose")
    weight = index.constant(first.input[1])
    channels = 0 if weight is None else len(weight)
    name = f"{first.input[0]}.moved"
    order = numpy_helper.from_array(np.roll(np.arange(channels), 1), f"{name}.order")
    model.graph.initializer.append(order)
    moved = helper.make_node("Gather", [first.input[0], order.name], [name], axis=1)
    first.input[0] = name
    model.graph.node.append(moved)
    return in_order(model)


_MISHEARD = "words of the source misheard"


class Listener:
    """Whisper, who writes down what voices say."""

    def __init__(self, directory: Path, rate_hz: int, *, threads: int = 2) -> None:
        self._whisper = Whisper(directory, threads=threads)
        self._rate_hz = rate_hz
        self._known: dict[int, list[str]] = {}

    def _source_words(self, utterance: Utterance) -> list[str]:
        """The words of the source, asked for once."""
        key = id(utterance)
        if key not in self._known:
            self._known[key] = self.words(utterance.spoken)
        return self._known[key]

    def words(self, samples: Samples) -> list[str]:
        """The words of an utterance."""
        quiet = np.zeros(_RATE_HZ // 4, np.float32)
        heard = soxr.resample(samples, self._rate_hz, _RATE_HZ)
        text = self._whisper.transcribe(np.concatenate([quiet, heard, quiet])).text
        return bare(text).split()

    def close(self) -> None:
        self._whisper.close()

    def checks(
        self, utterances: Sequence[Utterance], windowed: Sequence[Samples]
    ) -> tuple[Check, ...]:
        """Words of the source that are wrong, and those that the windows say otherwise."""
        said = [bare(each.text).split() for each in utterances]
        first = [self._source_words(each) for each in utterances[:_FIRST]]
        wrong, count = _wrong(said[:_FIRST], first)
        if wrong > _UNDERSTOOD_AT_MOST:
            return (Check(what=_MISHEARD, value=wrong, n=count),)
        source = [self._source_words(each) for each in utterances]
        wrong, count = _wrong(said, source)
        other, heard = _wrong(source, [self.words(samples) for samples in windowed])
        return (
            Check(what=_MISHEARD, value=wrong, n=count),
            Check(
                what="words other than the source's", value=other, n=heard, at_most=WORDS_AT_MOST
            ),
        )


def _wrong(expected: Sequence[list[str]], found: Sequence[list[str]]) -> tuple[float, int]:
    count = sum(map(len, expected))
    return sum(map(edits, expected, found)) / max(count, 1), count
