"""ONNX Runtime's sessions, opened in one way: few threads, and none that spins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from halfsecond.artifact import Tensor
from halfsecond.errors import ModelCorruptError, ModelMissingError

TENSORRT = "TensorrtExecutionProvider"
CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"

_KINDS = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
}
"""Types that numpy has too, as ONNX Runtime calls them."""


def load_onnxruntime() -> Any:
    """The module `onnxruntime`."""
    import onnxruntime

    return onnxruntime


def inference_session(
    path: Path,
    *,
    threads: int,
    providers: Sequence[tuple[str, dict[str, str]]],
    entries: Sequence[tuple[str, str]] = (),
) -> Any:
    """ONNX Runtime's own session; it may have left out a provider without a word.

    Threads do not spin between calls: on two cores a spinning pool takes the core that the next
    engine needs.

    entries: further entries of the session's config.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: ONNX Runtime cannot read it.
    """
    ort = load_onnxruntime()
    if not path.is_file():
        raise ModelMissingError(f"no model at {path}; run `halfsecond models fetch`")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, value in entries:
        options.add_session_config_entry(key, value)
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:
        # ONNX Runtime raises a class of its own per status code; all mean the same here.
        raise ModelCorruptError(
            f"{path} cannot be read as an ONNX model ({error}); "
            "run `halfsecond models verify`, then `halfsecond models fetch`"
        ) from error


def declared(arguments: Sequence[Any]) -> tuple[Tensor, ...]:
    """What `get_inputs` or `get_outputs` says; a size without a name is called "?".

    Types that numpy lacks keep ONNX Runtime's name.
    """
    return tuple(
        Tensor(
            name=argument.name,
            dtype=_KINDS.get(argument.type, str(argument.type)),
            shape=tuple(size if size is not None else "?" for size in argument.shape),
        )
        for argument in arguments
    )
