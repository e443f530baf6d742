"""A machine with little memory: smaller models are taken, and it is said which and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfsecond import diagnosis
from halfsecond.catalog import Catalog, ModelEntry, load_catalog
from halfsecond.config import Config, parse
from halfsecond.errors import ConfigError, ModelMissingError
from halfsecond.memory_budget import BASE_MB, available_mb, fitted, needed
from halfsecond.store import Store

SIZES = {
    "silero-vad": ("vad", 10, ""),
    "smart-turn": ("endpoint", 40, ""),
    "whisper-tiny.en-onnx": ("asr", 100, ""),
    "whisper-base-onnx": ("asr", 250, "whisper-tiny.en-onnx"),
    "smollm2-135m-onnx": ("llm", 300, ""),
    "hibari": ("tts", 50, ""),
    "kokoro": ("tts", 400, "hibari"),
    "face": ("lipsync", 100, ""),
}
LARGE = {"asr": {"model": "whisper-base-onnx"}, "tts": {"model": "kokoro", "voice": "bf_emma"}}


class Shelf(Store):
    """A store in which all that is in `missing` was not fetched."""

    missing: frozenset[str] = frozenset()

    def path(self, name: str) -> Path:
        if name in self.missing:
            raise ModelMissingError(name)
        return self.directory(name)


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    models = {
        name: ModelEntry(
            title=name,
            stage=stage,  # type: ignore[arg-type]
            licence="MIT",
            licence_url="",
            files=(),
            languages=("en",) if name in ("hibari", "whisper-tiny.en-onnx") else (),
            memory_mb=memory_mb,
            lighter=lighter,
        )
        for name, (stage, memory_mb, lighter) in SIZES.items()
    }
    return Shelf(tmp_path, Catalog(models=models))


def config(**sections: object) -> Config:
    return parse({"memory": {"reserve_mb": 100}, **LARGE, **sections})


def test_what_is_needed_is_the_sum_of_the_stages_of_this_process(shelf: Shelf) -> None:
    assert needed(config(), shelf) == BASE_MB + 10 + 40 + 250 + 300 + 400 + 100
    away = config(stages={"lipsync": "tcp://127.0.0.1:5571"}, llm={"kind": "openai"})
    assert needed(away, shelf) == BASE_MB + 10 + 40 + 250 + 400


def test_models_that_fit_are_left_as_they_are(shelf: Shelf) -> None:
    fit = fitted(config(), shelf, available_mb=BASE_MB + 1200)
    assert (fit.config, fit.notes, fit.does_fit) == (config(), [], True)


def test_the_largest_saving_is_taken_first_and_said(shelf: Shelf) -> None:
    fit = fitted(config(), shelf, available_mb=BASE_MB + 1199)
    assert fit.does_fit
    assert (fit.config.asr.model, fit.config.tts.model) == ("whisper-base-onnx", "hibari")
    assert fit.config.tts.voice == "", "the voice was one of the larger model's"
    (note,) = fit.notes
    assert f"{BASE_MB + 1100} MB are needed and {BASE_MB + 1099} can be had" in note
    assert "tts takes hibari instead of kokoro (350 MB less)" in note


def test_it_goes_on_until_it_fits_or_says_that_it_does_not(shelf: Shelf) -> None:
    fit = fitted(config(), shelf, available_mb=BASE_MB + 800)
    assert (fit.config.asr.model, fit.does_fit) == ("whisper-tiny.en-onnx", True)
    fit = fitted(config(), shelf, available_mb=500)
    assert (fit.does_fit, fit.needed_mb) == (False, BASE_MB + 600)


def test_a_model_of_another_language_or_that_was_not_fetched_is_not_taken(shelf: Shelf) -> None:
    chinese = fitted(config(language="zh"), shelf, available_mb=500)
    assert (chinese.config.tts.model, chinese.does_fit) == ("kokoro", False)
    shelf.missing = frozenset({"hibari"})
    fit = fitted(config(), shelf, available_mb=500)
    assert (fit.config.tts.model, fit.config.asr.model) == ("kokoro", "whisper-tiny.en-onnx")


def test_an_exported_model_is_judged_by_its_files(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "model.onnx").write_bytes(bytes(10 * 2**20))
    own = config(llm={"model": f"{tmp_path}/own"})
    assert needed(own, shelf) == needed(config(), shelf) - 300 + 14


def test_doctor_tells_what_would_be_taken_instead(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis, "open_store", lambda _: shelf)
    found = {}
    for free_mb in (BASE_MB + 1200, BASE_MB + 1000, 500):
        monkeypatch.setattr(diagnosis, "available_mb", lambda mb=free_mb: mb)
        (found[free_mb],) = diagnosis._memory(config())
    plenty, short, little = found.values()
    assert (plenty.verdict, plenty.found) == ("ok", f"{BASE_MB + 1100} MB are needed")
    assert short.verdict == little.verdict == "warning"
    assert "tts takes hibari instead of kokoro" in short.found
    assert "choose smaller models" in little.remedy


def test_memory_is_that_of_the_machine_or_of_the_container_if_it_has_less(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable: 4194304 kB\n")
    assert available_mb(tmp_path) == 4096
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text(str(2**30))
    (group / "memory.max").write_text("max\n")
    assert available_mb(tmp_path) == 4096
    (group / "memory.max").write_text(str(3 * 2**30))
    assert available_mb(tmp_path) == 2048


def test_every_model_of_the_catalog_that_a_profile_names_was_measured() -> None:
    catalog = Store.default().catalog
    used = {name for profile in ("cpu-en", "cpu-zh") for name in catalog.profiles[profile]}
    unmeasured = {name for name in used if not catalog.models[name].memory_mb}
    # Could not be fetched where the others were measured.
    assert unmeasured <= {name for name in used if not catalog.models[name].is_tested}


def test_a_lighter_model_of_another_stage_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "models.toml"
    entry = """
[models.{name}]
title = "a"
stage = "{stage}"
licence = "MIT"
licence_url = "https://example.org"
lighter = "{lighter}"
[[models.{name}.files]]
path = "a"
sources = [{{ kind = "file" }}]
"""
    page.write_text(
        entry.format(name="a", stage="asr", lighter="b")
        + entry.format(name="b", stage="tts", lighter="")
    )
    with pytest.raises(ConfigError, match="'b' is no model of stage asr"):
        load_catalog(page)
