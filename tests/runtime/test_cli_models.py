"""`halfsecond models`, as it is typed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from halfsecond.cli.models import app
from halfsecond.errors import ConfigError, LicenceError

WEIGHTS = b"weights" * 1000

CATALOG = """
[profiles]
cpu-en = ["ears"]

[models.ears]
title = "Ears"
stage = "asr"
languages = ["en"]
licence = "MIT"
licence_url = "https://example.org/mit"
notice = "By nobody."

[[models.ears.files]]
path = "model.bin"
size_bytes = {size_bytes}
sha256 = "{sha256}"
sources = [{{ kind = "wheel", package = "some-models", version = "1.0", member = "model.bin" }}]

[models.lips]
title = "Lips"
stage = "lipsync"
licence = "LicenseRef-Private"
licence_url = "https://example.org/private"
notice = "For private use."
needs_acceptance = true

[[models.lips.files]]
path = "lips.onnx"
sources = [{{ kind = "file" }}]
"""


class Terminal:
    """Types commands against a catalog of two models and a stick with one wheel."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "home"
        self.stick = directory / "stick"
        self.stick.mkdir()
        with zipfile.ZipFile(self.stick / "some_models-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr("model.bin", WEIGHTS)

    def run(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--home", str(self.home)])

    def json(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json").stdout)

    def fetch(self, *words: str) -> Result:
        return self.run("fetch", *words, "--offline", "--find-links", str(self.stick))


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    catalog = tmp_path / "models.toml"
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    catalog.write_text(CATALOG.format(size_bytes=len(WEIGHTS), sha256=digest), encoding="utf-8")
    monkeypatch.setenv("HALFSECOND_CATALOG", str(catalog))
    return Terminal(tmp_path)


def test_the_default_profile_is_fetched_and_its_licence_shown(terminal: Terminal) -> None:
    result = terminal.fetch()
    assert result.exit_code == 0, result.output
    assert "ears (Ears): MIT, https://example.org/mit. By nobody." in result.stdout
    assert "ears: fetched" in result.stdout
    assert (terminal.home / "models/ears/model.bin").read_bytes() == WEIGHTS
    assert "ears: already there" in terminal.fetch("ears").stdout


def test_fetch_reports_as_json_alone_on_stdout(terminal: Terminal) -> None:
    report = json.loads(terminal.fetch("ears", "--json").stdout)
    [model] = report["models"]
    assert (model["name"], model["outcome"], model["licence"]) == ("ears", "fetched", "MIT")
    assert model["size_bytes"] == len(WEIGHTS)
    assert model["origins"] == {"model.bin": "wheel some-models==1.0"}


def test_list_tells_what_is_here(terminal: Terminal) -> None:
    terminal.fetch("ears")
    shown = {row["name"]: row for row in terminal.json("list")["models"]}
    assert shown["ears"]["state"] == "fetched"
    assert shown["lips"]["state"] == "missing"
    assert shown["lips"]["needs_acceptance"] is True
    table = terminal.run("list").stdout
    assert "ears" in table
    assert "fetched" in table
    assert "profile cpu-en: ears" in table


def test_verify_tells_a_tampered_file_and_exits_with_one(terminal: Terminal) -> None:
    terminal.fetch("ears")
    assert terminal.run("verify").exit_code == 0
    (terminal.home / "models/ears/model.bin").write_bytes(b"!" + WEIGHTS[1:])
    result = terminal.run("verify", "ears")
    assert result.exit_code == 1
    assert "ears corrupt: model.bin has sha256" in result.stdout
    [row] = terminal.json("verify")["models"]
    assert row["state"] == "corrupt"


def test_verify_of_an_empty_store_names_the_next_command(terminal: Terminal) -> None:
    assert "run `halfsecond models fetch`" in terminal.run("verify").stdout


def test_a_licence_is_accepted_by_name(terminal: Terminal, tmp_path: Path) -> None:
    own = tmp_path / "mine.onnx"
    own.write_bytes(b"lips")
    words = ("lips", "--file", f"lips={own}")
    refused = terminal.fetch(*words)
    assert isinstance(refused.exception, LicenceError)
    assert "For private use." in str(refused.exception)
    assert terminal.fetch(*words, "--accept-licence", "lips").exit_code == 0
    assert (terminal.home / "models/lips/lips.onnx").read_bytes() == b"lips"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nose",), "unknown model or profile 'nose'; models: ears, lips; profiles: cpu-en"),
        (("ears", "--accept-licence", "nose"), "unknown model 'nose'; the catalog has: ears, lips"),
        (("ears", "--file", "ears"), "--file 'ears': expected NAME=PATH"),
        (("ears", "--find-links", "/no/such"), "there is no such directory"),
    ],
)
def test_a_mistake_is_said_with_what_would_have_been_right(
    words: tuple[str, ...], message: str, terminal: Terminal
) -> None:
    result = terminal.run("fetch", *words)
    assert isinstance(result.exception, ConfigError)
    assert message in str(result.exception)
