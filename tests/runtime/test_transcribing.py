"""Partial and final transcripts of one utterance, on a recogniser that is made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.engines import FakeStage
from halfsecond.errors import StageError
from halfsecond.models.asr.recognizer import Transcript, Word
from halfsecond.models.asr.words import split_words
from halfsecond.stages.asr import AsrRequest
from halfsecond.stages.host import StageHost
from halfsecond.stages.local import LocalStage
from halfsecond.stages.remote import RemoteStage
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.transcribing import FIRST_S, INTERVAL_S, LiveTranscript

RATE_HZ = 16_000
WORD_S = 0.5

Handle = StageHandle[AsrRequest, Transcript]


class CountingAsr(FakeStage):
    """Hears one number every half second of `count_aloud`."""

    name: ClassVar[str] = "asr"
    request_type: ClassVar[Any] = AsrRequest
    reply_type: ClassVar[Any] = Transcript

    def run(self, request: AsrRequest, cancel: Cancel) -> Iterator[Transcript]:
        self.take(request)
        begin_s, end_s = float(request.samples[0]), float(request.samples[-1])
        said = range(round(begin_s / WORD_S), int(end_s // WORD_S))
        words = tuple(Word(f" {number}", max(0.0, number * WORD_S - begin_s)) for number in said)
        known = len(split_words(request.begins_with))
        assert text_of(words[:known]) == request.begins_with, "the audio begins elsewhere"
        text = text_of(words[known:])
        yield Transcript(
            text if known else text.strip(),
            "en",
            0.1,
            -0.2,
            len(request.samples) / RATE_HZ + 1,
            words=words if request.has_times else (),
        )

    @property
    def heard_s(self) -> list[float]:
        """Length of the audio of each request."""
        return [len(request.samples) / RATE_HZ for request in self.requests]


def text_of(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words)


def count_aloud(seconds: float) -> NDArray[np.float32]:
    """Audio that says with each sample when it was said, in seconds."""
    return (np.arange(int(seconds * RATE_HZ) + 1) / RATE_HZ).astype(np.float32)


def numbers(seconds: float) -> str:
    """What is said in that time."""
    return " ".join(str(number) for number in range(int(seconds / WORD_S)))


@asynccontextmanager
async def opened(kind: str, stage: CountingAsr, folder: Path) -> AsyncIterator[Handle]:
    handle: Handle = LocalStage(stage)
    host = None
    if kind == "ipc":
        host = StageHost(stage, f"ipc://{folder}/asr.ipc")
        handle = RemoteStage("asr", await host.open(), reply_type=Transcript)
    await handle.open()
    try:
        yield handle
    finally:
        stage.gate.set()
        await handle.close()
        if host is not None:
            await host.close()


async def speak(live: LiveTranscript, seconds: float, *, step_s: float = 0.25) -> None:
    """Offers the utterance as it grows."""
    for step in range(1, int(seconds / step_s) + 1):
        await live.partial(count_aloud(step * step_s))


@pytest.mark.parametrize("kind", ["local", "ipc"])
async def test_a_long_speech_is_written_whole_and_its_end_costs_only_the_tail(
    kind: str, tmp_path: Path
) -> None:
    stage = CountingAsr()
    async with opened(kind, stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        await speak(live, 20)
        whole = await live.final(count_aloud(20.2), Cancel())
    assert whole is not None
    assert whole.text == numbers(20)
    assert stage.heard_s[-1] < 7
    assert max(stage.heard_s) < 8
    assert live.settled == numbers(20)[: len(live.settled)]
    assert len(live.settled.split()) > 20


async def test_a_short_question_is_heard_once_and_as_it_is(tmp_path: Path) -> None:
    stage = CountingAsr()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        await speak(live, FIRST_S - 0.1)
        samples = count_aloud(FIRST_S - 0.1)
        whole = await live.final(samples, Cancel())
    assert whole is not None
    assert whole.text == numbers(FIRST_S - 0.1)
    (request,) = stage.requests
    assert (request.prompt, request.begins_with, request.has_times) == ("", "", False)
    assert len(request.samples) == len(samples)


async def test_partials_come_at_their_interval_and_say_how_far_they_heard(tmp_path: Path) -> None:
    stage = CountingAsr()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        await speak(live, FIRST_S - 0.25)
        assert (live.best.text, live.best.heard_samples) == ("", 0)
        await speak(live, FIRST_S + INTERVAL_S - 0.25)
    assert len(stage.requests) == 1
    assert live.best.text == numbers(FIRST_S)
    assert live.best.heard_samples == len(count_aloud(FIRST_S))
    assert not live.is_due(len(count_aloud(FIRST_S + INTERVAL_S - 0.25)))
    assert live.is_due(len(count_aloud(FIRST_S + INTERVAL_S)))


async def test_one_partial_is_under_way_at_most(tmp_path: Path) -> None:
    stage = CountingAsr()
    stage.gate.clear()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        first = asyncio.create_task(live.partial(count_aloud(5)))
        await until(lambda: bool(stage.requests))
        await live.partial(count_aloud(9))
        stage.gate.set()
        await first
    assert len(stage.requests) == 1
    assert live.best.text == numbers(5)


async def test_no_partial_waits_in_front_of_another_visitor(tmp_path: Path) -> None:
    stage = CountingAsr()
    stage.gate.clear()
    async with opened("local", stage, tmp_path) as asr:
        other = asyncio.create_task(
            LiveTranscript(asr, language="en").final(count_aloud(2), Cancel())
        )
        await until(lambda: bool(stage.requests))
        await LiveTranscript(asr, language="en").partial(count_aloud(9))
        stage.gate.set()
        await other
    assert len(stage.requests) == 1


async def test_a_partial_that_is_late_changes_nothing_for_the_final(tmp_path: Path) -> None:
    stage = CountingAsr()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        await speak(live, 5.5)
        stage.gate.clear()
        late = asyncio.create_task(live.partial(count_aloud(6.5)))
        await until(lambda: len(stage.requests) == 3)
        final = asyncio.create_task(live.final(count_aloud(7), Cancel()))
        await asyncio.sleep(0)
        stage.gate.set()
        await late
        whole = await final
    assert whole is not None
    assert whole.text == numbers(7)
    assert live.settled == ""
    assert live.best.heard_samples == len(count_aloud(7))


async def test_speech_goes_on_after_a_final_that_was_a_guess(tmp_path: Path) -> None:
    stage = CountingAsr()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        await speak(live, 9)
        guess = await live.final(count_aloud(9.5), Cancel())
        for seconds in (10, 11, 12, 13, 14):
            await live.partial(count_aloud(seconds))
        whole = await live.final(count_aloud(14.5), Cancel())
    assert guess is not None
    assert whole is not None
    assert guess.text == numbers(9.5)
    assert whole.text == numbers(14.5)
    assert stage.heard_s[-1] < 7


async def test_a_cancelled_final_gives_nothing(tmp_path: Path) -> None:
    stage = CountingAsr()
    cancel = Cancel()
    cancel.set()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        assert await live.final(count_aloud(3), cancel) is None
    assert live.best.text == ""


async def test_a_partial_that_fails_costs_the_utterance_nothing(tmp_path: Path) -> None:
    stage = CountingAsr()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        stage.fault = "the engine tripped"
        await speak(live, 20)
        whole = await live.final(count_aloud(20), Cancel())
    assert whole is not None
    assert whole.text == numbers(20)


async def test_a_final_that_fails_says_why(tmp_path: Path) -> None:
    stage = CountingAsr()
    async with opened("local", stage, tmp_path) as asr:
        live = LiveTranscript(asr, language="en")
        stage.fault = "the engine tripped"
        with pytest.raises(StageError, match="the engine tripped"):
            await live.final(count_aloud(3), Cancel())


async def until(is_so: Callable[[], bool]) -> None:
    """Lets the loop and the stage's thread go on until it is so."""
    while not is_so():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
