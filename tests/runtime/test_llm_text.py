"""Text out of tokens, stop strings, events of a server, and the chat template."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond.models.llm.answerer import Message
from halfsecond.models.llm.chat_template import ChatTemplate, read_chat
from halfsecond.models.llm.detokenizer import StopText, StreamingDetokenizer
from halfsecond.models.llm.server_events import event_data

CHATML = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def decode_bytes(ids: Sequence[int]) -> str:
    """A byte-level decoder: a token is a byte."""
    return bytes(ids).decode("utf-8", errors="replace")


def test_characters_of_several_tokens_come_out_whole() -> None:
    text = "café 你好 🎉"
    detokenizer = StreamingDetokenizer(decode_bytes)
    pieces = [detokenizer.push(token) for token in text.encode()]
    assert "".join(pieces) + detokenizer.flush() == text
    assert "�" not in "".join(pieces)
    assert pieces.count("") == len(text.encode()) - len(text)


def test_a_character_that_was_cut_off_is_left_out() -> None:
    detokenizer = StreamingDetokenizer(decode_bytes)
    given = [detokenizer.push(token) for token in "ok 你".encode()[:-1]]
    assert "".join(given) + detokenizer.flush() == "ok "


def test_leading_white_space_is_dropped_and_inner_is_kept() -> None:
    detokenizer = StreamingDetokenizer(decode_bytes)
    assert "".join(detokenizer.push(token) for token in b"\n  a b ") == "a b "


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_a_stop_string_is_found_across_pieces_and_never_given(size: int) -> None:
    text = "Nine <to> six.<end>More"
    stops = StopText(["<end>", "\n\n"])
    given = ""
    for at in range(0, len(text), size):
        given += stops.push(text[at : at + size])
        if stops.is_stopped:
            break
    assert given + stops.flush() == "Nine <to> six."


def test_the_start_of_a_stop_string_that_never_ends_is_given_at_the_end() -> None:
    stops = StopText(["<end>"])
    assert stops.push("six <en") == "six "
    assert stops.flush() == "<en"


def test_events_are_read_as_the_standard_says() -> None:
    lines = [b": hi\n", b"data: a\r\n", b"data:b\r\n", b"\r\n", b"id: 3\n", b"\n", b"data:  c\n"]
    assert list(event_data(lines)) == ["a\nb", " c"]


def test_a_template_renders_the_conversation() -> None:
    talk = [Message("system", "Be kind."), Message("user", "Hi")]
    assert ChatTemplate(CHATML).render(talk) == "<|system|>Be kind.\n<|user|>Hi\n<|assistant|>"


def test_a_template_cannot_reach_python() -> None:
    spy = ChatTemplate("{{ messages.__class__.__mro__ }}")
    with pytest.raises(UnsupportedModelError, match="unsafe"):
        spy.render([Message("user", "Hi")])


def test_a_template_that_refuses_a_role_says_so() -> None:
    refusing = ChatTemplate("{{ raise_exception('no system role') }}")
    with pytest.raises(UnsupportedModelError, match="no system role"):
        refusing.render([Message("system", "x")])


def test_chat_json_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    with pytest.raises(ModelMissingError, match=r"chat\.json is missing"):
        read_chat(path)
    for text in ("{", "[]", "{}", '{"chat_template": "{% for %}"}'):
        path.write_text(text)
        with pytest.raises(ModelCorruptError, match="template"):
            read_chat(path)


def test_chat_json_gives_the_end_tokens_and_the_names_of_special_ones(tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    chat = {"chat_template": "{{ bos_token }}", "bos_token": "<s>", "stop_tokens": ["</s>", "<e>"]}
    path.write_text(json.dumps(chat))
    template, ends = read_chat(path)
    assert template.render([]) == "<s>"
    assert ends == ("</s>", "<e>")
