"""`bench gpu` without a GPU: every path of it, on a driver and libraries that stand in for one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest
from rich.console import Console
from typer.testing import CliRunner

from fakes.cuda_driver import FakeDriver, nothing_left
from fakes.cuda_onnxruntime import FakeOnnxRuntime
from fakes.networks import network, node, two_layers
from fakes.tensorrt_engines import MACHINE, RTX, FakeTensorRt, write_engine
from halfsecond.artifact import Artifact, Profile, Tensor, describe_file, write_artifact
from halfsecond.errors import ConfigError, NoGpuError
from halfsecond.sessions import onnx_file, onnx_runtime, opening
from halfsecond.sessions.cuda import Cuda
from halfsecond_bench.cli import app
from halfsecond_bench.commands import gpu as gpu_command
from halfsecond_bench.gpu import networks
from halfsecond_bench.gpu.candidates import Candidate, find
from halfsecond_bench.gpu.check import Tools, check_all, usable_gpu
from halfsecond_bench.gpu.figures import GpuReport, SpeechFigures
from halfsecond_bench.gpu.inputs import make_inputs
from halfsecond_bench.gpu.language import check_language_model
from halfsecond_bench.gpu.report import print_report
from halfsecond_bench.gpu.speech import check_speech

PROFILE = {"x": Profile(smallest=(1, 8), typical=(4, 8), largest=(16, 8))}


class Machine:
    """A GPU that is none; `tools` ask it."""

    def __init__(self) -> None:
        self.driver = FakeDriver()
        self.runtime = FakeOnnxRuntime(self.driver)
        self.library = FakeTensorRt(self.driver)

    @property
    def tools(self) -> Tools:
        return Tools(find_gpu=lambda: RTX, open_gpu=lambda: Cuda(self.driver))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    for module in (onnx_runtime, onnx_file, opening):
        monkeypatch.setattr(module, "load_onnxruntime", lambda: made.runtime)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", made.library)
    monkeypatch.setattr("halfsecond.engine.this_machine", lambda: MACHINE)
    return made


def exported(directory: Path, *, kind: str, operator: str = "Relu") -> Path:
    """An artifact for ONNX Runtime around a small network, with its shapes."""
    directory.mkdir(parents=True)
    file = two_layers(directory / f"{kind}.onnx", operator=operator)
    artifact = Artifact(
        kind=kind,
        precision="fp32",
        runtime="onnxruntime",
        sources={},
        files={file.name: describe_file(file)},
        libraries={},
        rebuild="halfsecond export",
        profiles=PROFILE,
    )
    write_artifact(directory, artifact)
    return directory


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with an exported network, an engine of it, lips, and a network of which no manifest
    tells."""
    source = exported(tmp_path / "models" / "words", kind="words")
    exported(tmp_path / "models" / "lips", kind="wav2lip", operator="Tanh")
    write_engine(tmp_path / "built" / "words-rtx", source / "words.onnx", PROFILE)
    (tmp_path / "models" / "bare").mkdir()
    two_layers(tmp_path / "models" / "bare" / "net.onnx", seed=4)
    return tmp_path


def test_what_is_in_a_home_is_found_and_told_apart(home: Path) -> None:
    whisper = home / "models" / "whisper"
    whisper.mkdir()
    for name in ("encoder.onnx", "decoder.onnx", "whisper.json"):
        (whisper / name).write_bytes(b"")
    for name in ("model.bin", "chat.json"):
        (home / "models" / "bare" / name).write_bytes(b"")
    found = {each.name: each for each in find(home, [])}
    assert {name: each.form for name, each in found.items()} == {
        "words-rtx": "engine",
        "bare": "llm",
        "lips": "network",
        "words": "network",
        "whisper/encoder.onnx": "network",
        "whisper/decoder.onnx": "network",
    }
    assert [name for name, each in found.items() if each.is_of_the_cpu] == [
        "whisper/decoder.onnx",
        "whisper/encoder.onnx",
    ]


def test_a_path_with_nothing_to_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no"):
        find(tmp_path, [tmp_path / "none"])
    with pytest.raises(ConfigError, match="holds no ONNX network, engine or CTranslate2 model"):
        find(tmp_path, [tmp_path])


def test_inputs_are_the_same_every_time_and_integers_are_always_in_range() -> None:
    tensors = [
        Tensor(name="x", dtype="float32", shape=("batch", 8, "t")),
        Tensor(name="tokens", dtype="int64", shape=(1, "n")),
        Tensor(name="sr", dtype="int64", shape=()),
        Tensor(name="past", dtype="float16", shape=(1, "past")),
    ]
    profiles = {"past": Profile(smallest=(1, 0), typical=(1, 3), largest=(1, 9))}
    first, second = (make_inputs(tensors, profiles) for _ in range(2))
    assert {name: values.shape for name, values in first.items()} == {
        "x": (1, 8, 16), "tokens": (1, 16), "sr": (), "past": (1, 3),
    }  # fmt: skip
    assert not first["tokens"].any()
    assert int(first["sr"]) == 16_000
    assert all((first[name] == second[name]).all() for name in first)


