"""Local language models on the questions of the clips: how soon the first words are there, what a
token costs, what it takes, and whether the answers are true."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import msgspec
from rich.console import Console

from halfsecond.config import Config
from halfsecond.models.llm.answerer import Answerer, Message
from halfsecond.models.llm.clauses import ClauseCutter
from halfsecond.models.llm.persona import Persona, build_messages, opening
from halfsecond.models.llm.registry import open_answerer
from halfsecond.stages import openers
from halfsecond.stages.engines import sampling_of
from halfsecond.store import Store
from halfsecond_bench.clips import Clip, questions
from halfsecond_bench.statistics import Distribution, distribution
from halfsecond_bench.tables import plain_table

REFERENCE = "smollm2-135m-int8"
"""What others are compared with, where it is fetched: the same weights on CTranslate2."""

# Pieces that come within this time were made by one pass of the network, which takes longer.
_SAME_PASS_S = 0.002


class AnswererFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One model with one number of threads; its opening was taken in before."""

    model: str
    threads: int
    load_s: float
    memory_mb: float
    """Resident memory of a process that loaded it and answered once, less that of one without."""
    first_token_ms: Distribution
    first_clause_ms: Distribution
    """Until the first clause that can be spoken is certain."""
    answer_ms: Distribution
    token_ms: Distribution
    """A whole answer after its first token, by its further tokens."""
    tokens_a_pass: float
    true_answers: int
    n_questions: int


@dataclass
class _Side:
    """A model while it is measured."""

    model: str
    path: Path
    threads: int
    answerer: Answerer
    load_s: float
    firsts: list[float | None] = field(default_factory=list)
    clauses: list[float | None] = field(default_factory=list)
    wholes: list[float | None] = field(default_factory=list)
    tokens: list[float | None] = field(default_factory=list)
    n_pieces: int = 0
    n_passes: int = 0
    said: dict[str, str] = field(default_factory=dict)


def measure_answerers(
    config: Config, store: Store, clips: Sequence[Clip], *, rounds: int
) -> list[AnswererFigures]:
    """The model of the config with one and two threads, and `REFERENCE`; all take turns on every
    question, so that another load meets all. The first round warms up."""
    if config.llm.kind != "local":
        return []
    wanted = [(config.llm.model, 1), (config.llm.model, 2)]
    if config.llm.model != REFERENCE and store.condition(REFERENCE).state == "fetched":
        wanted.append((REFERENCE, 1))
    persona = openers.open_persona(config)
    sides = [_open(model, store.path(model), threads) for model, threads in wanted]
    asked = questions(list(clips))
    for number in range(rounds + 1):
        for clip in asked:
            messages = build_messages(persona, [], clip.transcript)
            for side in sides:
                side.answerer.prefill(opening(persona, []))
                _answer(side, clip.file, messages, config, is_counted=number > 0)
    for side in sides:
        side.answerer.close()
    return [_figures(side, asked, persona) for side in sides]


def _open(model: str, path: Path, threads: int) -> _Side:
    started_s = time.perf_counter()
    answerer = open_answerer("local", model_path=path, threads=threads)
    return _Side(model, path, threads, answerer, time.perf_counter() - started_s)


def _answer(
    side: _Side, name: str, messages: list[Message], config: Config, *, is_counted: bool
) -> None:
    cutter = ClauseCutter()
    arrived: list[float] = []
    clause_s: float | None = None
    text = ""
    started_s = time.perf_counter()
    pieces = side.answerer.answer(
        messages, sampling=sampling_of(config), is_cancelled=lambda: False
    )
    for piece in pieces:
        arrived.append(time.perf_counter() - started_s)
        text += piece
        if clause_s is None and cutter.push(piece):
            clause_s = arrived[-1]
    whole_s = time.perf_counter() - started_s
    side.said[name] = text
    if not is_counted:
        return
    gaps = [later - sooner for sooner, later in pairwise(arrived)]
    side.firsts.append(1000 * arrived[0])
    side.clauses.append(1000 * (whole_s if clause_s is None else clause_s))
    side.wholes.append(1000 * whole_s)
    side.tokens.append(1000 * (whole_s - arrived[0]) / max(1, len(arrived) - 1))
    side.n_pieces += len(arrived)
    side.n_passes += 1 + sum(gap > _SAME_PASS_S for gap in gaps)


def _figures(side: _Side, asked: Sequence[Clip], persona: Persona) -> AnswererFigures:
    return AnswererFigures(
        model=side.model,
        threads=side.threads,
        load_s=round(side.load_s, 3),
        memory_mb=memory_mb(side.path, opening(persona, []), side.threads),
        first_token_ms=distribution(side.firsts),
        first_clause_ms=distribution(side.clauses),
        answer_ms=distribution(side.wholes),
        token_ms=distribution(side.tokens),
        tokens_a_pass=round(side.n_pieces / side.n_passes, 2),
        true_answers=sum(clip.is_answered_by(side.said[clip.file]) for clip in asked),
        n_questions=len(asked),
    )


_CHILD = """
import sys
from pathlib import Path
import msgspec
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.registry import open_answerer
path, threads = Path(sys.argv[1]), int(sys.argv[2])
messages = msgspec.json.decode(sys.stdin.buffer.read(), type=list[Message])
def resident_kb():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
import ctranslate2, onnxruntime, tokenizers
before = resident_kb()
answerer = open_answerer("local", model_path=path, threads=threads)
answerer.prefill(messages)
question = [*messages, Message("user", "When do you close?")]
list(answerer.answer(question, sampling=Sampling(), is_cancelled=lambda: False))
print((resident_kb() - before) / 1024)
"""


def memory_mb(path: Path, messages: Sequence[Message], threads: int) -> float:
    """What a model takes, seen in a process of its own that answers once."""
    command = [sys.executable, "-c", _CHILD, str(path), str(threads)]
    done = subprocess.run(  # noqa: S603
        command, input=msgspec.json.encode(messages), capture_output=True, check=True
    )
    return round(float(done.stdout), 1)


def print_answerers(figures: Sequence[AnswererFigures], console: Console) -> None:
    """A line a model: medians, with the 95th percentile of the first clause."""
    table = plain_table(
        "answerer", "threads", "first token, ms", "first clause, ms (p95)", "answer, ms",
        "token, ms", "tokens a pass", "true", "load, s", "memory, MB",
    )  # fmt: skip
    for f in figures:
        table.add_row(
            f.model, str(f.threads), f"{f.first_token_ms.p50:.0f}",
            f"{f.first_clause_ms.p50:.0f} ({f.first_clause_ms.p95:.0f})", f"{f.answer_ms.p50:.0f}",
            f"{f.token_ms.p50:.1f}", f"{f.tokens_a_pass:.1f}",
            f"{f.true_answers} of {f.n_questions}", f"{f.load_s:.2f}", f"{f.memory_mb:.0f}",
        )  # fmt: skip
    console.print(table)
