"""The weights of a Whisper, in one order whatever file they come from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import UnsupportedModelError
from halfsecond_export.prepare.ctranslate2_file import Ctranslate2File

Array = NDArray[np.float32]

# Of CTranslate2's activations, the one that Whisper has.
_GELU = 3


@dataclass(frozen=True)
class Norm:
    """A layer norm: weights and biases (width,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class Linear:
    """Weights (outputs, inputs) and biases (outputs,)."""

    weight: Array
    bias: Array


@dataclass(frozen=True)
class FeedForward:
    """Two products with a GELU between them, of what was normed."""

    norm: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True)
class SelfAttention:
    """`packed` (3 width, width) gives queries, keys and values one after another."""

    norm: Norm
    packed: Linear
    out: Linear


@dataclass(frozen=True)
class CrossAttention:
    """Queries come from the decoder; `packed` (2 width, width) gives the encoder's keys, values."""

    norm: Norm
    query: Linear
    packed: Linear
    out: Linear


@dataclass(frozen=True)
class EncoderLayer:
    """What hears."""

    attention: SelfAttention
    ffn: FeedForward


@dataclass(frozen=True)
class DecoderLayer:
    """What writes, looking at what it wrote and at what was heard."""

    attention: SelfAttention
    cross: CrossAttention
    ffn: FeedForward


@dataclass(frozen=True)
class WhisperNetwork:
    """Whisper as in Radford et al. 2022.

    conv1: weights (width, mels, 3); conv2: (width, width, 3), of stride 2.
    encoder_positions (1500, width), decoder_positions (448, width), embeddings
    (vocabulary, width): these are also the matrix of the logits.
    """

    heads: int
    conv1: Linear
    conv2: Linear
    encoder_positions: Array
    encoder_layers: tuple[EncoderLayer, ...]
    encoder_norm: Norm
    embeddings: Array
    decoder_positions: Array
    decoder_layers: tuple[DecoderLayer, ...]
    decoder_norm: Norm

    @property
    def width(self) -> int:
        """Numbers of one position; encoder and decoder have the same."""
        return int(self.embeddings.shape[1])

    @property
    def mels(self) -> int:
        """Bands of the spectrogram: 80, or 128 in large-v3."""
        return int(self.conv1.weight.shape[1])

    @property
    def head_size(self) -> int:
        """Numbers of one attention head."""
        return self.width // self.heads


def read_ctranslate2(file: Ctranslate2File) -> WhisperNetwork:
    """The network in a `model.bin`.

    Raises UnsupportedModelError for another kind of model, and ModelCorruptError where weights are
    missing.
    """
    if file.spec != "WhisperSpec":
        raise UnsupportedModelError(f"{file.path} holds a {file.spec}, expected a WhisperSpec")
    activation = file.variables.get("decoder/activation")
    if activation is not None and int(activation) != _GELU:
        raise UnsupportedModelError(f"{file.path}: activation {int(activation)}, expected GELU")
    return _Reader(file).network()


class _Reader:
    """The parts by their names in CTranslate2's specification of Whisper."""

    def __init__(self, file: Ctranslate2File) -> None:
        self._file = file

    def network(self) -> WhisperNetwork:
        read = self._file.float32
        return WhisperNetwork(
            heads=int(self._file.variables["encoder/num_heads"]),
            conv1=self._linear("encoder/conv1"),
            conv2=self._linear("encoder/conv2"),
            encoder_positions=read("encoder/position_encodings/encodings"),
            encoder_layers=tuple(
                EncoderLayer(
                    self._self_attention(f"encoder/layer_{i}/self_attention"),
                    self._ffn(f"encoder/layer_{i}/ffn"),
                )
                for i in range(self._layers("encoder"))
            ),
            encoder_norm=self._norm("encoder/layer_norm"),
            embeddings=read("decoder/embeddings/weight"),
            decoder_positions=read("decoder/position_encodings/encodings"),
            decoder_layers=tuple(
                DecoderLayer(
                    self._self_attention(f"decoder/layer_{i}/self_attention"),
                    self._cross(f"decoder/layer_{i}/attention"),
                    self._ffn(f"decoder/layer_{i}/ffn"),
                )
                for i in range(self._layers("decoder"))
            ),
            decoder_norm=self._norm("decoder/layer_norm"),
        )

    def _layers(self, side: str) -> int:
        names = self._file.variables
        return next(i for i in range(1000) if f"{side}/layer_{i}/ffn/layer_norm/beta" not in names)

    def _norm(self, name: str) -> Norm:
        return Norm(self._file.float32(f"{name}/gamma"), self._file.float32(f"{name}/beta"))

    def _linear(self, name: str) -> Linear:
        return Linear(self._file.float32(f"{name}/weight"), self._file.float32(f"{name}/bias"))

    def _self_attention(self, name: str) -> SelfAttention:
        packed, out = self._linear(f"{name}/linear_0"), self._linear(f"{name}/linear_1")
        return SelfAttention(self._norm(f"{name}/layer_norm"), packed, out)

    def _cross(self, name: str) -> CrossAttention:
        query, packed = self._linear(f"{name}/linear_0"), self._linear(f"{name}/linear_1")
        out = self._linear(f"{name}/linear_2")
        return CrossAttention(self._norm(f"{name}/layer_norm"), query, packed, out)

    def _ffn(self, name: str) -> FeedForward:
        up, down = self._linear(f"{name}/linear_0"), self._linear(f"{name}/linear_1")
        return FeedForward(self._norm(f"{name}/layer_norm"), up, down)
