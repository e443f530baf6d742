"""Where networks really run: counted by ONNX Runtime itself, and said where it does not tell."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime as ort
import pytest

from fakes.networks import two_layers
from halfsecond.config import Config, EndpointConfig, FaceConfig, LlmConfig, StagesConfig
from halfsecond.errors import ConfigError, NoGpuError
from halfsecond.models import ctranslate2_device as device_module
from halfsecond.models.ctranslate2_device import ctranslate2_device
from halfsecond.models.llm.registry import open_answerer
from halfsecond.placements import running_networks
from halfsecond.sessions import placement as placement_module
from halfsecond.sessions.placement import Placement, placement
from halfsecond.store import Store


def tells() -> bool:
    """Whether this release of ONNX Runtime tells which nodes a provider has: 1.24 and later."""
    return hasattr(ort.InferenceSession, "get_provider_graph_assignment_info")


def test_nodes_are_counted_by_provider(tmp_path: Path) -> None:
    found = placement(two_layers(tmp_path / "net.onnx"), device="auto")
    assert found.first == "CPUExecutionProvider"
    if tells():
        assert found.nodes == {"CPUExecutionProvider": 3}
        assert str(found) == "3 nodes on CPUExecutionProvider"
    else:
        assert found.nodes == {}
        assert "does not tell which nodes it has" in str(found)


class Assigned:
    """A session that has two nodes on CUDA and one on the CPU."""

    def get_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def get_provider_graph_assignment_info(self) -> list[Any]:
        def part(name: str, nodes: int) -> Any:
            return SimpleNamespace(ep_name=name, get_nodes=lambda: [None] * nodes)

        return [part("CPUExecutionProvider", 1), part("CUDAExecutionProvider", 2)]


def test_a_part_on_the_cpu_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def session(path: Path, **options: Any) -> Assigned:
        asked.append(options)
        return Assigned()

    available = SimpleNamespace(get_available_providers=lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(placement_module, "load_onnxruntime", lambda: available)
    monkeypatch.setattr(placement_module, "inference_session", session)
    found = placement(tmp_path, device="cuda")
    assert str(found) == "2 nodes on CUDAExecutionProvider, 1 nodes on CPUExecutionProvider"
    assert [name for name, _ in asked[0]["providers"]] == Assigned().get_providers()
    assert asked[0]["entries"] == [("session.record_ep_graph_assignment_info", "1")]


def test_a_release_that_does_not_tell_is_not_guessed_for() -> None:
    assert "does not tell which nodes" in str(Placement("CUDAExecutionProvider", {}))


@pytest.mark.models
def test_every_network_of_the_config_is_named_with_what_runs_it(
    model_dir: Callable[[str], Path], tmp_path: Path
) -> None:
    model_dir("silero-vad")
    lips = two_layers(tmp_path / "lips.onnx")
    config = Config(
        endpoint=EndpointConfig(mode="silence"),
        llm=LlmConfig(model="smollm2-135m-int8"),
        face=FaceConfig(driver="wav2lip", wav2lip=str(lips), device="cuda"),
        stages=StagesConfig(tts="tcp://127.0.0.1:9"),
    )
    found = list(running_networks(config, Store.default()))
    assert [(each.stage, each.network) for each in found] == [
        ("vad", "silero_vad.onnx"),
        ("asr", "decoder.onnx"),
        ("asr", "encoder.onnx"),
        ("llm", "smollm2-135m-int8"),
        ("lipsync", "face_detector.onnx"),
        ("lipsync", "face_landmarks.onnx"),
        ("lipsync", "lips.onnx"),
    ]
    assert found[3].runs_on == "CTranslate2 on cpu, int8"
    # Only here a GPU was asked for, and there is none.
    assert [each.network for each in found if each.is_fallen] == ["lips.onnx"]


@pytest.mark.parametrize(
    ("device", "gpus", "expected"),
    [
        ("cpu", 1, ("cpu", "int8")),
        ("auto", 0, ("cpu", "int8")),
        ("auto", 1, ("cuda", "int8_float16")),
        ("cuda", 2, ("cuda", "int8_float16")),
    ],
)
def test_ctranslate2_takes_a_gpu_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: Any, gpus: int, expected: Any
) -> None:
    monkeypatch.setattr(device_module, "count_gpus", lambda: gpus)
    assert ctranslate2_device(tmp_path, device, compute_type="", on_cpu="int8") == expected


def test_ctranslate2_without_a_gpu_refuses_cuda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_module, "count_gpus", lambda: 0)
    with pytest.raises(NoGpuError, match="CTranslate2 finds none"):
        ctranslate2_device(tmp_path, "cuda", compute_type="", on_cpu="int8")


def test_a_language_model_of_the_cpu_refuses_a_gpu_and_says_what_to_take(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ConfigError, match="smollm2-135m-int8"):
        open_answerer("local", model_path=tmp_path, device="cuda")
