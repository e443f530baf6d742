"""fp16 in the graph itself: both libraries build what the network says, and have no flag for it."""

from __future__ import annotations

from typing import Any

from halfsecond_export.engines.passes.graph import in_order


def to_fp16(model: Any, *, keeps_io: bool = True) -> Any:
    """The model with float32 weights and tensors as float16; the one that was given is used up.

    Values beyond 65504 are cut to it. ONNX Runtime's converter; onnxconverter-common's breaks
    Whisper's decoder.

    keeps_io: inputs and outputs stay float32 behind casts.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return in_order(convert_float_to_float16(model, keep_io_types=keeps_io))
