"""An answerer at an address that speaks OpenAI's chat completions (vLLM, llama.cpp, Ollama …)."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from halfsecond.errors import ConfigError, StageError
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.server_events import event_data

# How often a silent stream looks whether the answer was dropped: the most that barge-in waits.
_POLL_S = 0.02
_SHOWN_BYTES = 300


class OpenAiAnswerer:
    """Asks `POST {base_url}/chat/completions` and streams what comes.

    The standard library's HTTP client does: one request an answer, and a socket that can be shut
    from another thread, which is how an answer is dropped at once.
    """

    def __init__(
        self,
        base_url: str,
        *,
        model: str,
        api_key_env: str = "",
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 20.0,
    ) -> None:
        """`base_url` ends in the version, as in `http://localhost:8000/v1`; `api_key_env` names
        the environment variable that holds the key, which may be unset where none is needed.

        Raises ConfigError for an address that is none.
        """
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"llm.base_url is {base_url!r}; it must be an address such as "
                "http://localhost:8000/v1"
            )
        self._is_secure = parts.scheme == "https"
        self._host, self._port = parts.hostname, parts.port
        self._path = parts.path.rstrip("/") + "/chat/completions"
        self._address = f"{parts.scheme}://{parts.hostname}:{parts.port or ''}".rstrip(":")
        self._model = model
        self._api_key_env = api_key_env
        self._api_key = os.environ.get(api_key_env, "") if api_key_env else ""
        self._connect_timeout_s, self._read_timeout_s = connect_timeout_s, read_timeout_s

    def forget(self) -> None:
        """Does nothing: nothing is kept."""

    def prefill(self, messages: Sequence[Message]) -> None:
        """Does nothing: servers cache prefixes on their own."""

    def sentence_end(self, messages: Sequence[Message]) -> None:
        """None: the protocol has no way to ask."""

    def answer(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling,
        is_cancelled: Callable[[], bool],
    ) -> Iterator[str]:
        """Pieces of the answer; see `Answerer.answer`.

        Raises StageError when the address cannot be reached, refuses, or breaks off.
        """
        exchange = _Exchange(self._connection(), self._read_timeout_s)
        reader = threading.Thread(
            target=exchange.run,
            args=(self._path, self._body(messages, sampling), self._headers()),
            name="llm-http",
            daemon=True,
        )
        reader.start()
        try:
            yield from self._pieces(exchange, is_cancelled)
        finally:
            exchange.close()

    def close(self) -> None:
        """Does nothing: no connection outlives its answer."""

    def _pieces(self, exchange: _Exchange, is_cancelled: Callable[[], bool]) -> Iterator[str]:
        while not is_cancelled():
            try:
                item = exchange.items.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise self._explained(item) from item
            yield item

    def _connection(self) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._is_secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._connect_timeout_s)

    def _body(self, messages: Sequence[Message], sampling: Sampling) -> bytes:
        # No repetition penalty: the servers do not agree on its name.
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in messages],
            "stream": True,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
        }
        if sampling.seed is not None:
            body["seed"] = sampling.seed
        return json.dumps(body, ensure_ascii=False).encode()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if self._api_key:
            headers["Authorization"] = f"Bearer {self._api_key}"
        return headers

    def _explained(self, error: Exception) -> StageError:
        if isinstance(error, _RefusedError):
            return StageError(f"{self._address} answered {error}; {self._remedy(error.status)}")
        if isinstance(error, TimeoutError):
            return StageError(
                f"{self._address} was silent for too long; see how busy the server is, "
                "or choose a smaller model"
            )
        return StageError(
            f"{self._address} cannot be asked: {error}; "
            "check that the server runs and that llm.base_url is its address"
        )

    def _remedy(self, status: int) -> str:
        if status in (401, 403):
            variable = self._api_key_env or "that llm.api_key_env names"
            return f"set a valid key in the environment variable {variable}"
        if status == 404:
            return f"check llm.base_url (it ends in /v1 as a rule) and llm.model ({self._model!r})"
        if status == 429:
            return "the server limits its rate: ask less often or use another one"
        return "see the server's own log"


class _RefusedError(Exception):
    """The server's own word that it will not answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text.strip()}")
        self.status = status


class _Exchange:
    """One request and its answer, read on a thread of its own into `items`."""

    def __init__(self, connection: http.client.HTTPConnection, read_timeout_s: float) -> None:
        self.items: queue.SimpleQueue[str | Exception | None] = queue.SimpleQueue()
        self._connection = connection
        self._read_timeout_s = read_timeout_s
        self._is_closed = threading.Event()
        # The connection lets go of its socket while the response still reads from it.
        self._socket: socket.socket | None = None

    def run(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        """Puts each piece of the answer, then None, or the exception that ended it."""
        try:
            self._connection.connect()
            sock: socket.socket = self._connection.sock
            sock.settimeout(self._read_timeout_s)
            self._socket = sock
            if not self._is_closed.is_set():
                self._connection.request("POST", path, body, headers)
                with self._connection.getresponse() as response:
                    self._read(response)
            self.items.put(None)
        except (OSError, http.client.HTTPException, ValueError, _RefusedError) as error:
            self.items.put(error)
        finally:
            self._connection.close()

    def close(self) -> None:
        """Ends the exchange at once, whatever it waits for. Safe to call twice."""
        self._is_closed.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the other side was faster
                self._socket.shutdown(socket.SHUT_RDWR)

    def _read(self, response: http.client.HTTPResponse) -> None:
        if response.status != 200:
            text = response.read(_SHOWN_BYTES).decode("utf-8", errors="replace")
            raise _RefusedError(response.status, text)
        if response.headers.get_content_type() == "application/json":
            self.items.put(_content(_parsed(response.read().decode()), "message"))
            return
        is_finished = False
        for data in event_data(response):
            if data == "[DONE]":
                return
            chunk = _parsed(data)
            piece = _content(chunk, "delta")
            if piece:
                self.items.put(piece)
            is_finished = is_finished or _is_last(chunk)
        if not is_finished:
            raise ConnectionResetError("the stream broke off in the middle of the answer")


def _parsed(text: str) -> dict[str, Any]:
    chunk = json.loads(text)
    if not isinstance(chunk, dict):
        raise ValueError(f"it sent {text[:_SHOWN_BYTES]!r} where an object was expected")
    if chunk.get("error"):
        error = chunk["error"]
        message = error.get("message", error) if isinstance(error, dict) else error
        raise _RefusedError(500, str(message)[:_SHOWN_BYTES])
    return chunk


def _content(chunk: dict[str, Any], part: str) -> str:
    choices = chunk.get("choices") or [{}]
    content = (choices[0].get(part) or {}).get("content")
    return content if isinstance(content, str) else ""


def _is_last(chunk: dict[str, Any]) -> bool:
    return any(choice.get("finish_reason") for choice in chunk.get("choices") or [])
