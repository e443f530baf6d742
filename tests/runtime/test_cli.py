"""The commands as a user types them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "halfsecond", *arguments],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_help_lists_every_command() -> None:
    shown = run("--help").stdout
    for command in ("bench", "config", "demo", "doctor", "keys", "models", "serve", "talk"):
        assert f" {command} " in shown


def test_an_unknown_config_key_is_an_error_that_lists_the_valid_ones(tmp_path: Path) -> None:
    config = tmp_path / "bad.toml"
    config.write_text('[asr]\nmodle = "whisper-base"\n')
    result = run("config", "check", str(config))
    assert result.returncode == 2
    assert "[asr] has no key `modle`" in result.stderr
    assert "margin_s, model, threads" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[endpoint]\nsilence_s = 99\n", "`endpoint.silence_s` is 99.0; it must lie in 0.06 to 5"),
        ('[asr]\nthreads = "two"\n', "Expected `int`, got `str`"),
        ('[face]\ndriver = "video"\n', "face.driver"),
        ("[asr\n", "is not TOML"),
        ("[vads]\n", "there is no section or key `vads`"),
    ],
)
def test_a_config_that_cannot_be_used_says_why(tmp_path: Path, text: str, message: str) -> None:
    config = tmp_path / "bad.toml"
    config.write_text(text)
    result = run("config", "check", str(config))
    assert result.returncode == 2
    assert message in result.stderr


def test_paths_of_a_config_are_relative_to_its_file(tmp_path: Path) -> None:
    config = tmp_path / "kiosk.toml"
    config.write_text(
        '[face]\nportrait = "me.jpg"\n[persona]\nfacts_file = "facts.txt"\n'
        '[asr]\nmodel = "./exported/onnx-int8"\n'
    )
    shown = json.loads(run("config", "show", "--config", str(config)).stdout)
    assert shown["face"]["portrait"] == str(tmp_path / "me.jpg")
    assert shown["persona"]["facts_file"] == str(tmp_path / "facts.txt")
    assert shown["asr"]["model"] == str(tmp_path / "exported" / "onnx-int8")


def test_the_reference_page_is_the_one_that_the_types_print() -> None:
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    assert run("config", "reference").stdout == page


def test_every_key_of_the_config_is_explained() -> None:
    page = (ROOT / "docs" / "config.md").read_text(encoding="utf-8")
    rows = [row.split("|") for row in page.splitlines() if row.startswith("| `")]
    assert len(rows) > 50
    assert [row[1].strip() for row in rows if not row[4].strip()] == []


def test_a_talk_without_a_server_names_the_command_that_starts_one(tmp_path: Path) -> None:
    result = run("talk", "--connect", f"ipc://{tmp_path}/none.ipc", "--text", "Hello?")
    assert result.returncode == 2
    assert "start one with `halfsecond serve`" in result.stderr


def test_the_server_refuses_an_open_address_without_keys(tmp_path: Path) -> None:
    result = run("serve", "--stage", "vad", "--bind", "tcp://0.0.0.0:5599")
    assert result.returncode == 2
    assert "halfsecond keys" in result.stderr


def test_an_unknown_stage_is_named_with_the_valid_ones() -> None:
    result = run("serve", "--stage", "ears", "--bind", "ipc:///tmp/x.ipc")
    assert result.returncode == 2
    assert "vad, endpoint, asr, llm, tts, lipsync" in result.stderr


@pytest.mark.models
def test_doctor_reports_what_really_ran() -> None:
    result = run("doctor", "--json")
    findings = {f["subject"]: f for f in json.loads(result.stdout)}
    assert result.returncode == 0, result.stdout
    assert "CPUExecutionProvider ran" in findings["onnxruntime"]["found"]
    assert "nodes on CPUExecutionProvider" in findings["llm runs"]["found"]
    assert all(findings[stage]["verdict"] == "ok" for stage in ("vad", "asr", "llm", "tts"))


def test_doctor_names_the_remedy_for_a_missing_model(tmp_path: Path) -> None:
    config = tmp_path / "empty.toml"
    config.write_text(f'[models]\nhome = "{tmp_path}"\n')
    result = run("doctor", "--json", "--config", str(config))
    findings = {f["subject"]: f for f in json.loads(result.stdout)}
    assert result.returncode == 1
    assert findings["asr"]["verdict"] == "error"
    assert "halfsecond models fetch whisper-tiny.en-onnx" in findings["asr"]["remedy"]


def test_warnings_of_any_command_go_to_stderr_where_they_break_no_json() -> None:
    program = """
import structlog, typer
from halfsecond import cli
cli.app.command("warn")(lambda: structlog.get_logger().warning("hot") or typer.echo("{}"))
cli.main()
"""
    result = subprocess.run(
        [sys.executable, "-c", program, "warn"],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert result.stdout == "{}\n"
    assert "hot" in result.stderr
