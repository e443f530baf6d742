"""TensorFlow Lite to ONNX: real face networks against TensorFlow Lite, small graphs by hand.

data/face_reference.npz holds a 48 x 48 picture (the astronaut's head, public domain, to be
repeated 4 times along both axes) and what ai-edge-litert 2.3.0 computes from it with the two
original .tflite files: every 7th detector score, every 53rd box value, all landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]
import numpy as np
import onnxruntime
import pytest
import tflite

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.tflite import convert_tflite

REFERENCE = Path(__file__).parent / "data" / "face_reference.npz"

CONV, DEPTHWISE, MAX_POOL, PRELU, PAD = 3, 4, 17, 54, 34
TANH = 28


class TinyGraph:
    """Writes a TensorFlow Lite file of one operator on a float input, with constant tensors."""

    def __init__(self, code: int, options_type: int = 0) -> None:
        self.code = code
        self.options_type = options_type
        self.options: Callable[[flatbuffers.Builder], int] | None = None
        self.constants: list[np.ndarray[Any, Any]] = []
        self.input_shape: tuple[int, ...] = (1, 5, 5, 2)
        self.output_shape: tuple[int, ...] = (1, 5, 5, 2)

    def write(self, path: Path) -> Path:
        build = flatbuffers.Builder(0)
        buffers = [self._buffer(build, b"")]
        buffers += [self._buffer(build, values.tobytes()) for values in self.constants]
        tensors = [self._tensor(build, "input", self.input_shape, 0, 0)]
        for index, values in enumerate(self.constants):
            kind = {"float32": 0, "int32": 2}[values.dtype.name]
            tensors.append(self._tensor(build, f"weights{index}", values.shape, index + 1, kind))
        tensors.append(self._tensor(build, "output", self.output_shape, 0, 0))
        last = len(tensors) - 1
        options = self.options(build) if self.options else 0
        read, written = _ints(build, range(last)), _ints(build, [last])
        tflite.OperatorStart(build)
        tflite.OperatorAddInputs(build, read)
        tflite.OperatorAddOutputs(build, written)
        if options:
            tflite.OperatorAddBuiltinOptionsType(build, self.options_type)
            tflite.OperatorAddBuiltinOptions(build, options)
        operators = _offsets(build, [tflite.OperatorEnd(build)])
        tensor_list = _offsets(build, tensors)
        inputs, outputs = _ints(build, [0]), _ints(build, [last])
        tflite.SubGraphStart(build)
        tflite.SubGraphAddTensors(build, tensor_list)
        tflite.SubGraphAddInputs(build, inputs)
        tflite.SubGraphAddOutputs(build, outputs)
        tflite.SubGraphAddOperators(build, operators)
        graphs = _offsets(build, [tflite.SubGraphEnd(build)])
        tflite.OperatorCodeStart(build)
        tflite.OperatorCodeAddDeprecatedBuiltinCode(build, self.code)
        codes = _offsets(build, [tflite.OperatorCodeEnd(build)])
        buffer_list = _offsets(build, buffers)
        tflite.ModelStart(build)
        tflite.ModelAddVersion(build, 3)
        tflite.ModelAddOperatorCodes(build, codes)
        tflite.ModelAddSubgraphs(build, graphs)
        tflite.ModelAddBuffers(build, buffer_list)
        build.Finish(tflite.ModelEnd(build), file_identifier=b"TFL3")
        path.write_bytes(bytes(build.Output()))
        return path

    @staticmethod
    def _buffer(build: flatbuffers.Builder, data: bytes) -> int:
        stored = build.CreateByteVector(data)
        tflite.BufferStart(build)
        tflite.BufferAddData(build, stored)
        return int(tflite.BufferEnd(build))

    @staticmethod
    def _tensor(
        build: flatbuffers.Builder, name: str, shape: tuple[int, ...], buffer: int, kind: int
    ) -> int:
        text, sizes = build.CreateString(name), _ints(build, shape)
        tflite.TensorStart(build)
        tflite.TensorAddShape(build, sizes)
        tflite.TensorAddType(build, kind)
        tflite.TensorAddBuffer(build, buffer)
        tflite.TensorAddName(build, text)
        return int(tflite.TensorEnd(build))


def _ints(build: flatbuffers.Builder, values: Any) -> int:
    return int(build.CreateNumpyVector(np.array(list(values), np.int32)))


def _offsets(build: flatbuffers.Builder, offsets: list[int]) -> int:
    build.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        build.PrependUOffsetTRelative(offset)
    return int(build.EndVector())


def pool_graph(*, height: int = 5, width: int = 5) -> TinyGraph:
    """Maximum of 2 x 2, step 2, "SAME": the odd row and column are padded at the end."""

    def options(build: flatbuffers.Builder) -> int:
        tflite.Pool2DOptionsStart(build)
        tflite.Pool2DOptionsAddPadding(build, 0)
        tflite.Pool2DOptionsAddStrideH(build, 2)
        tflite.Pool2DOptionsAddStrideW(build, 2)
        tflite.Pool2DOptionsAddFilterHeight(build, 2)
        tflite.Pool2DOptionsAddFilterWidth(build, 2)
        return int(tflite.Pool2DOptionsEnd(build))

    graph = TinyGraph(MAX_POOL, options_type=5)
    graph.options = options
    graph.input_shape = (1, height, width, 2)
    graph.output_shape = (1, (height + 1) // 2, (width + 1) // 2, 2)
    return graph


def run(path: Path, values: np.ndarray[Any, Any]) -> dict[str, np.ndarray[Any, Any]]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    outputs: Any = session.run(None, {session.get_inputs()[0].name: values})
    return {info.name: output for info, output in zip(session.get_outputs(), outputs, strict=True)}


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray[Any, Any]]:
    with np.load(REFERENCE) as stored:
        return dict(stored)


@pytest.fixture(scope="module")
def picture(reference: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    large = np.repeat(np.repeat(reference["picture"], 4, axis=0), 4, axis=1)
    return large[None].astype(np.float32)


@pytest.mark.models
def test_the_face_detector_computes_what_tensorflow_lite_computes(
    model_dir: Callable[[str], Path],
    picture: np.ndarray[Any, Any],
    reference: dict[str, np.ndarray[Any, Any]],
) -> None:
    outputs = run(model_dir("face") / "face_detector.onnx", picture / 127.5 - 1)
    scores = outputs["reshaped_classifier_face_4"]
    boxes = outputs["reshaped_regressor_face_4"]
    assert scores.shape == (1, 2304, 1)
    assert boxes.shape == (1, 2304, 16)
    np.testing.assert_allclose(scores.ravel()[::7], reference["detector_scores"], atol=1e-3)
    np.testing.assert_allclose(boxes.ravel()[::53], reference["detector_boxes"], atol=1e-3)


@pytest.mark.models
def test_the_face_mesh_computes_what_tensorflow_lite_computes(
    model_dir: Callable[[str], Path],
    picture: np.ndarray[Any, Any],
    reference: dict[str, np.ndarray[Any, Any]],
) -> None:
    outputs = run(model_dir("face") / "face_landmarks.onnx", picture / 255)
    assert outputs["conv2d_20"].shape == (1, 1, 1, 1404)
    np.testing.assert_allclose(outputs["conv2d_20"].ravel(), reference["landmarks"], atol=1e-3)
    np.testing.assert_allclose(outputs["conv2d_30"].ravel(), reference["face_flag"], atol=1e-3)


def test_same_padding_puts_the_odd_pixel_at_the_end(tmp_path: Path) -> None:
    source = pool_graph().write(tmp_path / "pool.tflite")
    convert_tflite(source, tmp_path / "pool.onnx")
    values = np.arange(50, dtype=np.float32).reshape(1, 5, 5, 2)
    pooled = run(tmp_path / "pool.onnx", values)["output"]
    rows = [1, 3, 4]
    np.testing.assert_array_equal(pooled, values[:, rows][:, :, rows])


def test_a_negative_picture_is_not_lifted_by_padding(tmp_path: Path) -> None:
    source = pool_graph().write(tmp_path / "pool.tflite")
    convert_tflite(source, tmp_path / "pool.onnx")
    pooled = run(tmp_path / "pool.onnx", np.full((1, 5, 5, 2), -3, np.float32))["output"]
    np.testing.assert_array_equal(pooled, np.full((1, 3, 3, 2), -3, np.float32))


def test_a_depthwise_filter_is_applied_to_its_own_channel(tmp_path: Path) -> None:
    def options(build: flatbuffers.Builder) -> int:
        tflite.DepthwiseConv2DOptionsStart(build)
        tflite.DepthwiseConv2DOptionsAddPadding(build, 1)
        tflite.DepthwiseConv2DOptionsAddStrideH(build, 1)
        tflite.DepthwiseConv2DOptionsAddStrideW(build, 1)
        tflite.DepthwiseConv2DOptionsAddDepthMultiplier(build, 1)
        tflite.DepthwiseConv2DOptionsAddFusedActivationFunction(build, 1)
        return int(tflite.DepthwiseConv2DOptionsEnd(build))

    graph = TinyGraph(DEPTHWISE, options_type=2)
    graph.options = options
    weights = np.random.default_rng(1).normal(size=(1, 3, 3, 2)).astype(np.float32)
    graph.constants = [weights, np.array([0.5, -0.5], np.float32)]
    graph.output_shape = (1, 3, 3, 2)
    convert_tflite(graph.write(tmp_path / "a.tflite"), tmp_path / "a.onnx")
    values = np.random.default_rng(2).normal(size=(1, 5, 5, 2)).astype(np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(values, (3, 3), (1, 2))
    expected = np.einsum("byxchw,ohwc->byxc", windows, weights) + np.array([0.5, -0.5])
    found = run(tmp_path / "a.onnx", values)["output"]
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-5)


def test_padding_of_channels_stays_on_channels(tmp_path: Path) -> None:
    graph = TinyGraph(PAD)
    graph.constants = [np.array([[0, 0], [1, 0], [0, 2], [0, 3]], np.int32)]
    graph.output_shape = (1, 6, 7, 5)
    convert_tflite(graph.write(tmp_path / "a.tflite"), tmp_path / "a.onnx")
    values = np.ones((1, 5, 5, 2), np.float32)
    expected = np.pad(values, graph.constants[0])
    np.testing.assert_array_equal(run(tmp_path / "a.onnx", values)["output"], expected)


def test_an_operator_that_is_not_known_is_named(tmp_path: Path) -> None:
    source = TinyGraph(TANH).write(tmp_path / "tanh.tflite")
    with pytest.raises(UnsupportedModelError, match=r"TANH is not supported.*CONV_2D"):
        convert_tflite(source, tmp_path / "tanh.onnx")
    assert not (tmp_path / "tanh.onnx").exists()


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_a_file_that_is_cut_off_is_corrupt(tmp_path: Path, share: float) -> None:
    source = pool_graph().write(tmp_path / "pool.tflite")
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelCorruptError, match=r"pool\.tflite"):
        convert_tflite(source, tmp_path / "pool.onnx")
    assert not (tmp_path / "pool.onnx").exists()


def test_another_kind_of_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "page.tflite").write_bytes(b"<html>not found</html>")
    with pytest.raises(ModelCorruptError, match="no TensorFlow Lite file"):
        convert_tflite(tmp_path / "page.tflite", tmp_path / "page.onnx")
