"""`halfsecond engines`, as it is typed, on a stand-in of the library."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fakes.engine_libraries import install
from fakes.networks import two_layers
from halfsecond.engine import ENGINE_NAME, this_machine
from halfsecond.errors import ConfigError, NoGpuError
from halfsecond.gpu import Gpu
from halfsecond_export.engines import conditions
from halfsecond_export.engines.cli import app

PROFILE = "x=1x8:4x8:16x8"


class Typed:
    """The command on a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.source = two_layers(folder / "my net.onnx")
        self.home = folder / "home"

    def __call__(self, *arguments: str) -> Result:
        result = CliRunner().invoke(app, [*arguments, "--home", str(self.home)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def build(self, *options: str) -> Result:
        return self("build", str(self.source), "--profile", PROFILE, *options)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """The command with the stand-ins in place, on a machine without a GPU."""
    install(monkeypatch)

    def absent() -> Gpu:
        raise NoGpuError("no GPU here: none in this test")

    monkeypatch.setattr(conditions, "this_machine", lambda: this_machine(absent))
    return Typed(tmp_path)


def test_a_build_says_what_it_did_and_what_this_machine_can_do_with_it(typed: Typed) -> None:
    result = typed.build("--name", "lips", "--sm", "89")
    assert result.exit_code == 0
    assert "built in" in result.output
    assert "rewritten for TensorRT: fp16" in result.output
    assert "8.9" in result.output
    assert (typed.home / "built" / "lips" / ENGINE_NAME).is_file()


def test_json_is_all_that_a_build_prints(typed: Typed) -> None:
    report: Any = json.loads(typed.build("--json", "--precision", "fp32").stdout)
    assert report["outcome"] == "built"
    assert report["name"] == "my net-fp32-tensorrt_rtx"
    assert report["size_bytes"] == 200_000
    assert report["manifest"]["compute_capabilities"][0] == "7.5"


def test_the_command_in_the_manifest_builds_the_same_engine(typed: Typed) -> None:
    options = ["--name", "lips", "--sm", "8.9", "--sm", "8.6", "--half-io", "--workspace-mb", "64"]
    first: Any = json.loads(typed.build("--json", *options).stdout)
    program, name, *arguments = shlex.split(first["manifest"]["rebuild"])
    assert (program, name) == ("halfsecond", "engines")
    assert str(typed.source) in arguments
    again = CliRunner().invoke(app, [*arguments, "--json"])
    report: Any = json.loads(again.stdout)
    assert report["outcome"] == "up to date"
    assert report["manifest"]["key"] == first["manifest"]["key"]


def test_an_empty_home_names_the_command_that_fills_it(typed: Typed) -> None:
    result = typed("list")
    assert result.exit_code == 0
    assert "No engines in" in result.output
    assert "halfsecond engines build" in result.output


def test_verify_finds_what_list_does_not_look_for(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed.build("--name", "lips")
    assert typed("verify").exit_code == 0
    plan = typed.home / "built" / "lips" / ENGINE_NAME
    content = bytearray(plan.read_bytes())
    content[100] ^= 1
    plan.write_bytes(bytes(content))
    assert typed("list").exit_code == 0
    result = typed("verify", "--json")
    assert result.exit_code == 1
    [engine] = json.loads(result.stdout)["engines"]
    assert engine["state"] == "refused"
    assert "not what was written; make it again: halfsecond engines build" in engine["detail"]


def test_an_engine_that_missed_its_tolerance_ends_with_1(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "halfsecond_export.engines.comparing.signal_to_noise_db", lambda wanted, found: -3.0
    )
    result = typed.build("--name", "lips")
    assert result.exit_code == 1
    assert "rejected: rewritten y" in result.output
    assert typed.build("--name", "lips", "--no-compare").exit_code == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--library", "tensorrt9"], "expected one of tensorrt, tensorrt_rtx"),
        (["--precision", "fp8"], "expected one of fp32, fp16, int8, int8_fp16"),
        (["--name", "../lips"], "expected a plain name"),
        (["--sm", "ada"], "no compute capability"),
        (["--recipe", "lips"], "there are wav2lip, whisper-encoder, "),
        (["--cut-inputs", "hiden"], "spelt alike: hidden"),
    ],
)
def test_an_option_that_cannot_be_used_is_told_with_those_that_can(
    typed: Typed, options: list[str], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        typed.build(*options)


def test_a_hidden_half_made_engine_is_not_listed(typed: Typed) -> None:
    typed.build("--name", "lips")
    folder = typed.home / "built"
    half = folder / ".lips.partial-1"
    half.mkdir()
    (half / "artifact.json").write_bytes((folder / "lips" / "artifact.json").read_bytes())
    found = conditions.engine_conditions(folder, is_thorough=False)
    assert [each.name for each in found] == ["lips"]
