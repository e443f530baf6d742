"""The answerer at an OpenAI-compatible address, against a server on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from halfsecond.errors import ConfigError, StageError
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.openai_compatible import OpenAiAnswerer

QUESTION = [Message("system", "You are a guide."), Message("user", "Where is the café?")]
Script = Callable[["FakeHandler"], None]


class FakeHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, dict(self.headers), json.loads(body)))
        self.close_connection = True
        self.server.script(self)

    def begin(self, status: int = 200, kind: str = "text/event-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


class FakeServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeHandler)
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.script: Script = lambda handler: handler.send_error(500)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        thread = threading.Thread(target=fake.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield fake
        fake.shutdown()
        thread.join()


def event(text: str | None, finish: str | None = None) -> bytes:
    delta = {} if text is None else {"content": text}
    chunk = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n".encode()


def ask(server_url: str, **options: Any) -> list[str]:
    answerer = OpenAiAnswerer(server_url, model="tiny", **options)
    return list(answerer.answer(QUESTION, sampling=Sampling(), is_cancelled=lambda: False))


def test_pieces_come_through_however_the_bytes_are_cut(server: FakeServer) -> None:
    stream = (
        b": a comment\r\n\r\n"
        + event(None)
        + event("Le café")
        + event(" est là 你好 🎉.").replace(b"\n", b"\r\n")
        + event(None, "stop")
        + b"data: [DONE]\n\n"
    )

    def byte_by_byte(handler: FakeHandler) -> None:
        handler.begin()
        for at in range(len(stream)):
            handler.send(stream[at : at + 1])
        handler.send(b"")

    server.script = byte_by_byte
    assert ask(server.url) == ["Le café", " est là 你好 🎉."]


def test_the_request_holds_the_conversation_the_sampling_and_the_key(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def done(handler: FakeHandler) -> None:
        handler.begin()
        handler.send(b"data: [DONE]\n\n")
        handler.send(b"")

    server.script = done
    monkeypatch.setenv("MY_KEY", "secret")
    answerer = OpenAiAnswerer(server.url + "/", model="tiny", api_key_env="MY_KEY")
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=7, seed=3)
    assert not list(answerer.answer(QUESTION, sampling=sampling, is_cancelled=lambda: False))
    path, headers, body = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert body == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "You are a guide."},
            {"role": "user", "content": "Where is the café?"},
        ],
        "stream": True,
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
    }


def test_a_server_that_does_not_stream_answers_in_one_piece(server: FakeServer) -> None:
    def whole(handler: FakeHandler) -> None:
        handler.begin(kind="application/json")
        handler.send(json.dumps({"choices": [{"message": {"content": "Left."}}]}).encode())
        handler.send(b"")

    server.script = whole
    assert ask(server.url) == ["Left."]


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        (401, "environment variable MY_KEY"),
        (404, "llm.base_url"),
        (429, "limits its rate"),
        (503, "server's own log"),
    ],
)
def test_an_error_status_names_the_remedy_and_the_servers_words(
    server: FakeServer, status: int, remedy: str
) -> None:
    def refuse(handler: FakeHandler) -> None:
        handler.begin(status, "application/json")
        handler.send(b'{"error": "no such thing"}')
        handler.send(b"")

    server.script = refuse
    with pytest.raises(StageError, match=rf"{status}.*no such thing.*{remedy}"):
        ask(server.url, api_key_env="MY_KEY")


def test_an_error_in_the_stream_is_reported(server: FakeServer) -> None:
    def fail(handler: FakeHandler) -> None:
        handler.begin()
        handler.send(event("One"))
        handler.send(b'data: {"error": {"message": "out of memory"}}\n\n')
        handler.send(b"")

    server.script = fail
    with pytest.raises(StageError, match="out of memory"):
        ask(server.url)


def test_a_stream_that_breaks_off_gives_what_came_and_then_an_error(server: FakeServer) -> None:
    def break_off(handler: FakeHandler) -> None:
        handler.begin()
        handler.send(event("The museum"))
        handler.wfile.flush()

    server.script = break_off
    answerer = OpenAiAnswerer(server.url, model="tiny")
    pieces = answerer.answer(QUESTION, sampling=Sampling(), is_cancelled=lambda: False)
    assert next(pieces) == "The museum"
    with pytest.raises(StageError, match="broke off in the middle"):
        next(pieces)


def test_dropping_an_answer_closes_the_stream_though_the_server_is_silent(
    server: FakeServer,
) -> None:
    client_left = threading.Event()

    def fall_silent(handler: FakeHandler) -> None:
        handler.begin()
        handler.send(event("One"))
        handler.connection.settimeout(10)
        if handler.rfile.read(1) == b"":
            client_left.set()

    server.script = fall_silent
    is_cancelled = threading.Event()
    answerer = OpenAiAnswerer(server.url, model="tiny", read_timeout_s=60)
    pieces = answerer.answer(QUESTION, sampling=Sampling(), is_cancelled=is_cancelled.is_set)
    assert next(pieces) == "One"
    is_cancelled.set()
    assert list(pieces) == []
    assert client_left.wait(5)


def test_a_server_that_stays_silent_is_given_up(server: FakeServer) -> None:
    let_go = threading.Event()

    def say_nothing(handler: FakeHandler) -> None:
        handler.begin()
        let_go.wait(10)

    server.script = say_nothing
    with pytest.raises(StageError, match="silent for too long"):
        ask(server.url, read_timeout_s=0.05)
    let_go.set()


def test_an_address_where_nobody_listens_is_named(server: FakeServer) -> None:
    url = server.url
    server.server_close()
    with pytest.raises(StageError, match=r"http://127\.0\.0\.1:\d+ cannot be asked.*llm\.base_url"):
        ask(url)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", ""])
def test_what_is_no_address_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"llm\.base_url"):
        OpenAiAnswerer(url, model="tiny")
