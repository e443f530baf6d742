"""`bench turns` from sound to figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halfsecond.config import Config
from halfsecond.errors import ConfigError
from halfsecond.models.turn.endpoint import EndpointConfig
from halfsecond.store import Store
from halfsecond_bench import turn_plot, turn_report
from halfsecond_bench.clips import load_clips
from halfsecond_bench.commands.turns import print_half
from halfsecond_bench.turn_clips import Pause, TurnClip, folder_of, recordings
from halfsecond_bench.turn_traces import Judges, Opinion, Silence, Trace
from halfsecond_bench.turns import halves_of


def test_a_half_is_called_by_its_name() -> None:
    assert halves_of("test") == ["test"]
    assert halves_of("both") == ["tuning", "test"]
    with pytest.raises(ConfigError, match="tuning, test or both"):
        halves_of("dev")


def test_a_report_is_printed_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opinion = Opinion(
        text="Where is the", text_s=0.05, completeness=0.1, completeness_s=0.05,
        sentence_end=0.001, sentence_end_s=0.02,
    )  # fmt: skip
    silences = [
        Silence(
            last_sample=at, fell_sample=at + 960, paused_sample=at + 1920, resumed_sample=resumed,
            opinion=opinion,
        )
        for at, resumed in ((16_000, 48_960), (80_000, None))
    ]  # fmt: skip
    clip = TurnClip(
        name="clip", half="test", way="apart", text="", voice="", last_speech_sample=80_000,
        pauses=[Pause(16_000, 48_000, "broken")],
    )  # fmt: skip
    config = EndpointConfig()
    report = turn_report.half_report("test", [Trace(clip, silences)], config, reopen_s=1.5)
    print_half(report)
    assert "broken 1 of 1" in capsys.readouterr().out.replace("\n", " ")
    assert report.recovery.repaired.hits == 0
    picture = tmp_path / "turns.png"
    turn_plot.write(report, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.models
def test_what_a_person_said_is_known_in_each_pause(
    model_dir: Callable[[str], Path], clips_dir: Path
) -> None:
    for name in ("silero-vad", "smart-turn", "whisper-tiny.en", "smollm2-135m-onnx"):
        model_dir(name)
    judges = Judges(Config(), Store.default())
    clips = {
        clip.name: (clip, samples)
        for clip, samples in recordings(load_clips(clips_dir), folder_of(clips_dir))
    }
    clip, samples = clips["jfk"]
    trace = judges.trace(clip, samples)
    judges.close()
    for pause in clip.pauses:
        seen = [s for s in trace.silences if abs(s.last_sample - pause.start) < 1920]
        assert len(seen) == 1
        assert abs((seen[0].resumed_sample or 0) - pause.end) < 1920
    first, *_, last = trace.silences
    assert first.opinion.text.lower().startswith("and so my fellow americans")
    assert "country can do for you" in last.opinion.text.lower()
    assert first.opinion.sentence_end is not None
    assert 0 <= first.opinion.sentence_end < 0.1
