"""Torch-free conversions that make the catalog's files ready to run.

`PREPARERS` maps the names that the catalog uses to functions that take a `PrepareRequest`. The
libraries that a conversion needs (onnx, tflite, gguf, ctranslate2) are imported when it runs.
"""

from __future__ import annotations

from halfsecond_export.prepare.preparers import PREPARERS, convert_gguf, convert_gguf_to_onnx
from halfsecond_export.prepare.request import MANIFEST_NAME, Preparer, PrepareRequest

__all__ = [
    "MANIFEST_NAME",
    "PREPARERS",
    "PrepareRequest",
    "Preparer",
    "convert_gguf",
    "convert_gguf_to_onnx",
]
