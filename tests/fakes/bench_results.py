"""Results of the harness that are made up: their truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from halfsecond.timeline import Span, Timeline
from halfsecond_bench.results import Result, read_result
from halfsecond_bench.statistics import distribution

DEVICE = "Made-up Processor, 2 cores, 24 GiB, Linux"
ORIGIN_S = 1000.0
QUESTIONS = [f"q{number}.flac" for number in range(14)]


def turn(
    question: str = "When do you close?",
    *,
    pause_ms: float = 100,
    asr_ms: float = 50,
    llm_ms: float = 120,
    tts_ms: float = 20,
    delivery_ms: float = 1,
    lips_ms: float = 10,
    endpoint_ms: float = 250,
) -> Timeline:
    """One stage after the other; the answer is held until the endpoint when that comes later."""
    asr, llm = pause_ms, pause_ms + asr_ms
    tts, chunk = llm + llm_ms, llm + llm_ms + tts_ms
    heard = max(chunk, endpoint_ms) + delivery_ms
    moments = {
        "last_speech": 0.0, "begun": asr, "endpoint": endpoint_ms, "llm_first_clause": tts,
        "tts_first_chunk": chunk, "first_audio_heard": heard, "first_frame_seen": heard + lips_ms,
    }  # fmt: skip
    spans = [
        ("asr", asr, llm), ("llm", llm, tts + 300), ("tts", tts, chunk + 5),
        ("lipsync", heard, heard + 500),
    ]  # fmt: skip
    return Timeline(
        turn=1,
        marks={name: ORIGIN_S + at_ms / 1000 for name, at_ms in moments.items()},
        spans=[Span(s, "", ORIGIN_S + a / 1000, ORIGIN_S + b / 1000) for s, a, b in spans],
        question=question,
        answer="At five.",
    )


def row(clip: str, timeline: Timeline) -> dict[str, Any]:
    """What `per_turn` says of a turn."""
    marks = timeline.relative().marks
    return {
        "clip": clip,
        "voice_to_first_audio_ms": 1000 * marks["first_audio_heard"],
        "voice_to_first_frame_ms": 1000 * marks["first_frame_seen"],
        "endpoint_wait_ms": 1000 * marks["endpoint"],
        "fps": 25.0,
        "gaps": 0,
        "av_offset_ms": -20.0,
    }


def result_data(turns: Sequence[tuple[str, Timeline]], **more: object) -> dict[str, Any]:
    """The JSON of a latency result; `more` adds keys or replaces them."""
    rows = [row(clip, timeline) for clip, timeline in turns]
    spread = {
        key: msgspec.to_builtins(distribution([r[key] for r in rows]))
        for key in (
            "voice_to_first_audio_ms", "voice_to_first_frame_ms", "endpoint_wait_ms", "fps",
        )
    }  # fmt: skip
    said = {"kind": "synthetic", "answer": "At five.", "is_true": True}
    data: dict[str, Any] = {
        "kind": "latency",
        "turns": len(rows),
        "profile": "default",
        "device": DEVICE,
        "versions": {"python": "3.11.7"},
        "threads": {"asr": 1},
        **spread,
        "gaps": 0,
        "false_cutoffs": 0,
        "true_answers": len(rows),
        "unanswered": [],
        "rss_mb": 800.0,
        "per_turn": rows,
        "timelines": [msgspec.to_builtins(timeline) for _, timeline in turns],
        "transcripts": [
            {**said, "clip": clip, "reference": t.question, "hypothesis": t.question}
            for clip, t in turns
        ],
    }
    return data | more


def write_result(path: Path, data: Mapping[str, Any]) -> Path:
    """The file that `bench latency --json` would have written."""
    path.write_bytes(msgspec.json.encode(data))
    return path


def result(folder: Path, turns: Sequence[tuple[str, Timeline]], **more: object) -> Result:
    """The same, read back."""
    return read_result(write_result(folder / "result.json", result_data(turns, **more)))
