"""Every figure that the page shows and the gate judges: a line here is all that a new one needs.

A line whose key a result lacks is left out. The value may be a distribution or a number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MILLISECONDS = "ms"


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A figure of a report: its key, what people call it, and what is wanted of it."""

    key: str
    label: str
    unit: str = MILLISECONDS
    """"ms"; "share" is shown in percent."""
    of: str | None = None
    """The key of the number that it is a part of: shown and judged as a rate, with its interval."""
    p50_target: float | None = None
    """At most; of a number that is no distribution, of the number itself."""
    p95_target: float | None = None
    floor: float | None = None
    """The gate compares values turn by turn; a change smaller than this concerns nobody."""
    allowance: float | None = None
    """One value a run, so no noise is known: the gate allows this share more."""
    is_more_better: bool = False


def shown(unit: str, value: float) -> str:
    """A value with its unit, as few digits as it is worth."""
    return _SHOWN.get(unit, _with_unit)(value, unit)


def _with_unit(value: float, unit: str) -> str:
    digits = 0 if abs(value) >= 100 or float(value).is_integer() else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".strip()


def _milliseconds(value: float, unit: str) -> str:
    return f"{value:.0f} {unit}" if abs(value) >= 10 else f"{value:.1f} {unit}"


def _percent(value: float, _: str) -> str:
    return f"{100 * value:.1f} %"


_SHOWN: dict[str, Callable[[float, str], str]] = {"ms": _milliseconds, "share": _percent}

FIRST_AUDIO = Quantity(
    key="voice_to_first_audio_ms", label="last word → first sound",
    p50_target=300, p95_target=500, floor=10,
)  # fmt: skip
FIRST_FRAME = Quantity(
    key="voice_to_first_frame_ms", label="last word → first moving lips",
    p50_target=350, p95_target=550, floor=10,
)  # fmt: skip
WAITS = (FIRST_AUDIO, FIRST_FRAME)
"""What a visitor feels. The targets are those of the project."""

HUMAN_GAP_MS = 200
"""What people leave between turns, across ten languages (Stivers et al. 2009, PNAS 106:10587)."""

TURN_TAKING = (
    Quantity(key="endpoint_wait_ms", label="last word → turn confirmed", floor=10),
    Quantity(key="false_cutoffs", label="visitors cut off", unit="", of="turns", p50_target=0),
    Quantity(
        key="barge_in_pause_ms", label="visitor speaks → answer silent", p95_target=250, floor=10
    ),
    Quantity(key="decision_to_pause_ms", label="decision → answer silent", p95_target=40, floor=5),
    Quantity(key="abandon_ms", label="visitor speaks → answer dropped", floor=20),
    Quantity(
        key="barge_in.missed_interruptions", label="interruptions missed", unit="", p50_target=0
    ),
    Quantity(
        key="barge_in.answers_abandoned", label="answers dropped for a cough, click or mm-hm",
        unit="", of="barge_in.false_alarms", p50_target=0,
    ),
    Quantity(
        key="barge_in.resumed_late", label="answers that went on late after one",
        unit="", of="barge_in.false_alarms", p50_target=0,
    ),
    Quantity(key="wasted_speculation_ms", label="work on answers begun and dropped", floor=20),
)  # fmt: skip

STAGES = (
    Quantity(key="asr_ms", label="speech recognition", floor=5),
    Quantity(key="llm_first_clause_ms", label="language model → first clause", floor=10),
    Quantity(key="tts_first_chunk_ms", label="voice → first samples", floor=5),
    Quantity(key="lipsync_first_batch_ms", label="lips → first picture", floor=5),
)

PLAYBACK = (
    Quantity(key="av_offset_ms", label="sound against lips, absolute", p50_target=40, floor=10),
    Quantity(
        key="fps", label="pictures on time, a second", unit="", floor=0.5, is_more_better=True
    ),
    Quantity(key="gaps", label="gaps in playback", unit="", p50_target=0),
)

WORDS = (
    Quantity(key="wer", label="words misheard", unit="share", floor=0.01),
    Quantity(key="true_answers", label="true answers", unit="", of="turns", is_more_better=True),
    Quantity(
        key="unanswered", label="questions without an answer", unit="", of="turns", p50_target=0
    ),
)

MACHINE = (
    Quantity(
        key="runtime_overhead_ms", label="the runtime's own work a turn", p95_target=5, floor=1
    ),
    Quantity(key="loop_cpu_share", label="event loop, of one core", unit="share", p50_target=0.05),
    Quantity(key="cpu_share", label="processor, in cores", unit="", allowance=0.15),
    Quantity(key="others_cpu_share", label="processor, everything else", unit=""),
    Quantity(key="rss_mb", label="memory", unit="MB", allowance=0.1),
    Quantity(key="rss_peak_mb", label="memory, most", unit="MB", allowance=0.1),
    Quantity(key="ready_s", label="start → ready", unit="s", allowance=0.25),
)

GROUPS: tuple[tuple[str, tuple[Quantity, ...]], ...] = (
    ("What a visitor waits", WAITS),
    ("Taking turns", TURN_TAKING),
    ("Each stage", STAGES),
    ("Playback", PLAYBACK),
    ("Words", WORDS),
    ("The machine", MACHINE),
)

ALONE = (
    Quantity(key="needed_ms", label="speech recognition, a clip", floor=5),
    Quantity(key="llm_first_token_ms", label="language model, first token", allowance=0.15),
    Quantity(key="llm_token_ms", label="language model, each further token", allowance=0.15),
    Quantity(key="tts_real_time_factor", label="voice, of real time", unit="", allowance=0.15),
    Quantity(key="mesh_frame_ms", label="mesh driver, a frame", allowance=0.15),
)
"""Of `bench stages`."""

COLD_AND_WARM = (
    ("first sound", "cold_voice_to_first_audio_ms", "voice_to_first_audio_ms"),
    ("first moving lips", "cold_voice_to_first_frame_ms", "voice_to_first_frame_ms"),
)
"""The first turn after a start beside the later ones."""
