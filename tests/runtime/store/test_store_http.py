"""Files over HTTP: who gets the token, and what is said when it fails."""

from __future__ import annotations

from typing import Any

import pytest

from halfsecond.catalog import HubFile
from halfsecond.errors import FetchError
from halfsecond.store.fetching import ModelFetcher
from halfsecond.store.http_files import ConnectionCutError, hub_address, open_url

CONTENT = b"weights" * 1000
HUB_PATH = "org/repo/resolve/abc123/a%20model.bin"


def test_a_hub_file_is_found_at_its_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    file = HubFile(repo="org/repo", path="a model.bin", revision="abc123")
    assert hub_address(file, {}) == f"https://huggingface.co/{HUB_PATH}"
    mirror = {"HF_ENDPOINT": "https://mirror.example/"}
    assert hub_address(file, mirror) == f"https://mirror.example/{HUB_PATH}"


def test_the_hub_token_stays_with_the_hub(
    stores: Any, file_server: Any, other_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = other_server.add("blob", CONTENT)
    file_server.redirects[HUB_PATH] = f"{file_server.url}/moved"
    file_server.redirects["moved"] = stored.url
    monkeypatch.setenv("HF_ENDPOINT", file_server.url)
    monkeypatch.setenv("HF_TOKEN", "secret")
    source = HubFile(repo="org/repo", path="a model.bin", revision="abc123")
    store = stores.model("m", stores.file("model.bin", CONTENT, source))
    ModelFetcher(store).fetch(["m"])
    tokens = [headers.get("Authorization") for _, headers in file_server.requests]
    assert tokens == ["Bearer secret", "Bearer secret"]
    assert [headers.get("Authorization") for _, headers in other_server.requests] == [None]
    assert (store.path("m") / "model.bin").read_bytes() == CONTENT


def test_a_redirected_download_goes_on_where_it_stopped(
    stores: Any, file_server: Any, other_server: Any
) -> None:
    stored = other_server.add("blob", CONTENT)
    other_server.cut_after["blob"] = [3000]
    source = file_server.add("model.bin", b"")
    file_server.redirects["model.bin"] = stored.url
    store = stores.model("m", stores.file("model.bin", CONTENT, source))
    ModelFetcher(store, pause=lambda _duration_s: None).fetch(["m"])
    assert other_server.ranges() == [None, "bytes=3000-"]
    assert (store.path("m") / "model.bin").read_bytes() == CONTENT


def test_a_missing_file_is_not_asked_for_twice(file_server: Any) -> None:
    with pytest.raises(FetchError, match="the server answered 404") as caught:
        open_url(f"{file_server.url}/nothing")
    assert not isinstance(caught.value, ConnectionCutError)


def test_a_server_that_is_away_can_be_asked_again(file_server: Any) -> None:
    with pytest.raises(ConnectionCutError, match="cannot be reached"):
        open_url("http://127.0.0.1:1/model.bin")


def test_only_http_addresses_are_opened() -> None:
    with pytest.raises(FetchError, match="only http and https"):
        open_url("file:///etc/hostname")
