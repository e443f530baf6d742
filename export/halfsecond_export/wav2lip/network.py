"""The generator in torch: what is trained, loaded, and compared with ONNX files."""

from __future__ import annotations

from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]

from halfsecond_export.wav2lip.layout import Layer, Layout


class _ConvLayer(nn.Module):  # type: ignore[misc]
    """Convolution, batch normalisation, shortcut, activation; names as in checkpoints."""

    def __init__(self, layer: Layer, *, has_prelu: bool) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(_convolution(layer), nn.BatchNorm2d(layer.outputs))
        self.act = nn.PReLU() if has_prelu else nn.ReLU()
        self.is_residual = layer.is_residual

    def forward(self, x: Any) -> Any:
        out = self.conv_block(x)
        return self.act(out + x if self.is_residual else out)


def _convolution(layer: Layer) -> Any:
    sides = (layer.inputs, layer.outputs, layer.kernel, layer.stride, layer.padding)
    if layer.is_transposed:
        return nn.ConvTranspose2d(*sides, layer.output_padding)
    return nn.Conv2d(*sides)


class Generator(nn.Module):  # type: ignore[misc]
    """Faces (N, 3, S, S) for sounds (N, 1, 80, 16) and faces (N, 6, S, S), all float32.

    Its state dict has the names and shapes of the published checkpoints.
    """

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout

        def block(layers: tuple[Layer, ...]) -> Any:
            return nn.Sequential(*(_ConvLayer(one, has_prelu=layout.has_prelu) for one in layers))

        self.face_encoder_blocks = nn.ModuleList([block(b) for b in layout.face_encoder])
        self.audio_encoder = block(layout.audio_encoder)
        self.face_decoder_blocks = nn.ModuleList([block(b) for b in layout.face_decoder])
        first, last = layout.output
        self.output_block = nn.Sequential(*block((first,)), _convolution(last), nn.Sigmoid())

    def forward(self, sounds: Any, faces: Any) -> Any:
        features = [faces]
        for block in self.face_encoder_blocks:
            features.append(block(features[-1]))
        x = self.audio_encoder(sounds)
        for block in self.face_decoder_blocks:
            x = torch.cat((block(x), features.pop()), dim=1)
        return self.output_block(x)


def count_parameters(network: Generator) -> int:
    """Trainable numbers; 36,298,035 in the published network."""
    return sum(p.numel() for p in network.parameters())