def test_everything_is_run_compared_timed_and_overlapped(home: Path, machine: Machine) -> None:
    with nothing_left(machine.driver):
        report = check_all(find(home, []), [], rounds=3, tools=machine.tools)
    rows = {row.name: row for row in report.networks}
    assert {name: (row.runs_on, row.outcome) for name, row in rows.items()} == {
        "words-rtx": ("tensorrt_rtx", "same"),
        "bare/net.onnx": ("CUDAExecutionProvider", "same"),
        "lips": ("CUDAExecutionProvider", "same"),
        "words": ("CUDAExecutionProvider", "same"),
    }
    for row in rows.values():
        assert row.relative_error is not None
        assert row.relative_error < 1e-5
        for times in (row.cpu_ms, row.gpu_ms, row.device_ms, row.graph_ms):
            assert times is not None
            assert times.n == 3
    (pair,) = report.overlap
    assert pair.lips == "lips"
    assert pair.beside in rows
    assert pair.gain > 0
    assert not report.has_differences


def test_the_lips_are_measured_at_both_priorities(home: Path, machine: Machine) -> None:
    check_all(find(home, []), [], rounds=3, tools=machine.tools)
    asked = [priority for _, priority in machine.driver.arguments("cuStreamCreateWithPriority")]
    # Each of four networks is opened plain and graphed; then lips and the other, twice.
    assert asked[-4:] == [-5, 0, 0, 0]
    assert set(asked[:-4]) == {0}


def test_the_graph_of_an_engine_is_captured_and_replayed(home: Path, machine: Machine) -> None:
    (candidate,) = [each for each in find(home, []) if each.form == "engine"]
    networks.check(candidate, rounds=5, open_gpu=lambda: Cuda(machine.driver))
    assert len(machine.driver.names("cuStreamBeginCapture")) == 1
    assert len(machine.driver.names("cuGraphLaunch")) == 5


def test_an_engine_that_computes_something_else_is_seen(home: Path, machine: Machine) -> None:
    """The negative control: the engine was made of another network than its manifest says."""
    other = two_layers(home / "other.onnx", operator="Neg")
    directory = write_engine(home / "built" / "wrong", other, PROFILE)
    candidates = find(home, [directory])
    right = home / "models" / "words" / "words.onnx"
    artifact = candidates[0].artifact
    assert artifact is not None
    wrong = Candidate(
        "wrong",
        directory,
        "engine",
        msgspec.structs.replace(artifact, source_path=str(right)),
    )
    report = check_all([wrong], [], rounds=3, tools=machine.tools)
    assert [row.outcome for row in report.networks] == ["differs"]
    assert report.networks[0].detail == "relative error above 0.01"
    assert report.has_differences


def test_what_is_not_a_number_differs(tmp_path: Path) -> None:
    good, bad = {"y": np.ones(3)}, {"y": np.array([1.0, np.nan, 1.0])}
    errors = networks._errors(good, bad)
    assert errors is not None
    assert errors[1] == float("inf")


def test_a_network_that_draws_random_numbers_is_not_compared(
    tmp_path: Path, machine: Machine
) -> None:
    nodes = [node("RandomNormalLike", ["x"], "noise"), node("Add", ["x", "noise"], "y")]
    model = network(nodes, {"x": ("n", 4)}, {"y": ("n", 4)})
    onnx.save(model, str(tmp_path / "noise.onnx"))
    report = check_all(find(tmp_path, [tmp_path]), [], rounds=3, tools=machine.tools)
    assert report.networks[0].outcome == "ran"
    assert "draws random numbers" in report.networks[0].detail


def test_what_cannot_run_says_why_and_the_rest_goes_on(home: Path, machine: Machine) -> None:
    (home / "models" / "bare" / "broken.onnx").write_bytes(b"no network")
    (home / "models" / "bare" / "chat.json").write_bytes(b"{}")
    machine.runtime.loads = ["CPUExecutionProvider"]
    report = check_all(find(home, []), [], rounds=3, tools=machine.tools)
    rows = {row.name: row for row in report.networks}
    assert rows["words-rtx"].outcome == "same"
    assert rows["lips"].outcome == "not run"
    assert "could not load it and took CPUExecutionProvider" in rows["lips"].detail
    assert "operators of the CPU" in rows["bare/net.onnx"].detail
    assert not report.has_differences
    assert report.overlap == []


