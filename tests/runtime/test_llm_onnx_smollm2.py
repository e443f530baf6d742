"""SmolLM2 on ONNX Runtime: that its answers are true, with guesses as without."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from fakes.memory import resident_mb
from halfsecond.assets import asset
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.clauses import ClauseCutter
from halfsecond.models.llm.facts import FactsPage
from halfsecond.models.llm.onnx_llm import OnnxAnswerer
from halfsecond.models.llm.persona import UNKNOWN_ANSWER, Persona, build_messages, opening
from halfsecond.models.llm.registry import open_answerer
from halfsecond_bench.clips import Clip, load_clips, questions

NAME = "smollm2-135m-onnx"
MUSEUM = Persona(
    facts=FactsPage.parse(asset("facts.txt").read_text(encoding="utf-8")), layout="lines"
)
STORY = [Message("system", "You tell stories."), Message("user", "Tell me a long story.")]
pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def answerer(model_dir: Callable[[str], Path]) -> Iterator[OnnxAnswerer]:
    opened = open_answerer("local", model_path=model_dir(NAME))
    assert isinstance(opened, OnnxAnswerer)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def asked(clips_dir: Path) -> list[Clip]:
    return questions(load_clips(clips_dir))


def reply(answerer: OnnxAnswerer, messages: Sequence[Message], *, max_tokens: int = 64) -> str:
    sampling = Sampling(max_tokens=max_tokens)
    return "".join(answerer.answer(messages, sampling=sampling, is_cancelled=lambda: False))


def test_the_questions_of_the_clips_are_answered_truly(
    answerer: OnnxAnswerer, asked: list[Clip]
) -> None:
    answerer.prefill(opening(MUSEUM, []))
    said = {
        clip.file: reply(answerer, build_messages(MUSEUM, [], clip.transcript)) for clip in asked
    }
    assert len(said) >= 14
    assert [clip.file for clip in asked if not clip.is_answered_by(said[clip.file])] == []


def test_an_unknown_answer_is_said_as_it_is_written(answerer: OnnxAnswerer) -> None:
    for question in ("Who built the museum?", "How old is the director?"):
        assert reply(answerer, build_messages(MUSEUM, [], question)) == UNKNOWN_ANSWER


def test_guessing_changes_no_word_of_an_answer(
    answerer: OnnxAnswerer, asked: list[Clip], model_dir: Callable[[str], Path]
) -> None:
    plain = OnnxAnswerer(model_dir(NAME), draft_tokens=0, first_draft_tokens=0, stop=("\n",))
    for messages in [*(build_messages(MUSEUM, [], clip.transcript) for clip in asked), STORY]:
        assert reply(answerer, messages) == reply(plain, messages)
    plain.close()


def test_the_first_clause_mostly_comes_out_of_the_pass_that_takes_the_question_in(
    answerer: OnnxAnswerer, asked: list[Clip], monkeypatch: pytest.MonkeyPatch
) -> None:
    answerer.prefill(opening(MUSEUM, []))
    passes: list[int] = []
    append = answerer._decoder.append

    def noting(tokens: Sequence[int], *, rows: int) -> object:
        passes.append(len(tokens))
        return append(tokens, rows=rows)

    monkeypatch.setattr(answerer._decoder, "append", noting)
    needed = []
    for clip in asked:
        passes.clear()
        cutter = ClauseCutter()
        messages = build_messages(MUSEUM, [], clip.transcript)
        pieces = answerer.answer(messages, sampling=Sampling(), is_cancelled=lambda: False)
        next(len(passes) for piece in pieces if cutter.push(piece))
        needed.append(len(passes))
    assert sorted(needed)[len(needed) // 2] == 1


def test_a_story_is_told_in_new_words(answerer: OnnxAnswerer) -> None:
    words = reply(answerer, STORY, max_tokens=40).split()
    assert len(words) > 20
    assert len(set(words)) > 15


def test_turns_do_not_grow_the_memory(answerer: OnnxAnswerer, asked: list[Clip]) -> None:
    sizes = []
    for number in range(60):
        clip = asked[number % len(asked)]
        history = [Message("user", f"{number}?"), Message("assistant", "Yes. " * (number % 20))]
        answerer.prefill(opening(MUSEUM, history))
        reply(answerer, build_messages(MUSEUM, history, clip.transcript), max_tokens=6)
        sizes.append(resident_mb())
    assert max(sizes[30:]) - max(sizes[:20]) < 10
