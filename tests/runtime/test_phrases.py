"""Greetings, openings, preset answers, and the voice's memory of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
import numpy as np

from fakes.engines import FakeEngines
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.config import Config, PhrasesConfig, PresetQuestion
from halfsecond.conversation import Visitor
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, SpeechChunk
from halfsecond.stages.phrases import Phrases
from halfsecond.stages.stage import Cancel
from halfsecond.stages.tts import TtsRequest, TtsStage

PHRASES = PhrasesConfig(
    greeting="Welcome to the museum.",
    openings=("Let me see.", "One moment."),
    presets=(PresetQuestion(question="When do you close?", answer="At five."),),
)


def speaking(phrases: PhrasesConfig) -> Config:
    return msgspec.structs.replace(QUICK, phrases=phrases)


class Counting:
    """A voice of one second a clause that counts what it speaks."""

    name, language = "counting", "en"

    def __init__(self) -> None:
        self.spoken: list[str] = []

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        self.spoken.append(clause)
        yield SpeechChunk(np.full(SPEECH_RATE_HZ, len(self.spoken), np.float32), clause)

    def close(self) -> None:
        pass


def opened(remembered_s: float) -> tuple[TtsStage, Counting]:
    voice = Counting()
    stage = TtsStage(lambda: voice, label="counting", remembered_s=remembered_s)
    stage.open()
    return stage, voice


def say(stage: TtsStage, text: str, *, is_kept: bool = False) -> float:
    """The sound of a clause: the number of the call that made it."""
    (chunk,) = stage.run(TtsRequest(text, is_kept=is_kept), Cancel())
    return float(chunk.samples[0])


def test_a_clause_that_was_spoken_before_is_not_made_again() -> None:
    stage, voice = opened(remembered_s=10)
    assert [say(stage, "One."), say(stage, "Two."), say(stage, " One.")] == [1, 2, 1]
    assert voice.spoken == ["One.", "Two."]


def test_the_oldest_clauses_are_forgotten_and_kept_ones_never() -> None:
    stage, voice = opened(remembered_s=2)
    say(stage, "Welcome.", is_kept=True)
    for text in ("One.", "Two.", "Three.", "One."):
        say(stage, text)
    assert say(stage, "Welcome.") == 1
    assert voice.spoken == ["Welcome.", "One.", "Two.", "Three.", "One."]


def test_a_clause_at_another_speed_is_another_sound() -> None:
    stage, voice = opened(remembered_s=10)
    say(stage, "One.")
    list(stage.run(TtsRequest("One.", speed=1.2), Cancel()))
    assert len(voice.spoken) == 2


def test_without_a_memory_every_clause_is_made_anew() -> None:
    stage, _ = opened(remembered_s=0)
    assert [say(stage, "One."), say(stage, "One.")] == [1, 2]


def test_a_clause_that_was_cut_off_is_not_remembered() -> None:
    stage, voice = opened(remembered_s=10)
    cancel = Cancel()
    cancel.set()
    assert list(stage.run(TtsRequest("One."), cancel)) == []
    assert say(stage, "One.") == 2
    assert len(voice.spoken) == 2


def test_a_preset_question_is_known_by_its_words() -> None:
    phrases = Phrases(PHRASES)
    assert phrases.answer_to("when do you close") == "At five."
    assert phrases.answer_to("When do you open?") is None


async def test_what_is_said_often_is_spoken_before_anybody_asks(run_server: RunServer) -> None:
    async with run_server(speaking(PHRASES)) as running, running.client() as client:
        assert client.welcome is not None
        kept: list[str] = []
        for _ in range(200):
            kept = [request.text for request in running.engines.tts.requests if request.is_kept]
            if len(kept) == 4:
                break
            await asyncio.sleep(0.02)
    assert kept == ["Welcome to the museum.", "Let me see.", "One moment.", "At five."]


async def test_a_preset_question_is_answered_without_the_language_model(
    run_server: RunServer,
) -> None:
    async with run_server(speaking(PHRASES)) as running, running.client() as client:
        assert client.welcome is not None
        assert client.welcome.questions == ["When do you close?"]
        visitor = Visitor(client)
        reply = (await visitor.type(client.welcome.questions[0])).reply
        await visitor.close()
    assert reply.text == "At five."
    assert running.engines.llm.requests == []


async def test_the_greeting_is_a_turn_without_a_question(run_server: RunServer) -> None:
    async with run_server(speaking(PHRASES)) as running, running.client() as client:
        visitor = Visitor(client)
        await client.greet()
        reply = await visitor._reply(5.0)
        await visitor.close()
    assert reply.text == "Welcome to the museum."
    assert reply.transcript == ""
    assert reply.end is not None
    assert reply.end.reason == "complete"
    assert running.engines.llm.requests == []


async def test_a_greeting_that_is_not_there_is_refused(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        await client.greet()
        async for event in client.events():
            message = getattr(event, "message", None)
            if isinstance(message, wire.Error):
                assert "phrases.greeting" in message.message
                break


async def test_an_opening_is_said_while_the_answer_is_being_made(run_server: RunServer) -> None:
    engines = FakeEngines()
    engines.llm.gate.clear()
    async with run_server(speaking(PHRASES), engines=engines) as running, running.client() as c:
        visitor = Visitor(c)
        await c.ask("And where is it?")
        for _ in range(200):
            if 1 in visitor.recorder.replies and visitor.recorder.replies[1].audio:
                break
            await asyncio.sleep(0.02)
        engines.llm.gate.set()
        reply = await visitor._reply(10.0)
        await visitor.close()
    assert reply.captions[0] == "One moment."
    assert reply.text == "One moment. We close at five. Come again tomorrow."
    assert running.engines.llm.requests[0].messages[-1].content == "And where is it?"
