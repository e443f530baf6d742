"""A network as TensorRT reads it, in the precision that was asked for: which passes run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from halfsecond.artifact import Precision
from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond_export.engines.passes.dequantize import dequantize
from halfsecond_export.engines.passes.fp16 import to_fp16
from halfsecond_export.engines.passes.symmetric import fold_biases, is_static_int8, make_symmetric
from halfsecond_export.engines.passes.zero_add import remove_zero_adds

REVISION = "1"
"""Part of an engine's key: raised whenever the same network comes out of the passes different."""


def rewrite(model: Any, precision: Precision, *, keeps_io: bool) -> tuple[Any, dict[str, int]]:
    """The network to build, and how many places each pass changed; `model` is used up.

    Raises:
        ConfigError: the precision is not one that this network can be built in.
        UnsupportedModelError: a pass meets what it does not know.
    """
    changes = {"zero-add": remove_zero_adds(model), "dequantize": dequantize(model)}
    is_int8 = is_static_int8(model)
    if is_int8 and precision in ("fp32", "fp16"):
        raise ConfigError(
            f"the network is quantised: build it with --precision int8, or its source in "
            f"{precision}"
        )
    if not is_int8 and precision in ("int8", "int8_fp16"):
        raise ConfigError(
            "the network is not quantised (no QuantizeLinear): `halfsecond export` writes an INT8 "
            "one from calibration data; fp16 needs none"
        )
    if is_int8:
        changes["float-bias"] = fold_biases(model)
        changes["symmetric"] = make_symmetric(model)
    if precision == "int8_fp16" and not _has_type(model, "FLOAT16"):
        raise UnsupportedModelError(
            "the network has no fp16 in it: INT8 with fp16 is decided where it is quantised, "
            "with `halfsecond export`; --precision int8 builds it as it is"
        )
    if precision == "fp16" and not _is_fp16_already(model):
        model = to_fp16(model, keeps_io=keeps_io)
        changes["fp16"] = 1
    return model, {name: count for name, count in changes.items() if count}


def describe(changes: dict[str, int]) -> str:
    """ "zero-add 20, fp16" for the manifest and the table."""
    parts = (name if name == "fp16" else f"{name} {count}" for name, count in changes.items())
    return ", ".join(parts)


def _has_type(model: Any, name: str) -> bool:
    import onnx

    kind = getattr(onnx.TensorProto, name)
    return any(tensor.data_type == kind for tensor in model.graph.initializer)


def _is_fp16_already(model: Any) -> bool:
    """Whether an exporter has converted it: half weights, and no large float ones."""
    import onnx

    large: Sequence[Any] = [t for t in model.graph.initializer if len(t.dims) > 1]
    kinds = {tensor.data_type for tensor in large}
    return onnx.TensorProto.FLOAT16 in kinds and onnx.TensorProto.FLOAT not in kinds
