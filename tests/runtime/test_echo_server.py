"""A server without the canceller that its config asks for says so before anybody comes."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import msgspec
import pytest

from fakes.engines import FakeEngines
from fakes.servers import QUICK
from halfsecond.bus.server import Server
from halfsecond.config import Config, EchoConfig
from halfsecond.diagnosis import examine
from halfsecond.errors import ConfigError
from halfsecond.models.llm.persona import Persona


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def refuse(name: str, *rest: str | None) -> object:
        if name.split(".")[0] == "livekit":
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", refuse)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.usefixtures("without_package")
async def test_a_canceller_that_is_not_installed_is_told_at_the_start(tmp_path: Path) -> None:
    config = msgspec.structs.replace(QUICK, echo=EchoConfig(kind="aec3"))
    server = Server(config, FakeEngines().handles(), Persona())
    with pytest.raises(ConfigError, match=r"halfsecond\[aec\]"):
        await server.open(f"ipc://{tmp_path}/server.ipc")


@pytest.mark.usefixtures("without_package")
def test_the_doctor_tells_that_nothing_keeps_the_face_from_hearing_itself() -> None:
    (found,) = [finding for finding in examine(Config()) if finding.subject == "echo"]
    assert found.verdict == "warning"
    assert "halfsecond[aec]" in found.remedy
