from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from halfsecond.sessions import open_session
from halfsecond_bench.wav2lip_file import (
    PUBLISHED_PARAMETERS,
    count_parameters,
    random_inputs,
    write_wav2lip,
)
from halfsecond_bench.wav2lip_int8 import (
    fold_batch_norm,
    replace_transposed_convolutions,
    write_int8,
)
from halfsecond_bench.wav2lip_speed import measure


def faces(path: Path) -> NDArray[np.float32]:
    (result,) = open_session(path).run(random_inputs(2, seed=5)).values()
    return np.asarray(result, np.float32)


def kinds(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_wav2lip(tmp_path / "small.onnx", width=0.125, keeps_batch_norm=True)
    return tmp_path / "small.onnx"


def test_the_written_network_has_the_published_number_of_parameters(tmp_path: Path) -> None:
    write_wav2lip(tmp_path / "full.onnx", keeps_batch_norm=True)
    assert count_parameters(tmp_path / "full.onnx") == PUBLISHED_PARAMETERS
    assert faces(tmp_path / "full.onnx").shape == (2, 3, 96, 96)


def test_layers_and_skips_are_the_published_ones(small: Path) -> None:
    model = onnx.load(str(small))
    found = kinds(model)
    assert found.count("Conv") == 19 + 13 + 13
    assert found.count("ConvTranspose") == 6
    assert found.count("Concat") == 7
    assert found.count("BatchNormalization") == 50  # all but the last convolution
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    sides = {
        v.name: [d.dim_value for d in v.type.tensor_type.shape.dim][2:]
        for v in inferred
        if v.name.startswith("face_") and v.name.endswith(("0.0.relu", ".0.conv"))
    }
    down = [sides[f"face_encoder.{b}.0.conv"] for b in range(7)]
    assert down == [[s, s] for s in (96, 48, 24, 12, 6, 3, 1)]
    up = [sides[f"face_decoder.{b}.0.conv"] for b in range(7)]
    assert up == [[s, s] for s in (1, 3, 6, 12, 24, 48, 96)]


def test_the_same_seed_writes_the_same_file_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_wav2lip(tmp_path / name, width=0.0625, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_pictures_are_neither_flat_nor_saturated(small: Path) -> None:
    pictures = faces(small)
    assert 0.02 < pictures.std() < 0.4
    assert 0.1 < pictures.mean() < 0.9


def test_rewriting_for_int8_keeps_the_pictures(small: Path, tmp_path: Path) -> None:
    model = replace_transposed_convolutions(fold_batch_norm(onnx.load(str(small))))
    assert not {"ConvTranspose", "BatchNormalization"} & set(kinds(model))
    onnx.save(model, str(tmp_path / "rewritten.onnx"))
    np.testing.assert_allclose(faces(tmp_path / "rewritten.onnx"), faces(small), atol=2e-5)


def test_a_transposed_convolution_of_another_kind_is_refused(small: Path) -> None:
    model = onnx.load(str(small))
    node = next(n for n in model.graph.node if n.op_type == "ConvTranspose")
    next(a for a in node.attribute if a.name == "pads").ints[0] = 1
    with pytest.raises(ValueError, match=r"face_decoder\.1\.0\.conv has .*\[1, 0, 0, 0\]"):
        replace_transposed_convolutions(model)


def test_every_convolution_is_int8_and_the_pictures_stay_close(small: Path, tmp_path: Path) -> None:
    write_int8(small, tmp_path / "int8.onnx")
    model = onnx.load(str(tmp_path / "int8.onnx"))
    types = {w.name: w.data_type for w in model.graph.initializer}
    makers = {n.output[0]: n for n in model.graph.node}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    assert len(convolutions) == 51
    for node in convolutions:
        stored = makers[node.input[1]].input[0]
        assert types[stored] == onnx.TensorProto.INT8
        assert makers[node.input[0]].op_type == "DequantizeLinear"
    error = np.abs(faces(tmp_path / "int8.onnx") - faces(small))
    assert error.mean() < 0.02
    assert [p.name for p in tmp_path.iterdir() if "rewritten" in p.name] == []


def test_speed_is_reported_per_precision_threads_and_batch(small: Path, tmp_path: Path) -> None:
    write_int8(small, tmp_path / "int8.onnx")
    ticks = count()
    report = measure(
        batches=(1, 5),
        threads=(1,),
        rounds=3,
        models={"fp32": small, "int8": tmp_path / "int8.onnx"},
        clock=lambda: next(ticks) * 0.05,
    )
    assert [(c["precision"], c["threads"], c["batch"]) for c in report["cases"]] == [
        ("fp32", 1, 1),
        ("fp32", 1, 5),
        ("int8", 1, 1),
        ("int8", 1, 5),
    ]
    assert report["cases"][1]["frame_ms"] == {"p50": 10.0, "p95": 10.0, "max": 10.0, "n": 3}
    assert report["cases"][1]["fps"] == 100.0
    assert [s["times"] for s in report["speedup"]] == [1.0, 1.0]
    assert report["versions"]["onnxruntime"] and "cores" in report["device"]
