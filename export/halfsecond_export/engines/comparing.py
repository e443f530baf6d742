"""Whether a rewritten network still computes what its source does, on ONNX Runtime's CPU kernels.

The engine itself cannot be run without its GPU; the network that it is compiled from can. The input
is random: this finds a pass that breaks a network and fp16 that overflows, and says nothing of how
good trained weights are after quantisation, which the exporters measure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Check, Precision, Profile, Tensor
from halfsecond_export.engines.fp16_on_cpu import emulate_fp16

Arrays = dict[str, NDArray[Any]]

# A signal-to-noise ratio that is reported for equal results, and for results with NaN or infinity.
EQUAL_DB, NOT_FINITE_DB = 200.0, -200.0

# What the rewriting alone may lose. fp16 keeps 64 dB in Wav2Lip and 42 in a Piper voice; an
# overflow gives infinities or NaN. INT8 gets other scales, which keep 28 dB in Wav2Lip; with its
# ReLUs lost it is about 0.
_AT_LEAST_DB: Mapping[Precision, float] = {"fp32": 60.0, "fp16": 25.0, "int8": 12.0}


def random_feeds(
    inputs: Sequence[Tensor], profiles: Mapping[str, Profile], masks: Collection[str] = ()
) -> Arrays:
    """Random numbers from -1 to 1, ones for `masks`, zeros for integers, in typical shapes."""
    rng = np.random.default_rng(0)
    feeds: Arrays = {}
    for tensor in inputs:
        profile = profiles.get(tensor.name)
        shape = profile.typical if profile else tuple(int(size) for size in tensor.shape)
        if np.issubdtype(np.dtype(tensor.dtype), np.floating) and tensor.name not in masks:
            feeds[tensor.name] = rng.uniform(-1, 1, size=shape).astype(tensor.dtype)
        else:
            feeds[tensor.name] = np.full(shape, tensor.name in masks, tensor.dtype)
    return feeds


def run_rewritten(model: Any, feeds: Arrays) -> Arrays | None:
    """The outputs of a rewritten network with the rounding of its precision; it is used up."""
    return run_network(emulate_fp16(model).SerializeToString(), feeds)


def run_network(network: bytes, feeds: Arrays) -> Arrays | None:
    """The outputs of a network by name; None where ONNX Runtime does not run it."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        dtypes = {each.name: _DTYPES.get(each.type) for each in session.get_inputs()}
        fitting = {name: feeds[name].astype(dtypes[name]) for name in dtypes}
        outputs: Any = session.run(None, fitting)
    except Exception:  # a class of its own per status code; what it cannot run cannot be compared
        return None
    names = [each.name for each in session.get_outputs()]
    return {name: np.asarray(values) for name, values in zip(names, outputs, strict=True)}


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def compared(
    before: Arrays | None, after: Arrays | None, precision: Precision, changes: Mapping[str, int]
) -> tuple[Check, ...]:
    """A check for every output; none where one of the networks did not run."""
    if before is None or after is None:
        return ()
    at_least_db = _AT_LEAST_DB.get(precision)
    if "dequantize" in changes and precision == "fp32":
        at_least_db = _AT_LEAST_DB["fp16"]  # what the source loses by rounding is no fault here
    return tuple(
        Check(
            what=f"rewritten {name} against its source, random input",
            value=signal_to_noise_db(values, after[name]),
            unit=" dB",
            at_least=at_least_db,
        )
        for name, values in before.items()
    )


def signal_to_noise_db(reference: NDArray[Any], found: NDArray[Any]) -> float:
    """10 log10 of the power of the reference over that of the difference, within ±200 dB."""
    if reference.shape != found.shape or not np.isfinite(found.astype(np.float64)).all():
        return NOT_FINITE_DB
    wanted = reference.astype(np.float64)
    noise = float(((wanted - found.astype(np.float64)) ** 2).sum())
    if noise == 0.0:
        return EQUAL_DB
    power = max(float((wanted**2).sum()), np.finfo(np.float64).tiny)
    return float(np.clip(10 * np.log10(power / noise), NOT_FINITE_DB, EQUAL_DB))
