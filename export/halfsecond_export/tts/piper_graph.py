"""Where a Piper voice is cut, found by what its nodes do and not by what they are called.

A VITS draws `mean + noise × spread` once for all frames. What lies before that is the front; flow
and decoder, which lie behind, are the back. Both of the network's random draws become inputs, so
that a voice says the same twice, and its windows agree with the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.engines.passes.graph import GraphIndex

_SHAPING = ("Unsqueeze", "Reshape", "Squeeze", "Transpose")


@dataclass(frozen=True)
class CutPoints:
    """Names of tensors in the graph of a whole voice.

    latent: mean plus noise times spread. factors: what multiplies the noise.
    noise, duration_noise: what the two random nodes make.
    masks: tensors, all ones for a single utterance, that the back multiplies with.
    speaker: the speaker's vector, "" without.
    """

    latent: str
    mean: str
    factors: tuple[str, ...]
    noise: str
    duration_noise: str
    durations: str
    masks: tuple[str, ...] = ()
    speaker: str = ""


def find_cut(model: Any, *, speaker_input: str = "") -> CutPoints:
    """Where to cut.

    speaker_input: the input that tells a speaker's number, "" without.

    Raises UnsupportedModelError for a graph that is no VITS; the message says what was not found.
    """
    graph = _Graph(model)
    draws = [node for node in model.graph.node if node.op_type == "RandomNormalLike"]
    found = [(draw, sums) for draw in draws if (sums := graph.sum_with_mean(draw)) is not None]
    if len(found) != 1 or len(draws) != 2:
        raise UnsupportedModelError(
            f"no place to cut: {len(draws)} random draws, of which {len(found)} become mean + "
            "noise × spread; expected 2 and 1, as in a VITS with stochastic durations"
        )
    draw, sums = found[0]
    other = next(each for each in draws if each is not draw)
    before = graph.ancestors([sums.latent])
    rounded = [n for n in model.graph.node if n.op_type == "Ceil" and n.output[0] in before]
    if len(rounded) != 1:
        raise UnsupportedModelError(
            f"no durations: {len(rounded)} tensors are rounded up before the frames; expected 1"
        )
    masks, speaker = graph.frontier(sums.latent, speaker_input)
    return CutPoints(
        latent=sums.latent,
        mean=sums.mean,
        factors=sums.factors,
        noise=draw.output[0],
        duration_noise=other.output[0],
        durations=rounded[0].output[0],
        masks=masks,
        speaker=speaker,
    )


@dataclass(frozen=True)
class _Sum:
    latent: str
    mean: str
    factors: tuple[str, ...]


@dataclass
class _Graph:
    model: Any
    index: GraphIndex = field(init=False)

    def __post_init__(self) -> None:
        self.index = GraphIndex(self.model)

    def sum_with_mean(self, draw: Any) -> _Sum | None:
        """Where noise in the shape of a mean is added to that mean, after some products."""
        mean, name, factors = draw.input[0], draw.output[0], []
        while (reader := self.index.only_reader(name)) is not None:
            others = [each for each in reader.input if each != name]
            if reader.op_type == "Mul" and len(others) == 1:
                factors.append(others[0])
                name = reader.output[0]
            elif reader.op_type == "Add" and others == [mean]:
                return _Sum(reader.output[0], mean, tuple(factors))
            else:
                return None
        return None

    def ancestors(self, names: Sequence[str]) -> set[str]:
        """Every tensor that these are computed from, they among them."""
        seen: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if name in self.index.makers:
                waiting.extend(self.index.makers[name].input)
        return seen

    def frontier(self, latent: str, speaker_input: str) -> tuple[tuple[str, ...], str]:
        """What the back takes besides the latent frames: masks, and the speaker's vector."""
        behind = self._behind(latent)
        inputs = {value.name for value in self.model.graph.input}
        masks: dict[str, None] = {}
        speaker = ""
        for node in self.model.graph.node:
            if node.output[0] == latent or node.output[0] not in behind:
                continue
            for name in node.input:
                sources = self.ancestors([name]) & inputs if name not in behind else set()
                if not sources:
                    continue
                if sources == {speaker_input}:
                    speaker = self._speaker_vector(speaker_input)
                elif node.op_type == "Mul":
                    masks[name] = None
                else:
                    raise UnsupportedModelError(
                        f"no place to cut: {node.op_type} {node.name!r} behind the latent frames "
                        f"reads {name!r}, which is neither a mask nor a speaker"
                    )
        return tuple(masks), speaker

    def _behind(self, latent: str) -> set[str]:
        behind, waiting = {latent}, [latent]
        while waiting:
            for reader in self.index.readers[waiting.pop()]:
                new = [name for name in reader.output if name not in behind]
                behind.update(new)
                waiting.extend(new)
        return behind

    def _speaker_vector(self, speaker_input: str) -> str:
        """The row of the speakers' table, in the shape in which convolutions read it."""
        gathers = [n for n in self.index.readers[speaker_input] if n.op_type == "Gather"]
        if len(gathers) != 1:
            raise UnsupportedModelError(
                f"no speakers' table: {len(gathers)} look-ups read {speaker_input!r}, expected 1"
            )
        name: str = gathers[0].output[0]
        while (reader := self.index.only_reader(name)) is not None and reader.op_type in _SHAPING:
            name = reader.output[0]
        return name
