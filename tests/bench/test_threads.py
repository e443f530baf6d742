"""Which number of threads is recommended, and what is timed, on engines that are made up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from halfsecond.config import AsrConfig, Config, FaceConfig, LlmConfig
from halfsecond.errors import StageError
from halfsecond.stages.stage import Cancel
from halfsecond_bench.clips import default_folder, load_clips, questions
from halfsecond_bench.statistics import distribution
from halfsecond_bench.threads import Work, engines, measure, time_lanes, with_threads
from halfsecond_bench.threads_report import Row, candidates, recommend


def row(count: int, *, together_ms: float, others_ms: float, alone_ms: float = 100.0) -> Row:
    return Row(
        engine="llm",
        threads=count,
        first_ms=distribution([alone_ms]),
        whole_ms=distribution([alone_ms]),
        together_ms=distribution([together_ms]),
        others_ms=distribution([others_ms]),
    )


class Meeting:
    """Waits for another stage at its first reply, and takes note of what it was asked."""

    name: ClassVar[str] = "asr"
    request_type: ClassVar[Any] = str
    reply_type: ClassVar[Any] = str

    def __init__(self, other: threading.Barrier | None = None) -> None:
        self.asked: list[str] = []
        self._other = other

    def open(self) -> None:
        pass

    def run(self, request: str, cancel: Cancel) -> Iterator[str]:
        if request == "fail":
            raise StageError("cannot")
        self.asked.append(request)
        if self._other is not None:
            self._other.wait(20)
        yield "first"
        time.sleep(0.01)
        yield "last"

    def health(self) -> str:
        return "here"

    def close(self) -> None:
        pass


def test_a_second_thread_that_slows_the_company_down_is_not_recommended() -> None:
    slower = row(2, together_ms=70, others_ms=160, alone_ms=50)
    assert recommend([row(1, together_ms=100, others_ms=100), slower]) == 1


def test_a_second_thread_that_pays_in_company_is_recommended() -> None:
    assert (
        recommend([row(1, together_ms=100, others_ms=100), row(2, together_ms=60, others_ms=110)])
        == 2
    )


def test_a_second_thread_that_harms_nobody_is_recommended_for_a_sooner_first_reply() -> None:
    rows = [
        row(1, together_ms=100, others_ms=100, alone_ms=42),
        row(2, together_ms=101, others_ms=102, alone_ms=34),
    ]
    assert recommend(rows) == 2


def test_threads_that_save_less_than_a_twentieth_are_left_to_others() -> None:
    rows = [row(count, together_ms=100 - count, others_ms=100) for count in (1, 2, 3, 4)]
    assert recommend(rows) == 1


@pytest.mark.parametrize(
    ("cores", "tried"),
    [(1, [1]), (2, [1, 2]), (4, [1, 2, 3, 4]), (10, [1, 2, 3, 4, 6, 8, 10])],
)
def test_every_few_numbers_up_to_the_cores_are_tried(cores: int, tried: list[int]) -> None:
    assert candidates(cores) == tried


def test_the_threads_of_a_stage_are_set_in_its_section() -> None:
    config = Config(asr=AsrConfig(threads=1), face=FaceConfig(threads=1))
    changed = with_threads(config, "lipsync", 2)
    assert (changed.face.threads, changed.asr.threads) == (2, 1)
    assert config.face.threads == 1


def test_an_answerer_that_is_elsewhere_is_not_tried() -> None:
    elsewhere = Config(llm=LlmConfig(kind="openai", base_url="http://127.0.0.1:1/v1"))
    assert engines(elsewhere) == ["asr", "tts", "face"]
    assert "llm" in engines(Config())


def test_lanes_run_at_the_same_time() -> None:
    barrier = threading.Barrier(2)
    works = [Work(Meeting(barrier), ["one"]), Work(Meeting(barrier), ["two"])]
    times = time_lanes([[work] for work in works])  # in turn they would never meet
    assert all(last_ms - first_ms >= 10 for first_ms, last_ms in times)


def test_the_works_of_a_lane_follow_one_another() -> None:
    stage = Meeting()
    first_ms, last_ms = time_lanes(
        [[Work(stage, ["one"], before=["zero"]), Work(stage, ["two", "three"])]]
    )[0]
    assert stage.asked == ["zero", "one", "two", "three"]
    assert last_ms - first_ms >= 3 * 10


def test_the_fault_of_a_stage_is_raised() -> None:
    with pytest.raises(StageError, match="cannot"):
        time_lanes([[Work(Meeting(), ["fail"])], [Work(Meeting(), ["one"])]])


@pytest.mark.models
def test_every_engine_of_the_default_config_is_tried_alone_and_in_company() -> None:
    clip = questions(load_clips(default_folder()))[0]
    report = measure(Config(), clip, profile="default", cores=1, rounds=1)
    assert [row.engine for row in report.rows] == ["asr", "tts", "face", "llm"]
    assert report.recommended == dict.fromkeys(("asr", "tts", "face", "llm"), 1)
    for tried in report.rows:
        assert 0 < tried.first_ms.p50 <= tried.whole_ms.p50
        assert tried.together_ms.p50 > 0
        assert tried.others_ms.p50 > 0
    voice = next(tried for tried in report.rows if tried.engine == "tts")
    assert voice.first_ms.p50 > 1  # spoken anew, not remembered
    face = next(tried for tried in report.rows if tried.engine == "face")
    assert face.first_ms.p50 < face.whole_ms.p50 / 2  # a picture of some 25
