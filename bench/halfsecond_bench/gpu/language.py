"""A language model of CTranslate2 on the CPU and on the GPU: the same tokens, and how fast."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from halfsecond.errors import HalfsecondError
from halfsecond.models.ctranslate2_device import ctranslate2_device
from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.chat_prompt import ChatPrompt
from halfsecond.sessions import Device
from halfsecond_bench.gpu.candidates import Candidate
from halfsecond_bench.gpu.figures import TokenFigures

TOKENS = 48
"""Of one answer; an answer in a turn has some twenty."""
LEAST_SAME = 8
"""Tokens that must be the same: CPU and GPU multiply INT8 with other arithmetic around it (float32
and float16), so two tokens that are nearly as likely may change places later on."""

_MESSAGES = (
    Message("system", "You are a guide in a museum of space. Answer in a sentence or two."),
    Message("user", "How did people first travel to the moon, and who were they?"),
)

Generate = Callable[[Path, Device, int], tuple[list[int], float]]
"""Greedy tokens, and the milliseconds of all after the first."""


def generate(path: Path, device: Device, tokens: int) -> tuple[list[int], float]:
    """Opens the model and answers a fixed question twice, of which the second is timed."""
    generator, prompt = _open(path, device), ChatPrompt(path)
    names = list(prompt.names(prompt.ids(_MESSAGES)))
    _tokens(generator, names, tokens)
    return _tokens(generator, names, tokens)


def check_language_model(candidate: Candidate, *, generate: Generate = generate) -> TokenFigures:
    """The same greedy tokens on both, as far as they go."""
    try:
        expected, cpu_ms = generate(candidate.path, "cpu", TOKENS)
        found, gpu_ms = generate(candidate.path, "cuda", TOKENS)
    except HalfsecondError as error:
        return TokenFigures(name=candidate.name, outcome="not run", detail=str(error))
    pairs = zip(expected, found, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    is_same = same >= min(LEAST_SAME, len(expected))
    return TokenFigures(
        name=candidate.name,
        outcome="same" if is_same else "differs",
        tokens=len(expected),
        same_tokens=same,
        cpu_token_ms=cpu_ms / max(len(expected) - 1, 1),
        gpu_token_ms=gpu_ms / max(len(found) - 1, 1),
    )


def _open(path: Path, device: Device) -> Any:
    import ctranslate2

    where, arithmetic = ctranslate2_device(path, device, compute_type="", on_cpu="default")
    return ctranslate2.Generator(str(path), device=where, compute_type=arithmetic)


def _tokens(generator: Any, prompt: Sequence[str], most: int) -> tuple[list[int], float]:
    found: list[int] = []
    started_s = time.perf_counter()
    for step in generator.generate_tokens(list(prompt), max_length=most, sampling_topk=1):
        if not found:
            started_s = time.perf_counter()
        found.append(step.token_id)
    return found, 1000 * (time.perf_counter() - started_s)
