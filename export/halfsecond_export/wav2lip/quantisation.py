"""The generator in fp16, in INT8, and in INT8 with the layers that suffer most in fp16."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from halfsecond_export.wav2lip.footage import Windows
from halfsecond_export.wav2lip.graph import FACE, PICTURES, SOUND

CALIBRATION_BATCH_FRAMES = 4
LAST_CONVOLUTION = "output_block.1"
KEPT_SHARE = 0.95
"""The mixed file keeps the fewest layers that make up this part of the quantisation's error."""


def write_fp16(source: Path, target: Path) -> None:
    """The fp32 file at `source` in fp16; inputs and output stay float32."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(target))


def write_int8(source: Path, target: Path, windows: Windows, face: NDArray[np.float32]) -> None:
    """The fp32 file at `source` in static INT8 QDQ for ONNX Runtime's CPU kernels.

    Weights are int8 per channel, activations uint8 (int8 ones are several times slower than fp32
    on x86 with VNNI), inputs and output stay float32, and so does the last convolution: it loses
    most of all, and has one in four thousand of the sums.

    source: with interleaved convolutions, as there is no INT8 kernel for transposed ones.
    windows, face: real inputs; the ranges of all activations are theirs.
    """
    from onnxruntime.quantization import QuantType

    _quantise(
        source,
        target,
        _Reader(windows, face),
        activation_type=QuantType.QUInt8,
        nodes_to_exclude=[LAST_CONVOLUTION, PICTURES],
    )


def write_mixed(
    source: Path,
    target: Path,
    windows: Windows,
    face: NDArray[np.float32],
    *,
    kept: Sequence[str],
) -> None:
    """The fp32 file at `source` with INT8 convolutions, but for `kept`, which are in fp16.

    Made for TensorRT: activations are symmetric int8, biases are not quantised, and only
    convolutions are in INT8. Scales and what is between convolutions stay float32: with scales in
    fp16 ONNX Runtime 1.32 fuses quantised convolutions wrongly on the CPU (relative error 0.45
    against 0.006 with graph optimisation off).
    """
    import onnx
    from onnxruntime.quantization import QuantType

    _quantise(
        source,
        target,
        _Reader(windows, face),
        activation_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=list(kept),
        extra_options={"ActivationSymmetric": True, "QuantizeBias": False},
    )
    onnx.save(_in_fp16(onnx.load(str(target)), kept), str(target))


def _in_fp16(model: Any, names: Sequence[str]) -> Any:
    """The same ONNX model with these convolutions in fp16 and casts around them; in place."""
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    weights = {w.name: w for w in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.name not in names:
            nodes.append(node)
            continue
        for name in node.input[1:]:
            half = numpy_helper.to_array(weights[name]).astype(np.float16)
            weights[name].CopyFrom(numpy_helper.from_array(half, name))
        source, result = node.input[0], node.output[0]
        node.input[0], node.output[0] = f"{node.name}.half_in", f"{node.name}.half_out"
        nodes += [
            helper.make_node("Cast", [source], [node.input[0]], to=TensorProto.FLOAT16),
            node,
            helper.make_node("Cast", [node.output[0]], [result], to=TensorProto.FLOAT),
        ]
    del graph.node[:]
    graph.node.extend(nodes)
    return model


def _quantise(source: Path, target: Path, reader: _Reader, **options: Any) -> None:
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    with _quiet():
        quantize_static(
            source,
            target,
            cast(Any, reader),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            weight_type=QuantType.QInt8,
            **options,
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice, which it gives to the root logger."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


class _Reader:
    """Real inputs in small batches, as the quantiser asks for them."""

    def __init__(self, windows: Windows, face: NDArray[np.float32]) -> None:
        self._face = face
        self._batches = iter(
            windows[at : at + CALIBRATION_BATCH_FRAMES]
            for at in range(0, len(windows), CALIBRATION_BATCH_FRAMES)
        )

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """The next batch by the names of the inputs; None after the last."""
        batch = next(self._batches, None)
        if batch is None:
            return None
        return {SOUND: batch, FACE: np.repeat(self._face[np.newaxis], len(batch), axis=0)}


def layers_to_keep(errors: Mapping[str, float], *, share: float = KEPT_SHARE) -> list[str]:
    """The fewest layers whose squared errors are at least `share` of all, worst first."""
    total = sum(error**2 for error in errors.values())
    kept: list[str] = []
    covered = 0.0
    for name in sorted(errors, key=lambda name: -errors[name]):
        if covered >= share * total:
            break
        kept.append(name)
        covered += errors[name] ** 2
    return kept
