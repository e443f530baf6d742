"""Whether a sentence may end where the visitor stopped, as the answerer's own model sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from halfsecond.models.llm.answerer import Answerer, Message, Sampling
from halfsecond.models.llm.facts import FactsPage
from halfsecond.models.llm.function import FunctionAnswerer
from halfsecond.models.llm.onnx_llm import OnnxAnswerer
from halfsecond.models.llm.openai_compatible import OpenAiAnswerer
from halfsecond.models.llm.persona import Persona, build_messages, opening, up_to_question
from halfsecond.stages import codec
from halfsecond.stages.llm import LlmReply, LlmRequest, LlmStage
from halfsecond.stages.stage import Cancel

NAME = "smollm2-135m-onnx"
PERSONA = Persona(
    facts=FactsPage.parse(
        "The gift shop is next to the exit.\nThe museum closes at five in the afternoon."
    ),
    layout="lines",
)


@pytest.fixture(scope="module")
def answerer(model_dir: Callable[[str], Path]) -> Iterator[OnnxAnswerer]:
    opened = OnnxAnswerer(model_dir(NAME), stop=("\n",))
    yield opened
    opened.close()


def judge(answerer: Answerer, words: str) -> float | None:
    return answerer.sentence_end(up_to_question(PERSONA, [], words))


@pytest.mark.models
@pytest.mark.parametrize(
    ("open_words", "whole"),
    [
        ("Can you tell me where the", "Can you tell me where the gift shop is"),
        ("I would like to know", "I would like to know when you close"),
        ("How much is a ticket for", "How much is a ticket for two adults"),
        ("Is there a", "Is there a restaurant"),
    ],
)
def test_a_whole_sentence_is_likelier_to_end_than_its_beginning(
    answerer: OnnxAnswerer, open_words: str, whole: str
) -> None:
    unfinished, finished = judge(answerer, open_words), judge(answerer, whole)
    assert unfinished is not None and finished is not None
    assert 0 <= unfinished < 0.1 * finished <= 0.1


@pytest.mark.models
def test_punctuation_that_the_recogniser_wrote_changes_nothing(answerer: OnnxAnswerer) -> None:
    bare = judge(answerer, "When do you close")
    for written in ("When do you close?", "When do you close.", "When do you close... "):
        assert judge(answerer, written) == pytest.approx(bare, rel=0.2)


@pytest.mark.models
@pytest.mark.parametrize("words", ["", "...", " ?"])
def test_what_has_no_words_is_not_judged(answerer: OnnxAnswerer, words: str) -> None:
    assert judge(answerer, words) is None


@pytest.mark.models
def test_what_is_longer_than_the_context_is_not_judged(model_dir: Callable[[str], Path]) -> None:
    small = OnnxAnswerer(model_dir(NAME), context_tokens=64)
    assert judge(small, "very " * 100 + "long") is None
    small.close()


@pytest.mark.models
def test_an_answer_goes_on_from_what_was_judged_and_is_the_same(answerer: OnnxAnswerer) -> None:
    question = "Where is the gift shop?"
    messages = build_messages(PERSONA, [], question)

    def reply() -> str:
        pieces = answerer.answer(
            messages, sampling=Sampling(max_tokens=30), is_cancelled=lambda: False
        )
        return "".join(pieces)

    answerer.forget()
    alone = reply()
    answerer.forget()
    answerer.prefill(opening(PERSONA, []))
    prefilled = answerer.cached_tokens
    judge(answerer, question)
    assert answerer.cached_tokens - prefilled == 5  # a token for each word
    taken_in = _spy(answerer)
    assert reply() == alone == "The gift shop is next to the exit."
    rest = answerer._prompt.ids(messages)[prefilled + 5 :]
    assert taken_in[0][: len(rest)] == rest  # what comes behind is guessed


def _spy(answerer: OnnxAnswerer) -> list[list[int]]:
    """What the network is given from now on, a list for each pass."""
    given: list[list[int]] = []
    append = answerer._decoder.append

    def noting(tokens: Sequence[int], *, rows: int) -> object:
        given.append(list(tokens))
        return append(tokens, rows=rows)

    answerer._decoder.append = noting  # type: ignore[method-assign, assignment]
    return given


def test_answerers_that_cannot_tell_say_so() -> None:
    messages = [Message("user", "When do you close?")]
    openai = OpenAiAnswerer("http://localhost:1/v1", model="any")
    for answerer in (openai, FunctionAnswerer("builtins:len")):
        assert Answerer.sentence_end is not type(answerer).sentence_end
        assert answerer.sentence_end(messages) is None


class _Judge:
    """Is sure by half of whatever it is asked."""

    asked: list[Sequence[Message]]

    def __init__(self) -> None:
        self.asked = []

    def sentence_end(self, messages: Sequence[Message]) -> float:
        self.asked.append(messages)
        return 0.5


def test_the_stage_gives_one_reply_to_a_judgement_which_survives_the_wire() -> None:
    judge = _Judge()
    stage = LlmStage(lambda: judge, label="judge")  # type: ignore[arg-type, return-value]
    stage.open()
    asked = LlmRequest([Message("user", "When do you")], Sampling(), "judge")
    request = codec.decode(codec.encode(asked), LlmRequest)
    replies = [
        codec.decode(codec.encode(reply), LlmReply) for reply in stage.run(request, Cancel())
    ]
    assert replies == [LlmReply("", 0.5)]
    assert judge.asked == [[Message("user", "When do you")]]
