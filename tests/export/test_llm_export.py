"""`halfsecond export llm`: artifacts that were compared with their weights, or nothing at all."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes.hugging_face_models import write_model
from halfsecond.artifact import Artifact, read_artifact, verified_artifact
from halfsecond.config import load
from halfsecond.config.check import check_usable
from halfsecond.errors import ConfigError, HalfsecondError, ModelCorruptError, ModelError
from halfsecond.errors import UnsupportedModelError as Unsupported
from halfsecond.models.llm.answerer import Message, Sampling
from halfsecond.models.llm.registry import open_answerer
from halfsecond_export.cli import app
from halfsecond_export.llm import exporting, parity
from halfsecond_export.llm.exporting import FORMATS, Request, export
from halfsecond_export.llm.parity import Reading, passages_of, read_passages
from halfsecond_export.llm.source import LanguageModelSource, open_source
from halfsecond_export.prepare.ctranslate2_decoder import write_ctranslate2
from halfsecond_export.prepare.decoder_pass import logits
from halfsecond_export.prepare.language_model import LanguageModel


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> LanguageModelSource:
    return open_source(write_model("qwen3", tmp_path_factory.mktemp("qwen3")))


def request_for(source: LanguageModelSource, out: Path, *formats: str) -> Request:
    text = parity.TEXT.read_text(encoding="utf-8")
    rebuild = f"halfsecond export llm here --out {out}"
    return Request(source=source, out=out, text=text, formats=formats, rebuild=rebuild)


def quietly(request: Request) -> dict[str, Artifact]:
    return export(request, progress=lambda *_: None)


@pytest.fixture(scope="module")
def exported(
    source: LanguageModelSource, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Artifact]]:
    out = tmp_path_factory.mktemp("exported")
    return out, quietly(request_for(source, out, *FORMATS))


def test_each_format_is_compared_with_its_weights(
    exported: tuple[Path, dict[str, Artifact]],
) -> None:
    out, artifacts = exported
    assert list(artifacts) == list(FORMATS)
    for name, artifact in artifacts.items():
        assert verified_artifact(out / name) == artifact
        perplexity, tokens, control = artifact.checks
        assert perplexity.what == "change of perplexity"
        assert perplexity.n == tokens.n > 2000  # byte by byte, nearly
        assert perplexity.value < (3 if "int8" in artifact.precision else 0.1)
        assert tokens.value > (0.9 if "int8" in artifact.precision else 0.99)
        assert control.value < 0.1
        assert artifact.kind == "llm"
        assert artifact.details["family"] == "qwen3"
        assert set(artifact.sources) == {
            "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        }  # fmt: skip
        assert artifact.rebuild.endswith(f"--out {out} --format {name}")
    assert artifacts["onnx-fp32"].checks[0].value == 0


@pytest.mark.parametrize("name", FORMATS)
def test_the_runtime_answers_from_what_was_exported(
    name: str, exported: tuple[Path, dict[str, Artifact]], source: LanguageModelSource
) -> None:
    answerer = open_answerer("local", model_path=exported[0] / name, stop=())
    question = [Message("user", "hello")]
    pieces = answerer.answer(question, sampling=Sampling(max_tokens=8), is_cancelled=lambda: False)
    found = "".join(pieces)
    answerer.close()
    model = source.model
    tokens = model.conversation_tokens(question)
    first = int(logits(model.network, model.architecture, tokens)[-1].argmax())
    assert found.startswith(model.tokenizer.decode([first]))


def test_a_network_that_was_damaged_on_the_way_is_rejected(
    source: LanguageModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(model: LanguageModel, directory: Path, *, quantization: str) -> None:
        broken = parity.damaged(model.network, model.architecture)
        damaged = dataclasses.replace(model, network=broken)
        write_ctranslate2(damaged, directory, quantization=quantization)

    monkeypatch.setattr(exporting, "write_ctranslate2", write)
    quietly(request_for(source, tmp_path, "ctranslate2-int8"))
    assert read_artifact(tmp_path / "ctranslate2-int8").is_rejected
    with pytest.raises(Unsupported, match=r"rejected: .*greedy tokens that match"):
        verified_artifact(tmp_path / "ctranslate2-int8")


def test_a_comparison_that_could_not_fail_is_rejected(
    source: LanguageModelSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "damaged", lambda network, _: network)
    artifact = quietly(request_for(source, tmp_path, "onnx-fp32"))["onnx-fp32"]
    (missed,) = artifact.missed
    assert missed.what.startswith("control: greedy tokens that match")
    assert missed.value == 1


@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_an_export_that_ends_badly_leaves_the_old_artifact_and_nothing_else(
    source: LanguageModelSource,
    exported: tuple[Path, dict[str, Artifact]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
) -> None:
    shutil.copytree(exported[0] / "onnx-int8", tmp_path / "onnx-int8")

    def fail(model: Any, directory: Path, **_: Any) -> None:
        (directory / "model.onnx").write_bytes(b"half")
        raise failure

    monkeypatch.setattr(exporting, "write_onnx", fail)
    with pytest.raises(type(failure)):
        quietly(request_for(source, tmp_path, "onnx-int8"))
    assert verified_artifact(tmp_path / "onnx-int8") == exported[1]["onnx-int8"]
    assert [path.name for path in tmp_path.iterdir()] == ["onnx-int8"]


def test_a_mistake_is_named_before_anything_is_written(
    source: LanguageModelSource, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"no format int4; there are ctranslate2-int8"):
        quietly(request_for(source, tmp_path, "int4"))
    short = Request(source=source, out=tmp_path, text="Hello.", formats=["onnx-int8"], rebuild="")
    with pytest.raises(ConfigError, match=r"has \d+ tokens, expected 100 or more.*--text"):
        quietly(short)
    gemma = open_source(write_model("gemma3", tmp_path / "gemma"))
    with pytest.raises(Unsupported, match=r"gemma3 has norms.*--format ctranslate2-int8"):
        quietly(request_for(gemma, tmp_path / "out", "onnx-int8"))
    assert [path.name for path in tmp_path.iterdir()] == ["gemma"]


def test_passages_are_paragraphs_no_longer_than_a_window(tmp_path: Path) -> None:
    text = "hello " * 40 + "\n\n" + "abc " * 30
    model = open_source(write_model("mistral", tmp_path, sliding_window=50)).model
    passages = passages_of(model, text)
    assert max(map(len, passages)) == 50
    joined = "".join(model.tokenizer.decode(passage) for passage in passages)
    assert joined == ("hello " * 40).strip() + ("abc " * 30).strip()


def test_a_reading_is_of_every_token_but_the_first() -> None:
    def forward(tokens: list[int]) -> Any:
        return np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [1, 1, 1]]))[: len(tokens)]

    reading = read_passages(forward, [[0, 1, 2], [2, 0]])
    np.testing.assert_allclose(np.exp(-reading.surprise), [0.25, 0.8, 0.5], rtol=1e-6)
    assert reading.likeliest.tolist() == [0, 2, 0]
    assert reading.perplexity == pytest.approx((0.25 * 0.8 * 0.5) ** (-1 / 3))


def test_a_perplexity_that_falls_is_a_change_too() -> None:
    reference = Reading(np.full(4, 2.0), np.zeros(4, np.int64))
    change, tokens = parity.compare(
        reference, Reading(np.full(4, 1.9), np.array([0, 0, 0, 1])), "int8"
    )
    assert change.value == pytest.approx(100 * (1 - np.exp(-0.1)), abs=1e-3)
    assert not change.is_met
    assert tokens.value == 0.75


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["llm", *arguments])


def test_the_command_reports_as_json(tmp_path: Path) -> None:
    directory = write_model("llama", tmp_path / "model")
    result = run(str(directory), "--out", str(tmp_path / "out"), "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)["ctranslate2-int8"]
    assert report["directory"] == str(tmp_path / "out" / "ctranslate2-int8")
    assert report["is_rejected"] is False
    assert report["artifact"]["precision"] == "int8"


def test_the_command_shows_a_table_and_ends_with_1_when_something_was_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parity, "CONTROL_MATCHING", -1.0)
    directory = write_model("llama", tmp_path / "model")
    result = run(str(directory), "--out", str(tmp_path / "out"), "--format", "onnx-fp32")
    assert result.exit_code == 1
    assert "change of perplexity" in result.stdout
    assert "onnx-fp32 is rejected and will not be used" in result.stdout


def test_a_full_disk_is_an_error_that_names_the_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(exporting, "write_ctranslate2", fail)
    result = run(str(write_model("llama", tmp_path / "model")), "--out", str(tmp_path / "out"))
    assert isinstance(result.exception, ModelError)
    assert f"{tmp_path / 'out'} could not be written" in str(result.exception)


def test_a_text_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    result = run(str(tmp_path), "--text", str(tmp_path / "none.txt"))
    assert isinstance(result.exception, ConfigError)
    assert "none.txt" in str(result.exception)


def checked(folder: Path, model: Path | str) -> None:
    config = folder / "kiosk.toml"
    config.write_text(f'[llm]\nmodel = "{model}"\n')
    check_usable(load(config))


def test_the_config_takes_the_directory_and_refuses_one_that_was_changed(
    exported: tuple[Path, dict[str, Artifact]], tmp_path: Path
) -> None:
    shutil.copytree(exported[0] / "ctranslate2-int8", tmp_path / "out" / "model")
    checked(tmp_path, "./out/model")  # relative to the config
    with (tmp_path / "out" / "model" / "model.bin").open("r+b") as file:
        file.seek(5000)
        file.write(b"!")
    with pytest.raises(ModelCorruptError, match=r"not what was written; make it again: halfsec"):
        checked(tmp_path, "./out/model")


def test_an_artifact_of_another_kind_is_no_language_model(
    exported: tuple[Path, dict[str, Artifact]], tmp_path: Path
) -> None:
    (tmp_path / "kiosk.toml").write_text(f'[asr]\nmodel = "{exported[0] / "onnx-int8"}"\n')
    with pytest.raises(HalfsecondError, match="holds a llm, expected a whisper"):
        check_usable(load(tmp_path / "kiosk.toml"))
