"""A model's chat template: a conversation in, the prompt's text out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.llm.answerer import Message


class ChatTemplate:
    """The Jinja template that a chat model was trained with, as its publisher wrote it.

    It comes with the weights, so it runs in Jinja's sandbox, where it can neither reach
    Python's internals nor change what it is given.
    """

    def __init__(self, source: str, *, special_tokens: dict[str, str] | None = None) -> None:
        """Compiles `source`; `special_tokens` are names that it may use, such as `bos_token`."""
        from jinja2 import TemplateError
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        # The block options and the names are those that publishers write templates for
        # (documented with transformers' apply_chat_template).
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.globals["raise_exception"] = _raise_unsupported
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise ModelCorruptError(
                f"the chat template cannot be parsed: {error}; fetch the model again"
            ) from error
        self._special_tokens = dict(special_tokens or {})

    def render(self, messages: Sequence[Message], *, add_generation_prompt: bool = True) -> str:
        """The prompt's text; with `add_generation_prompt` it ends where the answer begins."""
        from jinja2 import TemplateError

        try:
            return self._template.render(
                messages=[{"role": m.role, "content": m.content} for m in messages],
                add_generation_prompt=add_generation_prompt,
                **self._special_tokens,
            )
        except TemplateError as error:
            raise UnsupportedModelError(
                f"the chat template cannot take this conversation: {error}; "
                "use a persona without the roles that it lacks"
            ) from error


def read_chat(path: Path) -> tuple[ChatTemplate, tuple[str, ...]]:
    """The template and the tokens that end an answer, from a model's `chat.json`."""
    if not path.is_file():
        raise ModelMissingError(
            f"{path} is missing; run `halfsecond models fetch` to prepare the model"
        )
    try:
        chat: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        source = chat["chat_template"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelCorruptError(
            f"{path} holds no `chat_template`; run `halfsecond models fetch` to prepare it again"
        ) from error
    names = {key: value for key, value in chat.items() if key.endswith("_token")}
    stops = chat.get("stop_tokens") or ([names["eos_token"]] if "eos_token" in names else [])
    return ChatTemplate(source, special_tokens=names), tuple(stops)


def _raise_unsupported(message: str) -> None:
    raise UnsupportedModelError(f"the chat template refuses this conversation: {message}")
