"""The weights of a Whisper that optimum wrote as ONNX files, by the names of Hugging Face.

Its exporter keeps the names of what a module adds or looks up. What a module multiplies with is
transposed ahead and loses its name; the node that multiplies still carries the module's path. The
encoder's positions, of which it takes all, become a nameless table that is added.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.prepare.decoder_network import Array

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, TensorProto

FILES = {"encoder": "encoder_model.onnx", "decoder": "decoder_model.onnx"}
"""`decoder_with_past_model.onnx` holds the decoder's weights once more, but for those of the keys
and values that it is given."""
MERGED = "decoder_model_merged.onnx"
FOLDERS = (".", "onnx")
"""Where they lie below the directory: as optimum leaves them, or as repositories hold them."""

_MODULE = re.compile(r"(?:^|[./])((?:layers\.\d+|conv\d|embed_\w+|layer_norm)(?:[./].*)?)$")
"""The part of a path that is a module's own, whatever the exporter put around it."""
_QUANTISED = frozenset(
    {"MatMulInteger", "QLinearMatMul", "DequantizeLinear", "DynamicQuantizeMatMul", "MatMulNBits"}
)


def graphs_in(directory: Path) -> dict[str, Path] | None:
    """The files of the encoder and of the decoder, or None where optimum wrote nothing.

    Raises UnsupportedModelError where only the merged decoder is there.
    """
    for folder in (directory / name for name in FOLDERS):
        found = {half: folder / name for half, name in FILES.items()}
        if all(file.is_file() for file in found.values()):
            return found
        if (folder / FILES["encoder"]).is_file() and (folder / MERGED).is_file():
            raise UnsupportedModelError(
                f"{folder} holds {MERGED} and no {FILES['decoder']}; export it with "
                "--no-post-process, which leaves the decoder as it was before merging"
            )
    return None


class OptimumWeights:
    """The tensors of both files in float32, each read when it is asked for."""

    def __init__(self, graphs: dict[str, Path]) -> None:
        """graphs: of `graphs_in`.

        Raises ModelCorruptError, and UnsupportedModelError for products in integers.
        """
        self.files = tuple(graphs.values())
        self._tensors: dict[str, tuple[TensorProto, bool]] = {}
        for half, file in graphs.items():
            self._tensors |= {
                f"model.{half}.{name}": stored for name, stored in _named(_read(file), file)
            }

    @property
    def names(self) -> frozenset[str]:
        """The names of all tensors that are a module's."""
        return frozenset(self._tensors)

    def tensor(self, name: str) -> Array:
        """A tensor of `names`."""
        from onnx import numpy_helper

        stored, is_transposed = self._tensors[name]
        values = np.asarray(numpy_helper.to_array(stored), np.float32)
        return np.ascontiguousarray(values.T if is_transposed else values)


def _read(file: Path) -> ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(file)
    except (DecodeError, OSError, ValueError, onnx.checker.ValidationError) as error:
        raise ModelCorruptError(
            f"{file} cannot be read as an ONNX file ({error}); export it again, and keep its "
            ".onnx_data beside it if it has one"
        ) from error


def _named(model: ModelProto, file: Path) -> Iterator[tuple[str, tuple[TensorProto, bool]]]:
    """Each tensor's name from its layer on, the tensor, and whether it lies transposed."""
    graph = model.graph
    if integers := sorted({node.op_type for node in graph.node} & _QUANTISED):
        raise UnsupportedModelError(
            f"{file} multiplies in integers ({integers[0]}); take the model before any quantisation"
        )
    for stored in graph.initializer:
        if match := _MODULE.search(stored.name):
            yield match[1], (stored, False)
    yield from _nameless(graph)


def _nameless(graph: GraphProto) -> Iterator[tuple[str, tuple[TensorProto, bool]]]:
    """The weights that lost their names, under those of the modules that work with them."""
    tensors = {stored.name: stored for stored in graph.initializer}
    for node in graph.node:
        stored = next((tensors[name] for name in node.input if name in tensors), None)
        if stored is None:
            continue
        module = _MODULE.search(node.name.rpartition("/")[0])
        if node.op_type == "MatMul" and module:
            yield f"{module[1].replace('/', '.')}.weight", (stored, True)
        elif node.op_type == "Add" and not module and len(stored.dims) == 2:
            yield "embed_positions.weight", (stored, False)
