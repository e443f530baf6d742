"""Preparers: found by name in whatever package offers them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import pytest

from halfsecond.catalog import Preparation
from halfsecond.errors import FetchError
from halfsecond.store.preparation import load_preparer


@dataclass(frozen=True)
class Request:
    sources: Mapping[str, Path]
    target: Path
    options: Mapping[str, str]


@dataclass
class Copier:
    """Copies the sources; `wants` is what it imports when it runs."""

    revision: int = 3
    libraries: tuple[str, ...] = ("pytest",)
    wants: str = "json"

    def __call__(self, request: Request) -> None:
        __import__(self.wants)
        for name, path in request.sources.items():
            (request.target / (request.options["prefix"] + name)).write_bytes(path.read_bytes())


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Copier]:
    """What an installed package offers, by name."""
    module = ModuleType("fake_preparers")
    preparers: dict[str, Copier] = {}
    vars(module).update(PREPARERS=preparers, PrepareRequest=Request)
    monkeypatch.setitem(sys.modules, "fake_preparers", module)
    point = EntryPoint("fake", "fake_preparers:PREPARERS", "halfsecond.preparers")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    return preparers


def test_a_preparer_gets_sources_target_and_options(
    offered: dict[str, Copier], tmp_path: Path
) -> None:
    offered["copy"] = Copier()
    (tmp_path / "source").write_bytes(b"weights")
    preparer = load_preparer(Preparation(name="copy", options={"prefix": "my-"}))
    preparer.run({"model.bin": tmp_path / "source"}, tmp_path, {"prefix": "my-"})
    assert (tmp_path / "my-model.bin").read_bytes() == b"weights"
    assert preparer.revision == 3


def test_an_unknown_preparer_lists_the_known_ones(offered: dict[str, Copier]) -> None:
    offered["copy"] = Copier()
    with pytest.raises(FetchError, match="no preparer 'fold'; installed: copy"):
        load_preparer(Preparation(name="fold"))


def test_a_library_that_is_not_installed_is_named(offered: dict[str, Copier]) -> None:
    offered["copy"] = Copier(libraries=("no-such-library",))
    with pytest.raises(FetchError, match=r"no-such-library not installed.*halfsecond\[prepare\]"):
        load_preparer(Preparation(name="copy"))


def test_an_import_that_fails_while_preparing_is_named(
    offered: dict[str, Copier], tmp_path: Path
) -> None:
    offered["copy"] = Copier(wants="no_such_module")
    preparer = load_preparer(Preparation(name="copy"))
    with pytest.raises(FetchError, match=r"no_such_module.*halfsecond\[prepare\]"):
        preparer.run({}, tmp_path, {})


def test_a_package_that_cannot_be_imported_is_named(
    offered: dict[str, Copier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fake_preparers", None)
    with pytest.raises(FetchError, match=r"needs more packages.*halfsecond\[prepare\]"):
        load_preparer(Preparation(name="copy"))
