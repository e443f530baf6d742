"""An answerer that is a Python function of the integrator's."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from halfsecond.errors import ConfigError, StageError
from halfsecond.models.llm.answerer import Message, Sampling


class FunctionAnswerer:
    """Calls `function(question, history)`, or `function(messages)` if that is its parameter.

    `history` and `messages` are lists of `{"role": …, "content": …}`; `messages` begin with the
    system prompt and its facts and end with the question. The function returns the answer as a
    string or as an iterable of pieces (a generator is closed when the answer is dropped). It is
    called on the thread of the stage, one call at a time.
    """

    def __init__(self, name: str) -> None:
        """Finds the function called `module:callable`. Raises ConfigError if there is none."""
        self._name = name
        self._function = _find(name)
        self._takes_messages = "messages" in _parameters(self._function)

    def forget(self) -> None:
        """Does nothing: nothing is kept."""

    def prefill(self, messages: Sequence[Message]) -> None:
        """Does nothing."""

    def sentence_end(self, messages: Sequence[Message]) -> None:
        """None: functions only answer."""

    def answer(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """Pieces of the answer; see `Answerer.answer`. `sampling` is the function's own matter."""
        del sampling
        if is_cancelled():
            return
        pieces = self._call(messages)
        try:
            yield from self._checked(pieces, is_cancelled)
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()

    def close(self) -> None:
        """Does nothing."""

    def _call(self, messages: Sequence[Message]) -> Iterator[Any]:
        plain = [{"role": m.role, "content": m.content} for m in messages]
        spoken = [message for message in plain[:-1] if message["role"] != "system"]
        try:
            if self._takes_messages:
                answer = self._function(messages=plain)
            else:
                answer = self._function(plain[-1]["content"], spoken)
        except Exception as error:
            raise self._failed(error) from error
        if isinstance(answer, str):
            return iter([answer])
        if not isinstance(answer, Iterable):
            raise StageError(
                f"llm.function {self._name} returned {type(answer).__name__}; "
                "it must return a string or an iterable of strings"
            )
        return iter(answer)

    def _checked(self, pieces: Iterator[Any], is_cancelled: Callable[[], bool]) -> Iterator[str]:
        while not is_cancelled():
            try:
                piece = next(pieces)
            except StopIteration:
                return
            except Exception as error:
                raise self._failed(error) from error
            if not isinstance(piece, str):
                raise StageError(
                    f"llm.function {self._name} gave a piece of type {type(piece).__name__}; "
                    "every piece must be a string"
                )
            if piece:
                yield piece

    def _failed(self, error: Exception) -> StageError:
        return StageError(
            f"llm.function {self._name} raised {type(error).__name__}: {error}; "
            "the traceback is in the log"
        )


def _find(name: str) -> Callable[..., Any]:
    module_name, colon, path = name.partition(":")
    if not (module_name and colon and path):
        raise ConfigError(f"llm.function is {name!r}; it must be `module:callable`")
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"llm.function {name}: importing {module_name} raised {type(error).__name__}: {error}; "
            "install the module in halfsecond's environment or add its folder to PYTHONPATH"
        ) from error
    for part in path.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise ConfigError(f"llm.function {name}: {module_name} has no callable {path}")
    return found  # type: ignore[no-any-return]


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        return tuple(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # some builtins have no signature
        return ()
