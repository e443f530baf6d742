"""What is taken from our server's timeline, who goes first, and what the server is started with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from halfsecond import wire
from halfsecond.config import Config, FaceConfig, PersonaConfig, load
from halfsecond.conversation import Exchange
from halfsecond.recording import Reply, Shown
from halfsecond.timeline import Span
from halfsecond_bench.clips import Clip
from halfsecond_bench.compare.run import server_toml
from halfsecond_bench.compare.sides import (
    Side,
    alternate,
    is_said,
    our_turn,
    recognition_start_s,
)
from halfsecond_bench.compare.threads import candidates, fastest
from halfsecond_bench.compare.turns import SideTurn


def clip(name: str) -> Clip:
    return Clip(
        file=name, transcript="", language="en", kind="real", origin="", licence="",
        last_speech_sample=32_000,
    )  # fmt: skip


class Taken:
    """A side that notes when it was asked."""

    def __init__(self, name: str, log: list[str]) -> None:
        self._name = name
        self._log = log

    async def turn(self, clip: Clip) -> SideTurn:
        self._log.append(f"{self._name} {clip.file}")
        return SideTurn(clip=clip.file)


async def test_a_recording_meets_every_side_before_the_next_and_the_first_changes() -> None:
    log: list[str] = []
    sides: dict[str, Side] = {name: Taken(name, log) for name in "xyz"}
    done: list[int] = []
    taken = await alternate(sides, [clip("a"), clip("b")], turns=3, progress=done.append)
    assert log[3:] == [
        "x a", "y a", "z a", "y b", "z b", "x b", "z a", "x a", "y a",
    ]  # fmt: skip
    assert sorted(log[:3]) == ["x b", "y b", "z b"], "a turn to warm up, which is not counted"
    assert {name: [t.clip for t in turns] for name, turns in taken.items()} == {
        name: ["a", "b", "a"] for name in "xyz"
    }
    assert done == [0, 1, 2, 3]


def test_our_turn_is_counted_from_the_label_and_its_work_from_the_recognition() -> None:
    reply = Reply(1)
    reply.transcript, reply.captions = "When?", ["At five", " in the afternoon."]
    reply.end = wire.TurnEnd(
        turn=1,
        reason="complete",
        marks={"endpoint": 52.3},
        spans=[("asr", "2 s", 52.1, 52.16), ("llm", "answer", 52.16, 52.5)],
    )
    reply.audio.append((52.35, 0.0, np.full(2400, 0.2, np.float32)))
    reply.pictures.append(Shown(52.4, 0.0, b"", True, 0.5, "jpeg", (8, 8)))
    turn = our_turn(clip("a"), Exchange(50.0, reply))
    assert turn.first_audio_ms == pytest.approx(350)
    assert turn.first_frame_ms == pytest.approx(400)
    assert turn.wait_ms == pytest.approx(300)
    assert turn.work_ms == pytest.approx(300)
    assert (turn.heard, turn.answer) == ("When?", "At five in the afternoon.")


def test_an_answer_is_whole_when_its_pictures_have_begun_and_no_more_sound_comes() -> None:
    reply, packet = Reply(1), np.zeros(2400, np.float32)
    assert not is_said(reply, 99.0)
    reply.audio += [(10.0, 0.0, packet), (10.3, 0.1, packet)]
    assert not is_said(reply, 99.0), "no picture has come"
    reply.pictures.append(Shown(10.4, 0.0, b"", True, 0.5, "jpeg", (8, 8)))
    assert not is_said(reply, 10.9)
    assert is_said(reply, 11.1)
    reply.end = wire.TurnEnd(turn=1, reason="complete", marks={}, spans=[])
    assert not is_said(reply, 99.0), "it has ended by itself"


def test_recognition_while_the_visitor_spoke_does_not_shorten_the_work() -> None:
    partial, final = Span("asr", "", -1.0, -0.9), Span("asr", "", 0.1, 0.15)
    thinking, later = Span("llm", "", 0.15, 0.4), Span("asr", "", 2.0, 2.1)
    assert recognition_start_s([partial, final, thinking, later]) == 0.1
    assert recognition_start_s([partial, thinking]) == 0.0
    assert recognition_start_s([]) is None


def test_the_server_reads_the_config_that_it_is_given(tmp_path: Path) -> None:
    config = Config(
        persona=PersonaConfig(facts='The café closes at "five".\nThe shop does not.'),
        face=FaceConfig(threads=2),
    )
    path = tmp_path / "halfsecond.toml"
    path.write_text(server_toml(config, driver="wav2lip", wav2lip="/tmp/int8.onnx"), "utf-8")
    read = load(path)
    assert read.persona == config.persona
    assert (read.face.driver, read.face.wav2lip, read.face.threads) == (
        "wav2lip", "/tmp/int8.onnx", 2,
    )  # fmt: skip
    assert read.log.format == "json"
    assert (read.turn, read.asr, read.llm, read.tts) == (
        config.turn, config.asr, config.llm, config.tts,
    )  # fmt: skip


def test_the_fastest_thread_count_is_that_with_the_least_time_after_a_first_call() -> None:
    now_s = 0.0
    took_s = {1: [0.1, 0.3, 0.3, 0.3], 2: [9.0, 0.2, 4.0, 5.0], 4: [0.1, 0.25, 0.25, 0.25]}

    def make(count: int):  # type: ignore[no-untyped-def]
        times = iter(took_s[count])

        def run() -> None:
            nonlocal now_s
            now_s += next(times)

        return run

    assert fastest([1, 2, 4], make, rounds=3, now=lambda: now_s) == 2
    assert candidates()[0] == 1
