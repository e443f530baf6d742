"""Whisper over a portable pair: the words of CTranslate2, on the CPU and by the GPU's paths."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes.cuda_driver import FakeDriver, nothing_left
from fakes.cuda_onnxruntime import FakeOnnxRuntime
from fakes.tensorrt_engines import MACHINE, FakeTensorRt, write_engine
from halfsecond.artifact import Profile
from halfsecond.audio import load
from halfsecond.config import AsrConfig, Config
from halfsecond.config.check import check_usable
from halfsecond.errors import ConfigError, ModelCorruptError, UnsupportedModelError
from halfsecond.models.asr import portable_pair
from halfsecond.models.asr.pair import checked_parts, is_in_parts
from halfsecond.models.asr.whisper import Whisper
from halfsecond.sessions import onnx_file, onnx_runtime, opening
from halfsecond.sessions.cuda import Cuda
from halfsecond_bench.clips import Clip, load_clips, real_speech
from halfsecond_export.formats import Format, write_manifest
from halfsecond_export.whisper.portable import write_pair
from halfsecond_export.whisper.source import open_source

pytestmark = pytest.mark.models
ModelDir = Callable[[str], Path]
Samples = np.ndarray[Any, np.dtype[np.float32]]
SHORT = ("close.flac", "name.flac")


@pytest.fixture(scope="module")
def pair(model_dir: ModelDir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """tiny.en in ONNX's own operators, float32: what `export whisper` writes, not compared."""
    directory = tmp_path_factory.mktemp("portable-fp32")
    write_pair(open_source(model_dir("whisper-tiny.en")), directory)
    for part in ("encoder", "decoder"):
        write_manifest(
            directory / part,
            Format("onnxruntime", "fp32", "float32"),
            kind=f"whisper-{part}",
            sources={},
            rebuild="halfsecond export whisper tiny.en --format portable-fp32",
            checks=(),
            details={},
        )
    return directory


@pytest.fixture(scope="module")
def reference(model_dir: ModelDir) -> Iterator[Whisper]:
    """tiny.en in float32 on CTranslate2."""
    whisper = Whisper(model_dir("whisper-tiny.en"), compute_type="float32")
    yield whisper
    whisper.close()


@pytest.fixture(scope="module")
def clips(clips_dir: Path) -> list[Clip]:
    return load_clips(clips_dir)


def heard(whisper: Whisper, clips: list[Clip], names: tuple[str, ...]) -> list[str]:
    chosen = [clip for clip in clips if clip.file in names]
    assert len(chosen) == len(names)
    return [whisper.transcribe(load(clip.path).samples).text for clip in chosen]


def test_the_portable_pair_hears_what_ctranslate2_hears(
    pair: Path, reference: Whisper, clips: list[Clip]
) -> None:
    ours = Whisper(pair)
    assert heard(ours, clips, SHORT) == heard(reference, clips, SHORT)
    ours.close()


@pytest.mark.slow
def test_on_all_recordings_it_hears_what_ctranslate2_hears(
    pair: Path, reference: Whisper, clips: list[Clip]
) -> None:
    ours = Whisper(pair)
    differ = []
    for clip in real_speech(clips):
        samples = load(clip.path).samples
        if ours.transcribe(samples).text != reference.transcribe(samples).text:
            differ.append(clip.file)
    # As for the runtime's own graph: two words may be so near that the last digit decides.
    assert len(differ) <= 1, differ
    ours.close()


def test_words_have_their_times_and_go_on_after_known_ones(
    pair: Path, reference: Whisper, clips_dir: Path
) -> None:
    ours = Whisper(pair)
    samples = load(clips_dir / "close.flac").samples
    found = ours.transcribe(samples, has_times=True).words
    expected = reference.transcribe(samples, has_times=True).words
    assert [word.text for word in found] == [word.text for word in expected]
    assert max(abs(a.start_s - b.start_s) for a, b in zip(found, expected, strict=True)) <= 0.1
    known = " When does the museum close"
    assert ours.transcribe(samples, begins_with=known).text.strip() == "today?"
    ours.close()


def test_a_prompt_longer_than_one_pass_is_taken_in_by_pieces(
    pair: Path, reference: Whisper, clips_dir: Path
) -> None:
    samples = load(clips_dir / "name.flac").samples
    prompt = "Welcome to the air and space museum. Please ask me whatever you want to know."
    ours = Whisper(pair)
    found, expected = (each.transcribe(samples, prompt=prompt) for each in (ours, reference))
    assert found.text == expected.text == "What is your name?"
    assert found.average_log_probability == pytest.approx(
        expected.average_log_probability, abs=2e-3
    )
    ours.close()


