"""Where CTranslate2 runs a model, and with which arithmetic."""

from __future__ import annotations

from pathlib import Path

from halfsecond.artifact import MANIFEST_NAME, read_artifact
from halfsecond.errors import NoGpuError
from halfsecond.sessions import Device

_ON_A_GPU = {"fp32": "float32", "fp16": "float16", "int8": "int8_float16"}
"""By the precision of the weights. What INT8 leaves over is float16 on a GPU: float32 there would
take twice the time and the memory of it. The catalog's models are INT8."""


def ctranslate2_device(
    directory: Path, device: Device, *, compute_type: str, on_cpu: str
) -> tuple[str, str]:
    """The device and compute type to open a model with.

    compute_type: what was asked for; empty takes `on_cpu` there, and on a GPU what suits the
    weights of the directory.

    Raises NoGpuError where a GPU is asked for and CTranslate2 sees none.
    """
    if device == "cpu":
        return "cpu", compute_type or on_cpu
    gpus = count_gpus()
    if not gpus and device == "cuda":
        raise NoGpuError(
            f'{directory.name} was to run on a GPU (device = "cuda"), and CTranslate2 finds none; '
            "see `halfsecond doctor`"
        )
    if not gpus:
        return "cpu", compute_type or on_cpu
    return "cuda", compute_type or _ON_A_GPU.get(_precision(directory), "int8_float16")


def count_gpus() -> int:
    """CUDA devices that CTranslate2 can use."""
    import ctranslate2

    return int(ctranslate2.get_cuda_device_count())


def _precision(directory: Path) -> str:
    if not (directory / MANIFEST_NAME).is_file():
        return "int8"
    return read_artifact(directory).precision
