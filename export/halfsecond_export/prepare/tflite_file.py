"""A TensorFlow Lite file as plain arrays and operators, read without TensorFlow."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ModelCorruptError, UnsupportedModelError

# File identifier of the TensorFlow Lite schema, at byte 4 of every flatbuffer.
FILE_IDENTIFIER = b"TFL3"

# What parsing a damaged flatbuffer raises: offsets that lead outside the file, or into nonsense.
_PARSE_ERRORS = (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError)


@dataclass(frozen=True)
class TfliteTensor:
    """One tensor of the graph.

    `shape` is the layout of the file (NHWC for pictures); `constant` holds the weights as
    stored (float16 stays float16), or None for a tensor that is computed.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    constant: NDArray[Any] | None = None


@dataclass(frozen=True)
class TfliteOperator:
    """One operator: its builtin name, the tensors it reads and writes, and its options."""

    kind: str
    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class TfliteGraph:
    """The only subgraph of a file, its operators in the order of execution."""

    inputs: tuple[TfliteTensor, ...]
    outputs: tuple[TfliteTensor, ...]
    operators: tuple[TfliteOperator, ...]


# The option fields that the converter looks at, by operator. An operator that is not named here
# is listed with no options; whether it can be converted is the converter's decision.
_OPTION_FIELDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "CONV_2D": (
        "Conv2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "DilationWFactor",
            "DilationHFactor",
            "FusedActivationFunction",
        ),
    ),
    "DEPTHWISE_CONV_2D": (
        "DepthwiseConv2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "DilationWFactor",
            "DilationHFactor",
            "FusedActivationFunction",
        ),
    ),
    "MAX_POOL_2D": (
        "Pool2DOptions",
        (
            "Padding",
            "StrideW",
            "StrideH",
            "FilterWidth",
            "FilterHeight",
            "FusedActivationFunction",
        ),
    ),
    "ADD": ("AddOptions", ("FusedActivationFunction",)),
    "CONCATENATION": ("ConcatenationOptions", ("Axis", "FusedActivationFunction")),
    "RESIZE_BILINEAR": ("ResizeBilinearOptions", ("AlignCorners", "HalfPixelCenters")),
}


def read_tflite(path: Path) -> TfliteGraph:
    """Returns the graph of a file.

    Raises ModelCorruptError where the file is cut off or no TensorFlow Lite file, and
    UnsupportedModelError for several subgraphs, custom operators and sparse or quantised weights.
    """
    data = path.read_bytes()
    if data[4:8] != FILE_IDENTIFIER:
        raise ModelCorruptError(
            f"{path.name}: no TensorFlow Lite file (expected {FILE_IDENTIFIER!r} at byte 4, "
            f"found {data[4:8]!r}). Fetch it again."
        )
    try:
        return _Reader(path.name, data).graph()
    except _PARSE_ERRORS as error:
        raise ModelCorruptError(
            f"{path.name}: cannot be parsed after {len(data)} bytes, it is cut off or damaged "
            f"({error}). Fetch it again."
        ) from error


class _Reader:
    """Reads one file; the schema classes come from the `tflite` package."""

    def __init__(self, name: str, data: bytes) -> None:
        import tflite

        self._schema: Any = tflite
        self._name = name
        # Any: the generated classes return None where a table is absent, and say so badly.
        self._model: Any = tflite.Model.GetRootAsModel(data, 0)
        self._operator_names = _constant_names(tflite.BuiltinOperator)
        self._type_names = _constant_names(tflite.TensorType)

    def graph(self) -> TfliteGraph:
        if self._model.SubgraphsLength() != 1:
            raise UnsupportedModelError(
                f"{self._name}: {self._model.SubgraphsLength()} subgraphs, expected 1"
            )
        subgraph = self._model.Subgraphs(0)
        tensors = [self._tensor(subgraph, i) for i in range(subgraph.TensorsLength())]
        operators = [
            self._operator(subgraph.Operators(i), tensors)
            for i in range(subgraph.OperatorsLength())
        ]
        if not operators:
            raise ValueError("no operators")
        return TfliteGraph(
            inputs=_pick(tensors, subgraph.InputsAsNumpy()),
            outputs=_pick(tensors, subgraph.OutputsAsNumpy()),
            operators=tuple(operators),
        )

    def _tensor(self, subgraph: Any, index: int) -> TfliteTensor:
        raw = subgraph.Tensors(index)
        name = raw.Name().decode("utf-8")
        shape = tuple(int(size) for size in np.atleast_1d(raw.ShapeAsNumpy()))
        kind = self._type_names[raw.Type()]
        if raw.Sparsity() is not None:
            raise UnsupportedModelError(
                f"{self._name}: tensor {name!r} is sparse; take the dense variant of the model"
            )
        stored = self._model.Buffers(raw.Buffer())
        if stored.DataLength() == 0:
            return TfliteTensor(index, name, shape)
        dtypes = {"FLOAT32": "<f4", "FLOAT16": "<f2", "INT32": "<i4"}
        if kind not in dtypes:
            raise UnsupportedModelError(
                f"{self._name}: tensor {name!r} holds {kind}; supported: {', '.join(dtypes)}"
            )
        values = np.frombuffer(stored.DataAsNumpy().tobytes(), dtypes[kind]).reshape(shape)
        return TfliteTensor(index, name, shape, values)

    def _operator(self, raw: Any, tensors: list[TfliteTensor]) -> TfliteOperator:
        code = self._model.OperatorCodes(raw.OpcodeIndex())
        # Codes above 126 are stored in the newer field alone, old files fill the older one alone.
        kind = self._operator_names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        options: dict[str, int] = {}
        table = raw.BuiltinOptions()
        if kind in _OPTION_FIELDS and table is not None:
            class_name, names = _OPTION_FIELDS[kind]
            parsed = getattr(self._schema, class_name)()
            parsed.Init(table.Bytes, table.Pos)
            options = {name: int(getattr(parsed, name)()) for name in names}
        return TfliteOperator(
            kind=kind,
            inputs=_pick(tensors, raw.InputsAsNumpy()),
            outputs=_pick(tensors, raw.OutputsAsNumpy()),
            options=options,
        )


def _pick(tensors: list[TfliteTensor], indices: Any) -> tuple[TfliteTensor, ...]:
    chosen = [int(index) for index in np.atleast_1d(indices)]
    # -1 marks an optional input that is absent.
    return tuple(tensors[index] for index in chosen if index >= 0)


def _constant_names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}
