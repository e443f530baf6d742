"""The speaker encoder from its checkpoint, and how checkpoints are read: no code in them runs."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from fakes.checkpoints import save_archive, save_stream
from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond_export.prepare import PREPARERS, PrepareRequest
from halfsecond_export.prepare.checkpoint_file import read_checkpoint
from halfsecond_export.prepare.speaker_encoder import _shapes

Floats = NDArray[np.float32]
Save = Callable[[Path, Any], None]
LAYOUTS = pytest.mark.parametrize("save", [save_stream, save_archive])


def weights(seed: int = 0) -> dict[str, Floats]:
    rng = np.random.default_rng(seed)
    return {
        name: (rng.standard_normal(shape) / 16).astype(np.float32)
        for name, shape in _shapes().items()
    }


def lstm_by_hand(state: dict[str, Floats], mels: Floats) -> Floats:
    """The equations of torch's `nn.LSTM`, one step after another, in double precision."""

    def sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(1 / (1 + np.exp(-x)))

    inputs = mels.astype(np.float64)
    hidden = np.zeros((len(mels), 256))
    for layer in range(3):
        w, r = (state[f"lstm.weight_{kind}_l{layer}"].astype(np.float64) for kind in ("ih", "hh"))
        bias = state[f"lstm.bias_ih_l{layer}"] + state[f"lstm.bias_hh_l{layer}"].astype(np.float64)
        hidden = np.zeros((len(mels), 256))
        cell = np.zeros((len(mels), 256))
        states = []
        for step in range(inputs.shape[1]):
            gates = np.split(inputs[:, step] @ w.T + hidden @ r.T + bias, 4, axis=1)
            cell = sigmoid(gates[1]) * cell + sigmoid(gates[0]) * np.tanh(gates[2])
            hidden = sigmoid(gates[3]) * np.tanh(cell)
            states.append(hidden)
        inputs = np.stack(states, axis=1)
    projected = hidden @ state["linear.weight"].T + state["linear.bias"]
    positive = np.maximum(projected, 0)
    return np.asarray(positive / np.linalg.norm(positive, axis=1, keepdims=True), np.float32)


def prepared(checkpoint: Path, target: Path) -> Path:
    PREPARERS["resemblyzer-to-onnx"](PrepareRequest({"pretrained.pt": checkpoint}, target))
    return target / "speaker_encoder.onnx"


@LAYOUTS
def test_the_network_computes_what_the_equations_say(tmp_path: Path, save: Save) -> None:
    state = weights()
    save(tmp_path / "pretrained.pt", {"model_state": state, "step": 7})
    model = prepared(tmp_path / "pretrained.pt", tmp_path / "model")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    mels = np.random.default_rng(1).random((3, 40, 40), np.float32)
    voices = np.asarray(session.run(None, {"mels": mels})[0])
    np.testing.assert_allclose(voices, lstm_by_hand(state, mels), atol=2e-6)


def test_gates_in_torch_s_order_would_be_another_network(tmp_path: Path) -> None:
    state = weights()
    mels = np.random.default_rng(1).random((3, 40, 40), np.float32)
    swapped = {
        name: np.concatenate([np.split(values, 4)[gate] for gate in (0, 3, 1, 2)])
        if name.startswith("lstm")
        else values
        for name, values in state.items()
    }
    assert np.abs(lstm_by_hand(state, mels) - lstm_by_hand(swapped, mels)).max() > 0.01


@LAYOUTS
def test_tensors_come_back_as_they_were_saved(tmp_path: Path, save: Save) -> None:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    save(tmp_path / "w.pt", {"a": [values, "text"], "step": 3})
    loaded = read_checkpoint(tmp_path / "w.pt")
    assert loaded["step"] == 3
    np.testing.assert_array_equal(loaded["a"][0], values)
    assert loaded["a"][1] == "text"


class Burglar:
    """A pickle that runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("broken-in", "w")


@LAYOUTS
def test_code_in_a_checkpoint_is_named_and_never_run(
    tmp_path: Path, save: Save, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "w.pt", {"model_state": Burglar()})
    with pytest.raises(UnsupportedModelError, match=r"names \w*io\.open.*would run code"):
        read_checkpoint(tmp_path / "w.pt")
    assert not (tmp_path / "broken-in").exists()
    pickle.loads(pickle.dumps(Burglar())).close()  # the fault is real
    assert (tmp_path / "broken-in").exists()


@LAYOUTS
def test_every_cut_of_a_checkpoint_is_corrupt(tmp_path: Path, save: Save) -> None:
    save(tmp_path / "w.pt", {"a": np.arange(100, dtype=np.float32)})
    whole = (tmp_path / "w.pt").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(ModelCorruptError, match="fetch or copy it again"):
            read_checkpoint(tmp_path / "cut.pt")


def test_an_archive_of_any_time_is_corrupt_without_its_end(tmp_path: Path) -> None:
    save_archive(tmp_path / "w.pt", {"a": np.arange(100, dtype=np.float32)})
    with zipfile.ZipFile(tmp_path / "w.pt") as whole:
        content = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(tmp_path / "then.pt", "w") as written:
        for name, data in content.items():
            # 20 s past the minute are stored as a new line, which ends an argument in a pickle.
            written.writestr(zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 20)), data)
    (tmp_path / "cut.pt").write_bytes((tmp_path / "then.pt").read_bytes()[:-37])
    with pytest.raises(ModelCorruptError, match="fetch or copy it again"):
        read_checkpoint(tmp_path / "cut.pt")


def test_a_tensor_that_reaches_outside_its_numbers_is_corrupt(tmp_path: Path) -> None:
    save_archive(tmp_path / "w.pt", {"a": np.arange(100, dtype=np.float32)})
    with (
        zipfile.ZipFile(tmp_path / "w.pt") as whole,
        zipfile.ZipFile(tmp_path / "short.pt", "w") as short,
    ):
        for name in whole.namelist():
            data = whole.read(name)
            short.writestr(name, data[:200] if name.endswith("/0") else data)
    with pytest.raises(ModelCorruptError, match="larger than its storage"):
        read_checkpoint(tmp_path / "short.pt")


def test_another_network_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match="no checkpoint"):
        read_checkpoint(tmp_path / "w.pt")
    save_stream(tmp_path / "w.pt", {"model": weights()})
    with pytest.raises(UnsupportedModelError, match="has no model_state"):
        prepared(tmp_path / "w.pt", tmp_path / "model")
    narrow = weights() | {"linear.bias": np.zeros(64, np.float32)}
    save_stream(tmp_path / "w.pt", {"model_state": narrow})
    with pytest.raises(UnsupportedModelError, match=r"linear\.bias is \(64,\), expected \(256,\)"):
        prepared(tmp_path / "w.pt", tmp_path / "model")
    broken = weights() | {"linear.bias": np.full(256, np.nan, np.float32)}
    save_stream(tmp_path / "w.pt", {"model_state": broken})
    with pytest.raises(ModelCorruptError, match="not finite"):
        prepared(tmp_path / "w.pt", tmp_path / "model")
    assert not (tmp_path / "model").exists()