@dataclass(frozen=True)
class Gpu:
    """A GPU that is none, for all three libraries."""

    driver: FakeDriver
    runtime: FakeOnnxRuntime
    library: FakeTensorRt


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    driver = FakeDriver()
    runtime, library = FakeOnnxRuntime(driver), FakeTensorRt(driver)
    for module in (onnx_runtime, onnx_file, opening):
        monkeypatch.setattr(module, "load_onnxruntime", lambda: runtime)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", library)
    monkeypatch.setattr("halfsecond.engine.this_machine", lambda: MACHINE)
    original = opening.open_session

    def open_session(path: Path, **options: Any) -> Any:
        return original(path, open_gpu=lambda: Cuda(driver), **options)

    monkeypatch.setattr(portable_pair, "open_session", open_session)
    return Gpu(driver, runtime, library)


def test_on_cuda_it_hears_the_same_and_only_tokens_and_logits_pass_the_host(
    pair: Path, reference: Whisper, clips: list[Clip], gpu: Gpu
) -> None:
    with nothing_left(gpu.driver):
        ours = Whisper(pair, device="auto")
        assert heard(ours, clips, SHORT) == heard(reference, clips, SHORT)
        made = len(gpu.driver.names("cuMemAlloc", "cuMemHostAlloc"))
        gpu.driver.calls.clear()
        heard(ours, clips, SHORT)
        assert not gpu.driver.names("cuMemAlloc", "cuMemHostAlloc", "cuMemFree"), made
        # Logits of up to two rows come back; keys and values (6 MB) never do.
        logits_bytes = 2 * 51864 * 4
        assert max(given[2] for given in gpu.driver.arguments("cuMemcpyDtoHAsync")) <= logits_bytes
        ours.close()


def profiles(pair: Path, part: str) -> dict[str, Profile]:
    sizes = {"t": (100, 400, 3000), "f": (50, 200, 1500), "past": (0, 16, 447)}
    sizes |= {"n": (1, 1, 8), "r": (1, 1, 8)}
    with opening.open_session(pair / part) as session:
        return {
            tensor.name: Profile(
                smallest=_shape(tensor.shape, sizes, 0),
                typical=_shape(tensor.shape, sizes, 1),
                largest=_shape(tensor.shape, sizes, 2),
            )
            for tensor in session.inputs
        }


def _shape(
    shape: tuple[int | str, ...], sizes: dict[str, tuple[int, int, int]], at: int
) -> tuple[int, ...]:
    return tuple(size if isinstance(size, int) else sizes[size][at] for size in shape)


def built(pair: Path, folder: Path) -> Path:
    """The pair as engines, with what `engines build` takes along."""
    for part in ("encoder", "decoder"):
        write_engine(
            folder / part,
            pair / part / f"{part}.onnx",
            profiles(pair, part),
            kind=f"whisper-{part}",
            companions={
                name: (pair / part / name).read_bytes()
                for name in ("whisper.json", "tokenizer.json")
                if (pair / part / name).is_file()
            },
        )
    return folder


@pytest.mark.slow
def test_engines_of_the_pair_hear_the_same(
    pair: Path, reference: Whisper, clips: list[Clip], gpu: Gpu, tmp_path: Path
) -> None:
    with nothing_left(gpu.driver):
        ours = Whisper(built(pair, tmp_path / "built"), device="auto")
        assert heard(ours, clips, SHORT[:1]) == heard(reference, clips, SHORT[:1])
        encoder, decoder = gpu.library.contexts
        assert len(set(encoder.streams)) == len(set(decoder.streams)) == 1
        assert encoder.streams[0] != decoder.streams[0]
        ours.close()


class Part:
    """A session of which it matters where it runs."""

    def __init__(self, runs_on: str) -> None:
        self.runs_on = runs_on
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def test_a_pair_of_which_one_part_fell_to_the_cpu_is_refused(
    pair: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"encoder": Part("tensorrt_rtx"), "decoder": Part("CPUExecutionProvider")}
    monkeypatch.setattr(portable_pair, "open_session", lambda path, **_: parts[path.name])
    with pytest.raises(UnsupportedModelError, match="must run in one place"):
        Whisper(pair, device="auto")
    assert not any(part.is_open for part in parts.values())


def test_the_config_takes_a_pair_and_refuses_another_or_a_changed_one(
    pair: Path, tmp_path: Path
) -> None:
    config = Config(asr=AsrConfig(model=str(pair)))
    check_usable(config)
    copy = tmp_path / "pair"
    shutil.copytree(pair, copy)
    assert is_in_parts(copy)
    with pytest.raises(ConfigError, match="holds a whisper-encoder, expected a whisper-decoder"):
        shutil.rmtree(copy / "decoder")
        shutil.copytree(pair / "encoder", copy / "decoder")
        checked_parts(copy)
    (copy / "encoder" / "encoder.onnx").write_bytes(b"other")
    with pytest.raises(ModelCorruptError, match="make it again: halfsecond export whisper"):
        check_usable(Config(asr=AsrConfig(model=str(copy))))


def test_the_models_of_the_cpu_refuse_a_gpu_and_say_what_to_take(model_dir: ModelDir) -> None:
    with pytest.raises(ConfigError, match=r"INT8 operators of the CPU .* portable-fp16"):
        Whisper(model_dir("whisper-tiny.en-onnx"), device="cuda")
