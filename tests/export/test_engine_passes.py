"""Every graph pass alone: what it takes out, that the numbers stay, and what it does not touch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fakes.networks import network, node, operators, run, two_layers
from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond_export.engines.comparing import signal_to_noise_db
from halfsecond_export.engines.passes.cut import cut
from halfsecond_export.engines.passes.dequantize import dequantize
from halfsecond_export.engines.passes.fp16 import to_fp16
from halfsecond_export.engines.passes.graph import in_order
from halfsecond_export.engines.passes.symmetric import (
    fold_biases,
    is_static_int8,
    make_symmetric,
)
from halfsecond_export.engines.passes.zero_add import remove_zero_adds

X = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)


def with_zeros(*, value: float = 0.0, zeros_of: str = "x") -> Any:
    """y = relu(x) + zeros_like(x), as the exporter writes it."""
    zero = onnx.numpy_helper.from_array(np.array([value], np.float32))
    nodes = [
        node("Relu", ["x"], "active"),
        node("Shape", [zeros_of], "size"),
        node("ConstantOfShape", ["size"], "zeros", value=zero),
        node("Add", ["zeros", "active"], "y"),
    ]
    return network(nodes, {"x": ("n", 8), "row": (4, 8)}, {"y": ("n", 8)})


def test_added_zeros_go_and_the_numbers_stay() -> None:
    model = with_zeros()
    expected = run(model, x=X, row=np.zeros((4, 8), np.float32))["y"]
    assert remove_zero_adds(model) == 1
    assert operators(model) == ["Identity", "Relu"]
    found = run(model, x=X, row=np.zeros((4, 8), np.float32))["y"]
    np.testing.assert_array_equal(found, expected)


def test_added_ones_stay() -> None:
    model = with_zeros(value=1.0)
    assert remove_zero_adds(model) == 0
    assert "Add" in operators(model)


def test_zeros_that_make_a_tensor_larger_stay() -> None:
    nodes = [
        node("Shape", ["row"], "size"),
        node("ConstantOfShape", ["size"], "zeros"),
        node("Add", ["x", "zeros"], "y"),
    ]
    model = network(nodes, {"x": (1, 8), "row": (4, 8)}, {"y": (4, 8)})
    assert remove_zero_adds(model) == 0
    assert run(model, x=X[:1], row=np.ones((4, 8), np.float32))["y"].shape == (4, 8)


def test_a_cut_network_computes_the_part_between(tmp_path: Path) -> None:
    whole = onnx.load(str(two_layers(tmp_path / "net.onnx")))
    back = cut(whole, ["hidden"], ["y"])
    front = cut(whole, [], ["hidden"])
    assert operators(back) == ["MatMul", "Relu"]
    assert [tensor.name for tensor in back.graph.initializer] == ["B"]
    joined = run(back, **run(front, x=X))["y"]
    np.testing.assert_allclose(joined, run(whole, x=X)["y"], rtol=1e-6)


def test_a_cut_at_a_tensor_that_is_not_there_names_the_like(tmp_path: Path) -> None:
    whole = onnx.load(str(two_layers(tmp_path / "net.onnx")))
    with pytest.raises(ConfigError, match=r"no tensor 'hiden'.*spelt alike: hidden"):
        cut(whole, ["hiden"], ["y"])


def test_a_cut_that_needs_another_input_is_refused_with_its_name() -> None:
    nodes = [node("Relu", ["x"], "active"), node("Add", ["active", "speed"], "y")]
    model = network(nodes, {"x": ("n", 8), "speed": (8,)}, {"y": ("n", 8)})
    with pytest.raises(UnsupportedModelError, match="'speed' is needed too"):
        cut(model, ["active"], ["y"])


def dynamically_quantised(tmp_path: Path) -> tuple[Any, Any]:
    """A network in float32, and what ONNX Runtime's dynamic quantisation makes of it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    source, target = two_layers(tmp_path / "net.onnx"), tmp_path / "int8.onnx"
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True)
    return onnx.load(str(source)), onnx.load(str(target))


