"""The published generator with random weights: its layers, its pictures, and its INT8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from halfsecond.sessions import open_session
from halfsecond_export.wav2lip.graph import FACE, SOUND
from halfsecond_export.wav2lip.layout import PUBLISHED
from halfsecond_export.wav2lip.quantisation import LAST_CONVOLUTION
from halfsecond_export.wav2lip.untrained import (
    random_inputs,
    write_untrained,
    write_untrained_int8,
)

PUBLISHED_PARAMETERS = 36_298_035
"""Of the published generator, normalisation included, running means and variances not."""
WIDTH = 0.125


def faces(path: Path) -> NDArray[np.float32]:
    sound, face = random_inputs(2, seed=5)
    return open_session(path).run({SOUND: sound, FACE: np.stack([face, face])})["faces"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("wav2lip") / "small.onnx"
    write_untrained(path, width=WIDTH)
    return path


def test_the_network_has_the_published_number_of_parameters() -> None:
    shapes = PUBLISHED.shapes().items()
    trained = [shape for name, shape in shapes if not name.endswith(("_mean", "_var"))]
    assert sum(int(np.prod(shape)) for shape in trained) == PUBLISHED_PARAMETERS


def test_layers_and_skips_are_the_published_ones(small: Path) -> None:
    model = onnx.load(str(small))
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Conv") == 19 + 13 + 13
    assert kinds.count("ConvTranspose") == 6
    assert kinds.count("Concat") == 7
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    sides = {
        value.name: [at.dim_value for at in value.type.tensor_type.shape.dim][2:]
        for value in inferred
    }
    down = [sides[f"face_encoder_blocks.{b}.0"] for b in range(7)]
    assert down == [[s, s] for s in (96, 48, 24, 12, 6, 3, 1)]
    up = [sides[f"face_decoder_blocks.{b}.0"] for b in range(7)]
    assert up == [[s, s] for s in (1, 3, 6, 12, 24, 48, 96)]


def test_the_same_seed_writes_the_same_file_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        write_untrained(tmp_path / name, width=0.0625, seed=seed)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


def test_pictures_are_neither_flat_nor_saturated(small: Path) -> None:
    pictures = faces(small)
    assert 0.02 < pictures.std() < 0.4
    assert 0.1 < pictures.mean() < 0.9


def test_every_convolution_but_the_last_is_int8_and_the_pictures_stay_close(
    small: Path, tmp_path: Path
) -> None:
    write_untrained_int8(tmp_path / "int8.onnx", width=WIDTH)
    model = onnx.load(str(tmp_path / "int8.onnx"))
    types = {w.name: w.data_type for w in model.graph.initializer}
    makers = {n.output[0]: n for n in model.graph.node}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    assert len(convolutions) == 51
    for node in convolutions:
        if node.name == LAST_CONVOLUTION:
            continue
        assert types[makers[node.input[1]].input[0]] == onnx.TensorProto.INT8
        assert makers[node.input[0]].op_type == "DequantizeLinear"
    error = np.abs(faces(tmp_path / "int8.onnx") - faces(small))
    assert 0 < error.mean() < 0.02
    assert [p.name for p in tmp_path.iterdir()] == ["int8.onnx"]
