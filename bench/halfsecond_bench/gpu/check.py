"""The whole check: is there a GPU that can be used, and does all that is here run on it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from halfsecond.errors import HalfsecondError, NoGpuError
from halfsecond.gpu import Gpu, this_gpu
from halfsecond.sessions.cuda import open_cuda
from halfsecond_bench.gpu import networks, speech
from halfsecond_bench.gpu.candidates import Candidate
from halfsecond_bench.gpu.figures import (
    GpuReport,
    NetworkFigures,
    OverlapFigures,
    SpeechFigures,
    TokenFigures,
)
from halfsecond_bench.gpu.language import check_language_model
from halfsecond_bench.gpu.overlap import check_overlap
from halfsecond_bench.statistics import device, versions

Progress = Callable[[str], None]
"""Told what is run now."""


@dataclass(frozen=True)
class Tools:
    """What is asked of the machine; other ones in tests."""

    find_gpu: Callable[[], Gpu] = this_gpu
    open_gpu: networks.OpenGpu = open_cuda
    check_speech: Callable[[Candidate, speech.Recordings], SpeechFigures] = speech.check_speech
    check_language_model: Callable[[Candidate], TokenFigures] = check_language_model


def usable_gpu(tools: Tools) -> Gpu:
    """The GPU, if the driver, its bindings for Python and one of its libraries are here.

    Raises NoGpuError, with the first thing that is missing.
    """
    gpu = tools.find_gpu()
    try:
        cuda = tools.open_gpu()
    except HalfsecondError as error:
        raise NoGpuError(f"{gpu.name} cannot be used: {error}") from error
    cuda.close()
    return gpu


def check_all(
    candidates: Sequence[Candidate],
    recordings: speech.Recordings,
    *,
    rounds: int,
    tools: Tools | None = None,
    progress: Progress = lambda _: None,
) -> GpuReport:
    """Runs everything on both, one after another; nothing else should run meanwhile.

    Raises NoGpuError as `usable_gpu`.
    """
    tools = tools or Tools()
    gpu = usable_gpu(tools)
    figures: list[NetworkFigures] = []
    heard: list[SpeechFigures] = []
    answered: list[TokenFigures] = []
    for candidate in candidates:
        progress(candidate.name)
        if candidate.form in ("network", "engine"):
            figures.append(networks.check(candidate, rounds=rounds, open_gpu=tools.open_gpu))
        elif candidate.form == "llm":
            answered.append(tools.check_language_model(candidate))
        else:
            heard.append(tools.check_speech(candidate, recordings))
    progress("two streams at once")
    return GpuReport(
        device=device(),
        gpu=gpu.name,
        compute_capability=gpu.compute_capability,
        cuda_major=gpu.cuda_major,
        versions=versions(),
        networks=figures,
        speech=heard,
        language_models=answered,
        overlap=_overlaps(candidates, figures, rounds, tools),
    )


def _overlaps(
    candidates: Sequence[Candidate],
    figures: Sequence[NetworkFigures],
    rounds: int,
    tools: Tools,
) -> list[OverlapFigures]:
    """The lips beside the network that takes longest on the GPU, of those that ran there."""
    ran = {row.name: row for row in figures if row.device_ms is not None}
    by_name = {candidate.name: candidate for candidate in candidates}
    lips = [name for name in ran if _is_lips(by_name[name])]
    others = sorted((name for name in ran if name not in lips), key=lambda n: -_device_ms(ran[n]))
    if not lips or not others:
        return []
    fastest = min(lips, key=lambda name: _device_ms(ran[name]))
    pair = by_name[fastest], by_name[others[0]]
    return [check_overlap(*pair, rounds=rounds, open_gpu=tools.open_gpu)]


def _is_lips(candidate: Candidate) -> bool:
    kind = candidate.artifact.kind if candidate.artifact else candidate.path.stem
    return "wav2lip" in kind.lower()


def _device_ms(row: NetworkFigures) -> float:
    return row.device_ms.p50 if row.device_ms else 0.0
