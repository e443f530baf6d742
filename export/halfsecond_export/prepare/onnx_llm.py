"""Llama-family language models: GGUF to an ONNX model with a key/value cache, without torch.

The graph takes new tokens and the buffers of what came before; its operators beside ONNX's own are
ONNX Runtime's (`com.microsoft`): blockwise 8-bit products, attention that rotates and appends to
the buffers in place, and RMS norms that add the residual.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from halfsecond.errors import ConfigError
from halfsecond_export.prepare.blockwise import BLOCK_SIZE, quantize_blocks
from halfsecond_export.prepare.gguf_file import GgufFile
from halfsecond_export.prepare.gguf_network import (
    DETAILS,
    Architecture,
    query_key_value,
    read_architecture,
    refuse_unread,
)
from halfsecond_export.prepare.gguf_tokenizer import read_vocabulary, write_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUANTIZATIONS = ("int8", "float32")
MODEL_NAME = "model.onnx"
DATA_NAME = "model.onnx.data"

# Tensors from this size on lie in the data file, which is mapped and not read.
_EXTERNAL_BYTES = 1024
_OPSET, _IR_VERSION = 17, 9
_MICROSOFT = "com.microsoft"
# The products are computed on activations rounded to 8 bits in blocks of their own.
_INT8_ACTIVATIONS = 4


def convert_gguf_to_onnx_files(
    source: Path, directory: Path, *, quantization: str
) -> dict[str, Any]:
    """Writes `model.onnx` with its data, the tokenizer and `chat.json` into an empty directory.

    "int8" keeps the values of Q8_0 tensors and rounds others to 8 bits in blocks of 32;
    "float32" is exact, and slow. Returns what the file says about itself: name, licence, sizes.
    Raises ModelCorruptError, UnsupportedModelError and ConfigError.
    """
    import onnx

    if quantization not in QUANTIZATIONS:
        raise ConfigError(
            f"quantization {quantization!r} is not supported; valid: {', '.join(QUANTIZATIONS)}"
        )
    file = GgufFile(source)
    architecture = read_architecture(file)
    vocabulary = read_vocabulary(file, architecture.vocabulary)
    write_tokenizer(file, vocabulary, directory, context_tokens=architecture.context_tokens)
    model = build_model(file, architecture, quantization=quantization)
    refuse_unread(file, architecture)
    onnx.save_model(
        model,
        str(directory / MODEL_NAME),
        save_as_external_data=True,
        location=DATA_NAME,
        size_threshold=_EXTERNAL_BYTES,
    )
    # The library closes its data to other users; a store may be shared by several.
    (directory / DATA_NAME).chmod(0o644)
    return {**file.texts(DETAILS), "architecture": vars(architecture)}


def build_model(file: GgufFile, architecture: Architecture, *, quantization: str) -> Any:
    """Returns the `ModelProto`.

    Inputs: `tokens` (1, n) int64, the new ones; `rows` (r,) int64, which of them logits are wanted
    for; `last` (1,) int32, the position of the last new token; `total` (1,) int32, that plus one;
    `past_key_I` and `past_value_I` (1, key heads, capacity, head size) float32 of each layer.
    Outputs: `logits` (1, r, vocabulary) float32, and `present_key_I`, `present_value_I`, to be
    bound to the buffers of the inputs.
    """
    return _Graph(file, architecture, is_quantized=quantization == "int8").build()


class _Graph:
    """Nodes and tensors of the model while it is put together."""

    def __init__(self, file: GgufFile, architecture: Architecture, *, is_quantized: bool) -> None:
        self._file = file
        self._sizes = architecture
        self._is_quantized = is_quantized
        self._nodes: list[Any] = []
        self._tensors: list[Any] = []

    def build(self) -> Any:
        from onnx import TensorProto, helper

        a = self._sizes
        self._add_rotary_tables()
        state, skip = self._embeddings(), None
        for index in range(a.layers):
            state, skip = self._layer(index, state, skip)
        normed, _ = self._norm("output_norm", state, skip, "output_norm")
        self._head(normed)
        caches = [f"{kind}_{index}" for index in range(a.layers) for kind in ("key", "value")]
        shape = [1, a.key_heads, "capacity", a.head_size]
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self._nodes,
            "decoder",
            [
                info("tokens", TensorProto.INT64, [1, "n"]),
                info("rows", TensorProto.INT64, ["r"]),
                info("last", TensorProto.INT32, [1]),
                info("total", TensorProto.INT32, [1]),
                *(info(f"past_{name}", TensorProto.FLOAT, shape) for name in caches),
            ],
            [
                info("logits", TensorProto.FLOAT, [1, "r", a.vocabulary]),
                *(info(f"present_{name}", TensorProto.FLOAT, shape) for name in caches),
            ],
            self._tensors,
        )
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(_MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)

    def _layer(self, index: int, state: str, skip: str | None) -> tuple[str, str]:
        """Returns what the layer adds, and the residual that it is to be added to."""
        a, block = self._sizes, f"blk.{index}"
        normed, residual = self._norm(f"{block}.attn_norm", state, skip, f"{block}.attn_norm")
        mixed = self._attention(index, normed)
        if index == a.layers - 1:
            # From here on nothing looks at other tokens, and only `rows` are asked for.
            mixed = self._add("Gather", [mixed, "rows"], f"{block}.mixed_rows", axis=1)
            residual = self._add("Gather", [residual, "rows"], f"{block}.residual_rows", axis=1)
        added = self._matrix(f"{block}.attn_output", mixed, a.width, a.heads * a.head_size)
        normed, residual = self._norm(f"{block}.ffn_norm", added, residual, f"{block}.ffn_norm")
        gate = self._matrix(f"{block}.ffn_gate", normed, a.inner_width, a.width)
        up = self._matrix(f"{block}.ffn_up", normed, a.inner_width, a.width)
        # x * sigmoid(1 * x) is SiLU.
        silu = self._add("QuickGelu", [gate], f"{block}.silu", domain=_MICROSOFT, alpha=1.0)
        inner = self._add("Mul", [silu, up], f"{block}.inner")
        return self._matrix(f"{block}.ffn_down", inner, a.width, a.inner_width), residual

    def _attention(self, index: int, normed: str) -> str:
        a, block = self._sizes, f"blk.{index}"
        weight, bias = query_key_value(self._file, a, index)
        packed = self._product(f"{block}.attn_qkv", normed, weight, bias)
        past = [f"past_key_{index}", f"past_value_{index}"]
        outputs = [f"{block}.attn", f"present_key_{index}", f"present_value_{index}"]
        self._add(
            "GroupQueryAttention",
            [packed, "", "", *past, "last", "total", "rotary.cosine", "rotary.sine"],
            *outputs,
            domain=_MICROSOFT,
            num_heads=a.heads,
            kv_num_heads=a.key_heads,
            do_rotary=1,
            rotary_interleaved=0,
        )
        return outputs[0]

    def _norm(self, name: str, state: str, skip: str | None, output: str) -> tuple[str, str]:
        """Returns RMS norm of the sum of `state` and `skip`, and the sum."""
        gamma = self._tensor(f"{name}.weight", self._read(f"{name}.weight", self._sizes.width))
        epsilon = self._sizes.norm_epsilon
        if skip is None:
            self._add(
                "SimplifiedLayerNormalization",
                [state, gamma],
                output,
                axis=-1,
                epsilon=epsilon,
                stash_type=1,
            )
            return output, state
        total = f"{output}.sum"
        self._add(
            "SkipSimplifiedLayerNormalization",
            [state, skip, gamma],
            output,
            "",
            "",
            total,
            domain=_MICROSOFT,
            epsilon=epsilon,
        )
        return output, total

    def _matrix(self, name: str, value: str, rows: int, columns: int) -> str:
        """The product with a matrix (rows, columns) of the file, and its bias if it has one."""
        bias = f"{name}.bias"
        return self._product(
            name,
            value,
            self._read(f"{name}.weight", rows, columns),
            self._read(bias, rows) if self._file.has_tensor(bias) else None,
        )

    def _product(
        self, name: str, value: str, weight: NDArray[np.float32], bias: NDArray[np.float32] | None
    ) -> str:
        biases = [] if bias is None else [self._tensor(f"{name}.bias", bias)]
        if self._is_quantized:
            return self._int8_product(name, value, self._blocks(name, weight), weight.shape, biases)
        transposed = self._tensor(f"{name}.weight", np.ascontiguousarray(weight.T))
        product = self._add("MatMul", [value, transposed], f"{name}.product")
        return self._add("Add", [product, *biases], f"{name}.sum") if biases else product

    def _int8_product(
        self, name: str, value: str, blocks: list[str], shape: tuple[int, ...], biases: list[str]
    ) -> str:
        rows, columns = shape
        return self._add(
            "MatMulNBits",
            [value, *blocks, *(["", "", *biases] if biases else [])],
            f"{name}.product",
            domain=_MICROSOFT,
            N=rows,
            K=columns,
            bits=8,
            block_size=BLOCK_SIZE,
            accuracy_level=_INT8_ACTIVATIONS,
        )

    def _blocks(self, name: str, weight: NDArray[np.float32]) -> list[str]:
        blocks = quantize_blocks(weight)
        values = self._tensor(f"{name}.values", blocks.values)
        return [values, self._tensor(f"{name}.scales", blocks.scales)]

    def _embeddings(self) -> str:
        a = self._sizes
        table = self._read("token_embd.weight", a.vocabulary, a.width)
        if not self._is_quantized:
            weight = self._tensor("token_embd.weight", table)
            return self._add("Gather", [weight, "tokens"], "embeddings")
        values, scales = self._blocks("token_embd", table)
        # Written out: the table's rows are mapped from the file, and the output layer can be the
        # same tensor. ONNX Runtime's GatherBlockQuantized takes no 8 bits before 1.23.
        rows = self._add("Gather", [values, "tokens"], "embeddings.values")
        rows = self._add("Cast", [rows], "embeddings.float", to=1)
        zero = self._tensor("embeddings.zero", np.array(128, np.float32))
        rows = self._add("Sub", [rows, zero], "embeddings.signed")
        steps = self._add("Gather", [scales, "tokens"], "embeddings.scales")
        axes = self._tensor("embeddings.last_axis", np.array([-1], np.int64))
        steps = self._add("Unsqueeze", [steps, axes], "embeddings.scales_each")
        rows = self._add("Mul", [rows, steps], "embeddings.blocks")
        shape = self._tensor("embeddings.shape", np.array([1, -1, a.width], np.int64))
        return self._add("Reshape", [rows, shape], "embeddings")

    def _head(self, normed: str) -> None:
        a = self._sizes
        if self._file.has_tensor("output.weight"):
            product = self._matrix("output", normed, a.vocabulary, a.width)
        elif self._is_quantized:
            # Small models use the embeddings again, which are stored once.
            blocks = ["token_embd.values", "token_embd.scales"]
            product = self._int8_product("output", normed, blocks, (a.vocabulary, a.width), [])
        else:
            table = self._read("token_embd.weight", a.vocabulary, a.width)
            product = self._product("output", normed, table, None)
        self._add("Identity", [product], "logits")

    def _add_rotary_tables(self) -> None:
        """Cosines and sines (positions, head size / 2) of Su et al. 2021."""
        a = self._sizes
        half = a.head_size // 2
        frequencies = a.rotary_base ** (-np.arange(half) / half)
        angles = np.arange(a.context_tokens)[:, None] * frequencies
        self._tensor("rotary.cosine", np.cos(angles).astype(np.float32))
        self._tensor("rotary.sine", np.sin(angles).astype(np.float32))

    def _read(self, name: str, *shape: int) -> NDArray[np.float32]:
        return self._file.tensor(name, shape)

    def _tensor(self, name: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        self._tensors.append(numpy_helper.from_array(values, name))
        return name

    def _add(
        self, kind: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any
    ) -> str:
        from onnx import helper

        self._nodes.append(
            helper.make_node(
                kind, inputs, outputs, name=outputs[0], domain=domain or None, **attributes
            )
        )
        return outputs[0]