def test_a_dynamically_quantised_network_gets_float_weights_back(tmp_path: Path) -> None:
    source, model = dynamically_quantised(tmp_path)
    assert "MatMulInteger" in operators(model)
    rounded = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    first, second = (
        (rounded[f"{name}_quantized"].astype(np.float32) - rounded[f"{name}_zero_point"])
        * rounded[f"{name}_scale"]
        for name in ("A", "B")
    )
    assert dequantize(model) == 2
    assert operators(model) == ["MatMul", "MatMul", "Relu"]
    found = run(model, x=X)["y"]
    np.testing.assert_allclose(found, np.maximum(X @ first, 0) @ second, rtol=1e-4, atol=1e-5)
    assert signal_to_noise_db(run(source, x=X)["y"], found) > 35


def test_another_integer_product_is_refused_with_the_node() -> None:
    kind = onnx.TensorProto
    graph = onnx.helper.make_graph(
        [node("MatMulInteger", ["x", "A"], "y")],
        "integers",
        [onnx.helper.make_tensor_value_info("x", kind.UINT8, [1, 8])],
        [onnx.helper.make_tensor_value_info("y", kind.INT32, [1, 8])],
        [onnx.numpy_helper.from_array(np.eye(8, dtype=np.uint8), "A")],
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=9)
    with pytest.raises(UnsupportedModelError, match=r"y \(MatMulInteger\) is not quantised"):
        dequantize(model)


