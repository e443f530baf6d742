"""Who answers, what is true, and how both are put to the answerer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.facts import MIN_COVERAGE, FactsPage

Layout = Literal["page", "lines"]

UNKNOWN_ANSWER = "I'm sorry, I don't know that."

PAGE_SYSTEM = (
    "You are the guide at the front desk. Your answers are spoken aloud: answer in one or two "
    "short sentences, without lists or symbols. Use only the facts below."
)
LINES_SYSTEM = "You are the guide at the front desk. You repeat the fact that answers the visitor."

# A page of up to this many words goes into the prompt whole; about 1.4 tokens a word.
PAGE_WORDS = 400

# Examples of answers that repeat their fact. Of 27 questions about a museum SmolLM2-135M answered
# 9 truly with the page in its prompt, 17 with the right line beside the question, and 24 or 25 with
# these in front. None says "I don't know": with such an example it said so to everything. The long
# one keeps the second half of facts from being dropped, the first one keeps "except".
_EXAMPLES = (
    (
        "are you closed on Sundays",
        "The library is open every day except Sunday, from eight to five.",
    ),
    ("Where can I swim?", "The pool is on the roof, next to the bar."),
    ("Can I bring my bike?", "Bicycles are not allowed, except on Sundays."),
    (
        "who painted the ceiling",
        "The blue room is on the third floor, and Maria Lopez painted its ceiling in 1890.",
    ),
)


@dataclass(frozen=True)
class Persona:
    """A role, a page of facts, and what is said when the page does not hold the answer.

    `layout` is how facts reach the answerer. "page": the whole page is in the system prompt
    (prefilled) as long as it has at most `page_words` words, else the `lines` best lines stand
    beside the question; the answerer decides what it does not know. "lines": the best lines
    always stand beside the question, after examples of answers that repeat a fact (prefilled),
    and where no line fits the line is `unknown_answer` itself; history only helps to choose the
    lines, as it led the model astray. Models below about a billion parameters need "lines".
    """

    system: str = ""
    facts: FactsPage = field(default_factory=lambda: FactsPage(()))
    unknown_answer: str = UNKNOWN_ANSWER
    layout: Layout = "page"
    history_turns: int = 4
    page_words: int = PAGE_WORDS
    lines: int = 1
    min_coverage: float = MIN_COVERAGE


def opening(persona: Persona, history: Sequence[Message]) -> list[Message]:
    """What can be prefilled: every question's messages begin with these."""
    if not persona.facts.facts:
        start = [Message("system", persona.system or PAGE_SYSTEM.rpartition(" Use only")[0])]
    elif persona.layout == "lines":
        start = [Message("system", _with_always(persona, persona.system or LINES_SYSTEM))]
        for question, fact in _EXAMPLES:
            start += [Message("user", _beside(question, fact)), Message("assistant", fact)]
        return start
    else:
        start = [Message("system", _page_system(persona))]
    return [*start, *recent(history, persona.history_turns)]


def build_messages(persona: Persona, history: Sequence[Message], question: str) -> list[Message]:
    """The conversation that puts `question`: `opening`, then the question with its facts."""
    start = opening(persona, history)
    if not persona.facts.facts or _is_whole_page(persona):
        return [*start, Message("user", question)]
    lines = choose_lines(persona, history, question)
    if persona.layout == "page":
        return [*start, Message("user", _beside_page(question, lines))]
    if not lines:
        return [*start, Message("user", _beside("", persona.unknown_answer))]
    return [*start, Message("user", _beside(question, " ".join(lines)))]


def up_to_question(persona: Persona, history: Sequence[Message], question: str) -> list[Message]:
    """`opening` and the bare question, with which every layout begins to put it: what
    `Answerer.sentence_end` judges."""
    return [*opening(persona, history), Message("user", question)]


def choose_lines(persona: Persona, history: Sequence[Message], question: str) -> list[str]:
    """The lines of the page that answer the question; none if none does.

    A question with no meaning of its own ("And where is that?") is about the one before.
    """
    matches = persona.facts.matches(question)
    asked = [message.content for message in history if message.role == "user"]
    if not matches and asked and persona.facts.knows_words_of(question):
        matches = persona.facts.matches(f"{asked[-1]} {question}")
    fitting = [match for match in matches if match.coverage >= persona.min_coverage]
    return [match.fact.text for match in fitting[: persona.lines]]


def recent(history: Sequence[Message], turns: int) -> list[Message]:
    """The last `turns` turns, from a question on."""
    starts = [at for at, message in enumerate(history) if message.role == "user"]
    if turns <= 0 or not starts:
        return []
    return list(history[starts[-turns:][0] :])


def _beside(question: str, facts: str) -> str:
    """The question with its facts last, which small models repeat best; quotes keep them whole."""
    told = f'Say exactly: "{facts}"'
    return f"{question}\n{told}" if question else told


def _beside_page(question: str, facts: Sequence[str]) -> str:
    return "\n".join([question, "", "Facts:", *facts]) if facts else question


def _is_whole_page(persona: Persona) -> bool:
    words = sum(len(fact.text.split()) for fact in persona.facts.facts)
    return persona.layout == "page" and words <= persona.page_words


def _page_system(persona: Persona) -> str:
    system = persona.system or PAGE_SYSTEM
    unknown = f'If they do not hold the answer, say: "{persona.unknown_answer}"'
    if not _is_whole_page(persona):
        return _with_always(persona, f"{system} {unknown}")
    page = "\n".join(fact.text for fact in persona.facts.facts)
    return f"{system} {unknown}\n\n{page}"


def _with_always(persona: Persona, system: str) -> str:
    always = [fact.text for fact in persona.facts.facts if fact.is_always]
    return "\n".join([system, *always])
