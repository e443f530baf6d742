"""What `bench gpu` reports."""

from __future__ import annotations

from typing import Literal

import msgspec

from halfsecond_bench.statistics import Distribution

Outcome = Literal["same", "differs", "ran", "not run"]
"""Compared with the CPU and alike, or not; run with nothing to compare with; not run at all."""


class NetworkFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One network or engine on the GPU, against the same network on the CPU.

    cpu_ms: one thread. gpu_ms: arrays of the host in and out. device_ms: arrays that lie on the
    GPU, between two events. graph_ms: the same, replayed as a CUDA graph.
    relative_error: length of the differences by that of the values, the worst output's.
    """

    name: str
    precision: str
    runs_on: str
    outcome: Outcome
    detail: str = ""
    largest_error: float | None = None
    relative_error: float | None = None
    cpu_ms: Distribution | None = None
    gpu_ms: Distribution | None = None
    device_ms: Distribution | None = None
    graph_ms: Distribution | None = None


class SpeechFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A Whisper on the recordings: milliseconds of a recording, and words that are others."""

    name: str
    outcome: Outcome
    detail: str = ""
    words: int = 0
    words_that_differ: int = 0
    cpu_ms: Distribution | None = None
    gpu_ms: Distribution | None = None


class TokenFigures(msgspec.Struct, frozen=True, kw_only=True):
    """A language model: greedy tokens from the same prompt, and milliseconds of a token."""

    name: str
    outcome: Outcome
    detail: str = ""
    tokens: int = 0
    same_tokens: int = 0
    """From the first on, until one differs."""
    cpu_token_ms: float | None = None
    gpu_token_ms: float | None = None


class OverlapFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Lip-sync beside another network, each on a stream of its own.

    Milliseconds of a run of the lips, and of all runs of both. gain: one after the other, by both
    at once. The priority is the lips'; the other's is low.
    """

    lips: str
    beside: str
    lips_alone_ms: float
    lips_beside_high_ms: float
    lips_beside_low_ms: float
    one_after_the_other_ms: float
    at_once_ms: float

    @property
    def gain(self) -> float:
        return self.one_after_the_other_ms / self.at_once_ms


class GpuReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="gpu"):
    """The result of `bench gpu`."""

    device: str
    gpu: str
    compute_capability: str
    cuda_major: int
    versions: dict[str, str]
    networks: list[NetworkFigures]
    speech: list[SpeechFigures] = []
    language_models: list[TokenFigures] = []
    overlap: list[OverlapFigures] = []

    @property
    def has_differences(self) -> bool:
        """Whether something came out otherwise than on the CPU."""
        return "differs" in {outcome for _, outcome, _ in self.lines}

    @property
    def lines(self) -> list[tuple[str, Outcome, str]]:
        """Name, outcome and detail of everything that was tried."""
        return [
            *((row.name, row.outcome, row.detail) for row in self.networks),
            *((row.name, row.outcome, row.detail) for row in self.speech),
            *((row.name, row.outcome, row.detail) for row in self.language_models),
        ]
