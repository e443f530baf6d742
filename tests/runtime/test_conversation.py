"""Turns over the real wire, on engines without models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.engines import CLAUSE_S
from fakes.servers import QUICK, Running, RunServer
from halfsecond import wire
from halfsecond.audio import float_to_pcm16
from halfsecond.client import Client, Received
from halfsecond.conversation import Visitor
from halfsecond.errors import AudioError, ServerError
from halfsecond.recording import Recorder

RATE_HZ = 16_000


def speech(seconds: float) -> NDArray[np.float32]:
    """Loud enough for the fake VAD."""
    at_s = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return (0.4 * np.sin(2 * np.pi * 300 * at_s)).astype(np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(int(seconds * RATE_HZ), np.float32)


@asynccontextmanager
async def visiting(running: Running, **wishes: object) -> AsyncIterator[Visitor]:
    async with running.client(**wishes) as client:
        visitor = Visitor(client)
        yield visitor
        await visitor.close()


async def receive_until(client: Client, is_last: Callable[[Received], bool]) -> list[Received]:
    """Everything up to the message that `is_last` accepts."""
    received: list[Received] = []

    async def read() -> None:
        async for event in client.events():
            assert isinstance(event, Received)
            received.append(event)
            if is_last(event):
                return

    await asyncio.wait_for(read(), 10)
    return received


def is_a(kind: type[wire.Header]) -> Callable[[Received], bool]:
    return lambda event: isinstance(event.message, kind)


async def test_a_spoken_question_is_heard_answered_spoken_and_shown(run_server: RunServer) -> None:
    async with run_server() as running, visiting(running) as visitor:
        exchange = await visitor.say(np.concatenate([silence(0.1), speech(0.5)]))
    reply = exchange.reply
    assert reply.transcript == "When do you close?"
    assert reply.text == "We close at five. Come again tomorrow."
    assert reply.end is not None
    assert reply.end.reason == "complete"
    clauses = len(reply.captions)
    assert len(reply.samples()) == int(clauses * CLAUSE_S * 24_000)
    assert float(np.abs(reply.samples()).max()) == pytest.approx(0.3, abs=0.01)
    assert len([shown for shown in reply.pictures if shown.is_driven]) == clauses * CLAUSE_S * 25
    assert reply.gaps() == []


async def test_what_asr_gets_is_the_utterance_with_its_beginning(run_server: RunServer) -> None:
    async with run_server() as running, visiting(running) as visitor:
        await visitor.say(np.concatenate([silence(1.0), speech(0.6)]))
        heard = running.engines.asr.requests[-1].samples
    loud = np.flatnonzero(np.abs(heard) > 0.1)
    assert 0.2 < loud[0] / RATE_HZ < 0.4  # the pre-roll
    assert (loud[-1] - loud[0]) / RATE_HZ == pytest.approx(0.6, abs=0.01)


async def test_an_answer_begun_in_a_pause_is_dropped_when_the_visitor_goes_on(
    run_server: RunServer,
) -> None:
    question = np.concatenate([speech(0.4), silence(0.15), speech(0.4)])
    async with run_server() as running, visiting(running) as visitor:
        exchange = await visitor.say(question)
        asked = running.engines.asr.requests
    assert len(asked) == 2
    assert len(asked[1].samples) > len(asked[0].samples) + 0.4 * RATE_HZ
    assert len(visitor.recorder.replies) == 1
    assert exchange.reply.text == "We close at five. Come again tomorrow."


async def test_nothing_is_sent_before_the_turn_is_confirmed(run_server: RunServer) -> None:
    config = msgspec.structs.replace(
        QUICK, endpoint=msgspec.structs.replace(QUICK.endpoint, silence_s=0.5)
    )
    async with run_server(config) as running, visiting(running) as visitor:
        exchange = await visitor.say(speech(0.5))
    turn = exchange.timeline()
    marks = turn.relative().marks
    assert marks["tts_first_chunk"] < marks["endpoint"]
    assert marks["first_audio_sent"] >= marks["endpoint"]
    assert marks["endpoint"] >= 0.45
    assert exchange.reply.transcript_at_s is not None
    assert exchange.reply.transcript_at_s >= turn.marks["endpoint"]


async def test_without_speculation_the_chain_waits_for_the_silence(run_server: RunServer) -> None:
    turn = msgspec.structs.replace(QUICK.turn, is_speculative=False)
    endpoint = msgspec.structs.replace(QUICK.endpoint, silence_s=0.4)
    config = msgspec.structs.replace(QUICK, turn=turn, endpoint=endpoint)
    async with run_server(config) as running, visiting(running) as visitor:
        exchange = await visitor.say(speech(0.5))
    marks = exchange.timeline().relative().marks
    assert marks["begun"] >= marks["endpoint"] - 0.01
    assert exchange.reply.text.startswith("We close")


async def test_an_interruption_stops_everything_and_voids_what_is_older(
    run_server: RunServer,
) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = ("One two three four. ",) * 40
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        await client.interrupt()
        until_end = await receive_until(client, is_a(wire.TurnEnd))
        end = until_end[-1].message
        assert isinstance(end, wire.TurnEnd)
        assert end.reason == "interrupted"
        made = running.engines.llm.made
        await client.ask("And now?")
        running.engines.llm.pieces = ("Now this.",)
        later = await receive_until(client, is_a(wire.TurnEnd))
    sounds = [e.message for e in later if isinstance(e.message, wire.Audio | wire.Video)]
    assert sounds
    assert {(m.turn, m.generation) for m in sounds} == {(2, end.generation + 1)}
    assert made <= 41


async def test_history_keeps_what_was_heard_and_no_more(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = tuple(f"Sentence number {n} is here. " for n in range(20))
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        await client.report_playhead(turn=1, pts_s=0.41)
        await asyncio.sleep(0.05)
        await client.interrupt()
        await receive_until(client, is_a(wire.TurnEnd))
        await client.ask("What did you say?")
        await receive_until(client, is_a(wire.TurnEnd))
        messages = running.engines.llm.requests[-1].messages
    said = [m.content for m in messages if m.role == "assistant"]
    assert len(said) == 1
    assert said[0].startswith("Sentence number 0 is here.")
    assert len(said[0].split()) < 14  # of 100


async def test_a_client_without_credit_gets_all_sound_and_no_more_pictures_than_it_granted(
    run_server: RunServer,
) -> None:
    async with run_server() as running, running.client(credit=3) as client:
        client.grants_credit = False
        running.engines.llm.pieces = ("A longer answer. ",) * 5
        await client.ask("Tell me.")
        received = await receive_until(client, is_a(wire.TurnEnd))
    pictures = [e for e in received if isinstance(e.message, wire.Video)]
    sound = sum(len(e.payload) for e in received if isinstance(e.message, wire.Audio))
    captions = [e for e in received if isinstance(e.message, wire.Answer)]
    assert len(pictures) == 3
    assert sound == int(len(captions) * CLAUSE_S * 24_000) * 2


async def test_a_stage_that_fails_ends_its_turn_and_the_next_one_works(
    run_server: RunServer,
) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.tts.fault = "the voice has lost its tongue"
        await client.ask("Hello?")
        received = await receive_until(client, is_a(wire.TurnEnd))
        errors = [e.message for e in received if isinstance(e.message, wire.Error)]
        assert [e.message for e in errors] == ["the voice has lost its tongue"]
        assert received[-1].message.reason == "failed"  # type: ignore[union-attr]
        await client.ask("Hello again?")
        received = await receive_until(client, is_a(wire.TurnEnd))
    assert received[-1].message.reason == "complete"  # type: ignore[union-attr]
    states = [e.message.state for e in received if isinstance(e.message, wire.StateChange)]
    assert states[-2:] == ["thinking", "speaking"] or "speaking" in states


async def test_nothing_heard_is_no_question(run_server: RunServer) -> None:
    async with run_server() as running, visiting(running) as visitor:
        running.engines.asr.text = ""
        exchange = await visitor.say(speech(0.3))
    assert exchange.reply.end is not None
    assert exchange.reply.end.reason == "empty"
    assert exchange.reply.audio == []
    assert running.engines.llm.requests == []


async def test_a_client_that_vanishes_in_mid_turn_frees_its_session(run_server: RunServer) -> None:
    async with run_server() as running:
        client = running.client()
        await client.open()
        running.engines.llm.pieces = ("And so on. ",) * 50
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        await client.vanish()
        for _ in range(60):
            if running.server.session_count == 0:
                break
            await asyncio.sleep(0.1)
        assert running.server.session_count == 0
        async with visiting(running) as visitor:
            running.engines.llm.pieces = ("Still here.",)
            exchange = await visitor.type("Anyone?")
    assert exchange.reply.text == "Still here."


async def test_one_client_too_many_is_told_that_the_server_is_busy(run_server: RunServer) -> None:
    async with run_server() as running, running.client(), running.client():
        with pytest.raises(ServerError, match="busy: 2 of 2 sessions"):
            await running.client().open()


async def test_two_visitors_at_once_get_their_own_answers(run_server: RunServer) -> None:
    async with run_server() as running, visiting(running) as one, visiting(running) as other:
        first, second = await asyncio.gather(one.type("One?"), other.type("Two?"))
    assert first.reply.text == second.reply.text == "We close at five. Come again tomorrow."
    asked = {request.messages[-1].content for request in running.engines.llm.requests}
    assert asked == {"One?", "Two?"}


async def test_the_answer_is_spoken_at_the_pace_of_the_ear(run_server: RunServer) -> None:
    """Speech is made at most some seconds ahead, however long the answer is."""
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = ("Another full sentence. ",) * 100
        await client.ask("Tell me everything.")
        recorder = Recorder()
        for event in await receive_until(client, is_a(wire.Audio)):
            recorder.add(event)
        await asyncio.sleep(0.3)
        made_s = len(running.engines.tts.requests) * CLAUSE_S
        await client.interrupt()
        await receive_until(client, is_a(wire.TurnEnd))
    assert 2.0 < made_s < 8.0


async def speak_into(client: Client, samples: NDArray[np.float32]) -> None:
    """The microphone of a visitor who talks while the answer plays."""
    block = RATE_HZ // 50
    for start in range(0, len(samples), block):
        await client.send_audio(float_to_pcm16(samples[start : start + block]))
        await asyncio.sleep(0.02)


async def test_a_visitor_who_speaks_over_the_answer_stops_it_and_is_answered(
    run_server: RunServer,
) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = ("And so on it goes. ",) * 40
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        running.engines.llm.pieces = ("Yes.",)
        speaking = asyncio.create_task(
            speak_into(client, np.concatenate([speech(0.6), silence(0.6)]))
        )
        first = (await receive_until(client, is_a(wire.TurnEnd)))[-1].message
        second = (await receive_until(client, is_a(wire.TurnEnd)))[-1].message
        await speaking
    assert isinstance(first, wire.TurnEnd)
    assert isinstance(second, wire.TurnEnd)
    assert (first.turn, first.reason) == (1, "interrupted")
    assert (second.turn, second.reason) == (2, "complete")


async def test_a_visitor_who_only_paused_is_answered_on_the_whole_question(
    run_server: RunServer,
) -> None:
    question = np.concatenate([speech(0.5), silence(0.5), speech(0.8)])
    async with run_server() as running, visiting(running) as visitor:
        running.engines.llm.pieces = ("And so on it goes. ",) * 8
        exchange = await visitor.say(question)
        heard = running.engines.asr.requests[-1].samples
        said = [m.role for m in running.engines.llm.requests[-1].messages]
    assert [reply.end.reason for reply in exchange.cut_ins if reply.end] == ["interrupted"]
    assert exchange.reply.end is not None
    assert exchange.reply.end.reason == "complete"
    assert len(heard) > 1.8 * RATE_HZ  # both halves and the pause between them
    assert said.count("user") == 1  # half a question is not remembered


async def test_a_new_question_over_a_long_answer_is_heard_for_itself(run_server: RunServer) -> None:
    turn = msgspec.structs.replace(QUICK.turn, reopen_s=0.2)
    config = msgspec.structs.replace(QUICK, turn=turn)
    async with run_server(config) as running, visiting(running) as visitor:
        running.engines.llm.pieces = ("And so on it goes. ",) * 8
        await visitor.say(np.concatenate([speech(0.5), silence(0.9), speech(0.6)]))
        heard = running.engines.asr.requests[-1].samples
    assert len(heard) < 1.4 * RATE_HZ


async def test_a_cough_does_not_stop_the_answer(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = ("And so on it goes. ",) * 4
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        await speak_into(client, np.concatenate([speech(0.2), silence(0.4)]))
        end = (await receive_until(client, is_a(wire.TurnEnd)))[-1].message
    assert isinstance(end, wire.TurnEnd)
    assert (end.turn, end.reason) == (1, "complete")


async def test_when_the_last_visitor_leaves_the_model_forgets(run_server: RunServer) -> None:
    async with run_server() as running:
        async with running.client() as one:
            await one.ask("A secret?")
            await receive_until(one, is_a(wire.TurnEnd))
        for _ in range(50):
            if "forget" in running.engines.llm.others:
                break
            await asyncio.sleep(0.05)
        assert running.engines.llm.others[-1] == "forget"
        async with running.client() as other:
            await other.ask("What was it?")
            await receive_until(other, is_a(wire.TurnEnd))
        said = [message.content for message in running.engines.llm.requests[-1].messages]
    assert "A secret?" not in said


async def test_a_recording_without_speech_is_told_apart_from_a_server_that_is_silent(
    run_server: RunServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("halfsecond.conversation.UNHEARD_S", 0.2)
    async with run_server() as running, visiting(running) as visitor:
        with pytest.raises(AudioError, match="no speech was heard"):
            await visitor.say(silence(0.3))
        exchange = await visitor.say(speech(0.4))
    assert exchange.reply.text.startswith("We close")


async def test_an_mm_hm_pauses_the_answer_and_lets_it_go_on(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = ("And so on it goes. ",) * 8
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        running.engines.asr.text = "Mm-hmm."
        recorder = Recorder()
        speaking = asyncio.create_task(
            speak_into(client, np.concatenate([speech(0.4), silence(0.8)]))
        )
        received = await receive_until(client, is_a(wire.TurnEnd))
        await speaking
    kinds = [type(event.message) for event in received]
    paused, resumed = kinds.index(wire.Pause), kinds.index(wire.Resume)
    between = {type(event.message) for event in received[paused:resumed]}
    assert not between & {wire.Audio, wire.Video, wire.Answer}
    assert received[resumed].at_s - received[paused].at_s < 0.6
    end = received[-1].message
    assert isinstance(end, wire.TurnEnd)
    assert (end.turn, end.reason) == (1, "complete")
    assert [(stage, how) for stage, how, _, _ in end.spans if stage == "pause"] == [
        ("pause", "resumed")
    ]
    for event in received:
        recorder.add(event)
    assert recorder.replies[1].gaps() == []
    states = [e.message.state for e in received if isinstance(e.message, wire.StateChange)]
    assert states[-2:] == ["listening", "speaking"]


async def test_speech_pauses_the_answer_before_it_stops_it(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.llm.pieces = ("And so on it goes. ",) * 40
        await client.ask("Tell me everything.")
        await receive_until(client, is_a(wire.Audio))
        began_s = asyncio.get_running_loop().time()
        speaking = asyncio.create_task(speak_into(client, speech(0.8)))
        received = await receive_until(client, is_a(wire.TurnEnd))
        await speaking
    kinds = [type(event.message) for event in received]
    assert wire.Resume not in kinds
    after = received[kinds.index(wire.Pause) :]
    assert not any(isinstance(e.message, wire.Audio) and e.message.turn == 1 for e in after)
    assert after[0].at_s - began_s < after[-1].at_s - began_s


async def test_a_visitor_who_goes_on_before_the_answer_sounds_never_hears_half_of_it(
    run_server: RunServer,
) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.tts.gate.clear()
        question = np.concatenate([speech(0.5), silence(0.4), speech(0.5), silence(0.6)])
        speaking = asyncio.create_task(speak_into(client, question))
        first = await receive_until(client, is_a(wire.TurnEnd))
        running.engines.tts.gate.set()
        second = await receive_until(client, is_a(wire.TurnEnd))
        await speaking
    assert first[-1].message.reason == "interrupted"  # type: ignore[union-attr]
    assert not any(isinstance(e.message, wire.Audio | wire.Pause) for e in first)
    assert second[-1].message.reason == "complete"  # type: ignore[union-attr]
    assert len(running.engines.asr.requests[-1].samples) > 1.2 * RATE_HZ


async def test_a_cough_before_the_answer_sounds_only_delays_it(run_server: RunServer) -> None:
    async with run_server() as running, running.client() as client:
        running.engines.tts.gate.clear()
        await client.ask("Hello?")
        await receive_until(client, is_a(wire.StateChange))
        running.engines.asr.text = ""
        speaking = asyncio.create_task(
            speak_into(client, np.concatenate([speech(0.2), silence(0.6)]))
        )
        await asyncio.sleep(0.15)
        running.engines.tts.gate.set()
        received = await receive_until(client, is_a(wire.TurnEnd))
        await speaking
    kinds = {type(event.message) for event in received}
    assert not kinds & {wire.Pause, wire.Resume}
    assert received[-1].message.reason == "complete"  # type: ignore[union-attr]
