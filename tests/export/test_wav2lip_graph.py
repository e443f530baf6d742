"""The generator as ONNX, without torch: folded, named, and in two forms that draw the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond.sessions import open_session
from halfsecond_export.wav2lip.graph import FACE, SOUND, write_onnx
from halfsecond_export.wav2lip.layout import LAYOUTS, PUBLISHED, Layout
from halfsecond_export.wav2lip.untrained import random_inputs, random_weights

NARROW = PUBLISHED.narrowed(0.0625)


def drawn(path: Path, layout: Layout = PUBLISHED) -> NDArray[np.float32]:
    sound, face = random_inputs(2, layout=layout)
    return open_session(path).run({SOUND: sound, FACE: np.stack([face, face])})["faces"]


def kinds(path: Path) -> list[str]:
    return [node.op_type for node in onnx.load(str(path)).graph.node]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda at: f"{at.patch_px}-{at.has_prelu}")
def test_interleaved_convolutions_draw_what_transposed_ones_do(
    layout: Layout, tmp_path: Path
) -> None:
    narrow = layout.narrowed(0.0625)
    weights = random_weights(narrow)
    write_onnx(narrow, weights, tmp_path / "a.onnx", is_interleaved=False)
    write_onnx(narrow, weights, tmp_path / "b.onnx", is_interleaved=True)
    assert "ConvTranspose" in kinds(tmp_path / "a.onnx")
    assert "ConvTranspose" not in kinds(tmp_path / "b.onnx")
    plain, interleaved = (drawn(tmp_path / f"{n}.onnx", layout) for n in "ab")
    assert plain.std() > 0.005
    np.testing.assert_allclose(interleaved, plain, atol=1e-5)


def test_nodes_have_the_names_of_layers_and_no_normalisation_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    write_onnx(NARROW, random_weights(NARROW), path, is_interleaved=True)
    names = {n.name for n in onnx.load(str(path)).graph.node if n.op_type == "Conv"}
    assert names == {name for name, _ in NARROW.layers()}
    assert "BatchNormalization" not in kinds(path)


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        weights = random_weights(NARROW)
        write_onnx(NARROW, weights, tmp_path / name, is_interleaved=False)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("part", ["running_mean", "running_var", "weight", "bias"])
def test_every_part_of_the_normalisation_changes_the_pictures(part: str, tmp_path: Path) -> None:
    weights = dict(random_weights(NARROW))
    write_onnx(NARROW, weights, tmp_path / "a.onnx", is_interleaved=False)
    name = f"face_decoder_blocks.6.0.conv_block.1.{part}"
    weights[name] = weights[name] + np.float32(0.5)
    write_onnx(NARROW, weights, tmp_path / "b.onnx", is_interleaved=False)
    assert np.abs(drawn(tmp_path / "a.onnx") - drawn(tmp_path / "b.onnx")).max() > 1e-4


def test_the_runtime_takes_the_file(tmp_path: Path) -> None:
    write_onnx(NARROW, random_weights(NARROW), tmp_path / "a.onnx", is_interleaved=True)
    network = Wav2LipNetwork(tmp_path / "a.onnx")
    assert network.patch_px == 96
    pictures = network.draw(*random_inputs(3))
    assert pictures.shape == (3, 96, 96, 3)
