"""ONNX Runtime sessions, opened in one way: few threads, and none that spins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError

Session = Any
"""An onnxruntime.InferenceSession (the package ships no types)."""

CPU = "CPUExecutionProvider"


def open_session(path: Path, *, threads: int = 1, providers: Sequence[str] = (CPU,)) -> Session:
    """An ONNX Runtime session on the first of `providers` that loads.

    Threads do not spin between calls: on two cores a spinning pool takes the core that the next
    engine needs.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: ONNX Runtime cannot read it.
    """
    import onnxruntime as ort

    if not path.is_file():
        raise ModelMissingError(f"no model at {path}; run `halfsecond models fetch`")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:
        # ONNX Runtime raises a class of its own per status code; all mean the same here.
        raise ModelCorruptError(
            f"{path} cannot be read as an ONNX model ({error}); "
            "run `halfsecond models verify`, then `halfsecond models fetch`"
        ) from error
