"""What is answered."""

from __future__ import annotations

from typing import Literal

from halfsecond.config.section import Section
from halfsecond.sessions.session import Device


class LlmConfig(Section, frozen=True, kw_only=True):
    """Where answers come from."""

    kind: Literal["local", "openai", "function"] = "local"
    """A model on this machine, an OpenAI-compatible address, or a Python function of yours."""
    model: str = "smollm2-135m-onnx"
    """Catalog name or the directory that `halfsecond export llm` wrote, with a slash in it (local);
    or the model's name at `base_url` (openai)."""
    device: Device = "auto"
    """As for `asr`; for a local model. `smollm2-135m-int8` runs on both."""
    threads: int = 1
    """More can be slower where voice and face work beside it: measure with `bench threads`."""
    base_url: str = ""
    """Of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is never in a file."""
    function: str = ""
    """`module:callable` of the integrator's function."""
    temperature: float = 0.0
    """0 always takes the likeliest token; small models stay truthful only there."""
    top_p: float = 1.0
    """Tokens are drawn from the likeliest that together have this probability."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that were used less likely. It also makes small models change numbers:
    with 1.1 "six to fifteen" became "sixteen to eighteen"."""
    max_tokens: int = 64
    """Longest answer; some 50 English words."""
    seed: int | None = None
    """Makes drawn tokens repeatable."""


class PersonaConfig(Section, frozen=True, kw_only=True):
    """Who answers, and what is true."""

    system: str = ""
    """System prompt; empty takes the built-in one, which answers from the facts in a sentence."""
    facts: str = ""
    """A page of facts, one a line. Without any, the demonstration's space museum is taken."""
    facts_file: str = ""
    """A text file of facts instead, relative to the config file."""
    layout: Literal["auto", "lines", "page"] = "auto"
    """Whether the facts that fit stand beside each question ("lines"), or the whole page before all
    of them ("page"). Models below about a billion parameters need "lines"; "auto" takes it for
    local ones."""
    unknown_answer: str = ""
    """What is said when the facts do not hold the answer; empty takes the built-in sentence."""
    history_turns: int = 4
    """Turns that are remembered while the visitor stays."""


class PresetQuestion(Section, frozen=True, kw_only=True):
    """A question with an answer of its own."""

    question: str
    answer: str


class PhrasesConfig(Section, frozen=True, kw_only=True):
    """What is said again and again: its sound is made ahead and kept, so that it comes at once."""

    greeting: str = ""
    """What a client that says `greet` gets to hear."""
    openings: tuple[str, ...] = ()
    """Such as "Let me see.": said, in turn, where a visitor has finished and the answer is not
    there yet. Benchmarks measure without any."""
    presets: tuple[PresetQuestion, ...] = ()
    """`[[phrases.presets]]` tables of `question` and `answer`: a question with these words gets
    this answer without the language model. Clients are told the questions, for buttons."""
    remembered_s: float = 90.0
    """Spoken clauses that are remembered besides, in seconds of speech (0.1 MB each). 0 makes
    every clause anew."""

    @property
    def is_used(self) -> bool:
        """Whether anything is said that is known beforehand."""
        return bool(self.greeting or self.openings or self.presets)