class Hears:
    """A recognizer that says one thing on the CPU and another on the GPU."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_open = True

    def transcribe(self, samples: Any) -> Any:
        return self

    def close(self) -> None:
        self.is_open = False


@pytest.mark.parametrize(
    ("on_gpu", "differ", "outcome"),
    [("The museum closes at 6.", 0, "same"), ("the museum closes at nine", 1, "differs")],
)
def test_words_are_compared_as_they_are_said(on_gpu: str, differ: int, outcome: str) -> None:
    opened: list[Hears] = []

    def open_model(path: Path, device: str) -> Any:
        opened.append(Hears("The museum closes at six" if device == "cpu" else on_gpu))
        return opened[-1]

    candidate = Candidate("whisper", Path("whisper"), "whisper")
    found = check_speech(candidate, [np.zeros(4, np.float32)], open_model=open_model)
    assert (found.words, found.words_that_differ, found.outcome) == (5, differ, outcome)
    assert not any(each.is_open for each in opened)


@pytest.mark.parametrize(
    ("on_gpu", "same", "outcome"),
    [(list(range(20)), 20, "same"), ([*range(12), 99], 12, "same"), ([0, 1, 99], 2, "differs")],
)
def test_tokens_are_the_same_until_one_differs(on_gpu: list[int], same: int, outcome: str) -> None:
    def generate(path: Path, device: str, tokens: int) -> tuple[list[int], float]:
        return (list(range(20)), 190.0) if device == "cpu" else (on_gpu, 19.0)

    found = check_language_model(Candidate("llm", Path("llm"), "llm"), generate=generate)
    assert (found.same_tokens, found.tokens, found.outcome) == (same, 20, outcome)
    assert found.cpu_token_ms == pytest.approx(10.0)


def test_a_pair_of_engines_is_compared_with_the_pair_that_it_was_built_from(
    home: Path, machine: Machine
) -> None:
    opened: list[tuple[Path, str]] = []

    def open_model(path: Path, device: str) -> Any:
        opened.append((path, device))
        return Hears("Good morning")

    for part in ("encoder", "decoder"):
        source = exported(home / "pair" / part, kind=f"whisper-{part}")
        network = source / f"whisper-{part}.onnx"
        write_engine(home / "rtx" / part, network, PROFILE, kind=f"whisper-{part}")
    pair, *parts = find(home, [home / "rtx"])
    assert (pair.form, [part.form for part in parts]) == ("whisper pair", ["engine"] * 2)
    found = check_speech(pair, [np.zeros(4, np.float32)], open_model=open_model)
    assert found.outcome == "same"
    assert opened == [(home / "rtx", "cuda"), (home / "pair", "cpu")]
    (home / "pair" / "decoder" / "artifact.json").unlink()
    assert check_speech(pair, [], open_model=open_model).outcome == "ran"


def test_ctranslate2_without_a_gpu_is_told(tmp_path: Path) -> None:
    def generate(path: Path, device: str, tokens: int) -> tuple[list[int], float]:
        if device == "cuda":
            raise NoGpuError("CTranslate2 finds none")
        return [1], 1.0

    found = check_language_model(Candidate("llm", tmp_path, "llm"), generate=generate)
    assert (found.outcome, found.detail) == ("not run", "CTranslate2 finds none")


@pytest.mark.models
def test_the_answer_of_the_cpu_is_the_one_that_a_repetition_gives(model_dir: Any) -> None:
    from halfsecond_bench.gpu.language import generate

    first, took_ms = generate(model_dir("smollm2-135m-int8"), "cpu", 12)
    again, _ = generate(model_dir("smollm2-135m-int8"), "cpu", 12)
    assert first == again
    assert len(first) == 12
    assert took_ms > 0


def test_without_a_gpu_one_line_says_what_is_missing_and_the_code_is_3(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "halfsecond_bench.gpu_check", "--home", str(tmp_path)],
        capture_output=True,
        text=True,
    )
    if "no GPU here" not in result.stderr:
        pytest.skip("this machine has a GPU")
    assert (result.returncode, result.stdout) == (3, "")
    assert result.stderr.count("\n") == 1


def test_a_gpu_without_cuda_python_is_told() -> None:
    def absent() -> Cuda:
        raise ConfigError("cuda-python is not installed; pip install 'halfsecond[gpu]'")

    with pytest.raises(NoGpuError, match="RTX 4070 cannot be used: cuda-python is not installed"):
        usable_gpu(Tools(find_gpu=lambda: RTX, open_gpu=absent))


@contextmanager
def on(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliRunner]:
    monkeypatch.setattr(gpu_command, "Tools", lambda: machine.tools)
    yield CliRunner()


def test_the_command_prints_one_table_and_writes_json(
    home: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with on(machine, monkeypatch) as runner:
        result = runner.invoke(
            app, ["gpu", "--home", str(home), "--rounds", "3", "--json", str(home / "gpu.json")]
        )
    assert result.exit_code == 0, result.output
    report = json.loads((home / "gpu.json").read_bytes())
    assert (report["kind"], report["gpu"]) == ("gpu", RTX.name)
    assert len(report["networks"]) == 4
    assert msgspec.json.decode((home / "gpu.json").read_bytes(), type=GpuReport).networks


def test_the_table_names_everything_and_what_was_not_run(capsys: Any) -> None:
    speech = SpeechFigures(name="whisper-base", outcome="not run", detail="no model.bin here")
    report = GpuReport(
        device="a machine",
        gpu="RTX 4070",
        compute_capability="8.9",
        cuda_major=13,
        versions={},
        networks=[],
        speech=[speech],
    )
    console = Console(width=200, highlight=False)
    with console.capture() as shown:
        print_report(report, console)
    assert "RTX 4070 (8.9, CUDA 13) in a machine" in shown.get()
    assert "whisper-base: no model.bin here" in shown.get()