def statically_quantised(tmp_path: Path) -> tuple[Any, Any]:
    """A convolution, ReLU, convolution in float32 and in uint8/int8 QDQ; the ReLU is gone there."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    rng = np.random.default_rng(3)
    constants = {
        name: rng.normal(size=shape).astype(np.float32)
        for name, shape in (("A", (6, 4, 3, 3)), ("a", (6,)), ("B", (2, 6, 3, 3)), ("b", (2,)))
    }
    nodes = [
        node("Conv", ["x", "A", "a"], "first", kernel_shape=[3, 3]),
        node("Relu", ["first"], "active"),
        node("Conv", ["active", "B", "b"], "y", kernel_shape=[3, 3]),
    ]
    model = network(nodes, {"x": (1, 4, 12, 12)}, {"y": (1, 2, 8, 8)}, constants)
    onnx.save(model, str(tmp_path / "conv.onnx"))

    class Reader:
        left = 4

        def get_next(self) -> dict[str, Any] | None:
            self.left -= 1
            return None if self.left < 0 else {"x": image(self.left)}

    reader: Any = Reader()
    quantize_static(
        tmp_path / "conv.onnx",
        tmp_path / "qdq.onnx",
        reader,
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return model, onnx.load(str(tmp_path / "qdq.onnx"))


def image(seed: int) -> Any:
    return np.random.default_rng(seed).normal(size=(1, 4, 12, 12)).astype(np.float32)


def test_biases_become_float_and_the_numbers_stay(tmp_path: Path) -> None:
    _, model = statically_quantised(tmp_path)
    expected = run(model, x=image(2))["y"]
    assert is_static_int8(model)
    assert fold_biases(model) == 2
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert onnx.TensorProto.INT32 not in kinds
    np.testing.assert_allclose(run(model, x=image(2))["y"], expected, rtol=1e-6)


def test_uint8_activations_become_int8_around_zero(tmp_path: Path) -> None:
    source, model = statically_quantised(tmp_path)
    asymmetric, expected = run(model, x=image(2))["y"], run(source, x=image(2))["y"]
    assert "Relu" not in operators(model)
    assert make_symmetric(model) == 3
    zeros = {
        name
        for each in model.graph.node
        if each.op_type in ("QuantizeLinear", "DequantizeLinear")
        for name in each.input[2:3]
    }
    values = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    assert {values[name].dtype for name in zeros} <= {np.dtype(np.int8), np.dtype(np.int32)}
    assert not any(values[name].any() for name in zeros)
    found = run(model, x=image(2))["y"]
    assert signal_to_noise_db(expected, asymmetric) > 30
    # One bit less where the range began at zero, and no more.
    assert signal_to_noise_db(expected, found) > signal_to_noise_db(expected, asymmetric) - 8


def test_the_relu_that_uint8_hid_is_put_back(tmp_path: Path) -> None:
    source, model = statically_quantised(tmp_path)
    make_symmetric(model)
    assert operators(model).count("Relu") == 1
    for each in [n for n in model.graph.node if n.op_type == "Relu"]:
        model.graph.node.remove(each)
        for reader in model.graph.node:
            for index, name in enumerate(reader.input):
                if name == each.output[0]:
                    reader.input[index] = each.input[0]
    without = run(model, x=image(2))["y"]
    assert signal_to_noise_db(run(source, x=image(2))["y"], without) < 5


def test_weights_in_uint8_are_refused_with_the_node(tmp_path: Path) -> None:
    constants: dict[str, Any] = {
        "A": np.full((8, 8), 3, np.uint8),
        "scale": np.array(0.1, np.float32),
        "zero": np.array(128, np.uint8),
    }
    nodes = [
        node("DequantizeLinear", ["A", "scale", "zero"], "weights"),
        node("MatMul", ["x", "weights"], "y"),
    ]
    model = network(nodes, {"x": ("n", 8)}, {"y": ("n", 8)}, constants)
    with pytest.raises(UnsupportedModelError, match="weights: weights in uint8"):
        make_symmetric(model)


@pytest.mark.parametrize("keeps_io", [True, False])
def test_fp16_is_in_the_graph_and_near_its_source(tmp_path: Path, keeps_io: bool) -> None:
    source = onnx.load(str(two_layers(tmp_path / "net.onnx")))
    expected = run(source, x=X)["y"]
    model = to_fp16(source, keeps_io=keeps_io)
    kinds = {tensor.data_type for tensor in model.graph.initializer}
    assert kinds == {onnx.TensorProto.FLOAT16}
    dtype = np.float32 if keeps_io else np.float16
    found = run(model, x=X.astype(dtype))["y"]
    assert found.dtype == dtype
    assert 45 < signal_to_noise_db(expected, found) < 100


@pytest.mark.models
def test_hibari_has_no_integer_products_left_and_times_its_words_the_same(
    model_dir: Callable[[str], Path],
) -> None:
    model = onnx.load(str(model_dir("hibari") / "hibari.onnx"))
    feeds: dict[str, Any] = {
        "ids": np.array([[1, 5, 9, 20, 30, 33, 12, 7, 3, 2]], np.int64),
        "speed": np.ones(1, np.float32),
    }
    before = run(model, **feeds)
    assert dequantize(model) == 77
    assert not {"MatMulInteger", "DynamicQuantizeLinear"} & set(operators(model))
    after = run(model, **feeds)
    np.testing.assert_array_equal(after["durations"], before["durations"])
    assert signal_to_noise_db(before["lh"], after["lh"]) > 25


@pytest.mark.models
def test_the_back_of_hibari_gives_the_spectrum_of_the_whole(
    model_dir: Callable[[str], Path],
) -> None:
    from halfsecond_export.engines.recipes import RECIPES

    recipe = RECIPES["hibari-back"]
    whole = onnx.load(str(model_dir("hibari") / "hibari.onnx"))
    dequantize(whole)
    ids = np.array([[1, 5, 9, 20, 30, 33, 12, 7, 3, 2]], np.int64)
    speed = np.ones(1, np.float32)
    front, back = cut(whole, [], recipe.cut_inputs), cut(whole, recipe.cut_inputs, ["lh", "f0"])
    features = run(front, ids=ids, speed=speed)
    joined, expected = run(back, **features), run(whole, ids=ids, speed=speed)
    for name in ("lh", "f0"):
        np.testing.assert_allclose(joined[name], expected[name], rtol=1e-4, atol=1e-4)


def test_nodes_are_put_after_those_that_they_read() -> None:
    nodes = [node("Abs", ["x"], "a"), node("Neg", ["a"], "b"), node("Relu", ["b"], "y")]
    model = network(nodes, {"x": (3, 8)}, {"y": (3, 8)})
    turned = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(turned)
    in_order(model)
    assert [each.op_type for each in model.graph.node] == ["Abs", "Neg", "Relu"]
    np.testing.assert_array_equal(run(model, x=X)["y"], np.maximum(-np.abs(X), 0))


def test_nodes_that_wait_for_one_another_are_refused() -> None:
    model = network([node("Relu", ["x"], "y")], {"x": (3, 8)}, {"y": (3, 8)})
    model.graph.node.extend([node("Neg", ["b"], "a"), node("Abs", ["a"], "b")])
    with pytest.raises(UnsupportedModelError, match="wait for one another"):
        in_order(model)
