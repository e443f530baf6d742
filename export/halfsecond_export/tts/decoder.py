"""From latent frames to samples: VITS's flow, backwards, and HiFi-GAN's generator, in torch.

Names as in Coqui's checkpoints, weight normalisation folded before they are loaded.
"""

from __future__ import annotations

from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from halfsecond_export.tts.layout import COUPLINGS, Layout

_SLOPE = 0.1
"""Of the leaky rectifiers, but for torch's 0.01 before the last convolution."""


class _Gated(nn.Module):  # type: ignore[misc]
    """The gated convolutions of a coupling layer (van den Oord et al. 2016)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        channels, count = layout.hidden, layout.flow_layers
        self.channels = channels
        self.in_layers, self.res_skip_layers = nn.ModuleList(), nn.ModuleList()
        for layer in range(count):
            step = layout.flow_dilation**layer
            self.in_layers.append(
                nn.Conv1d(
                    channels,
                    2 * channels,
                    layout.flow_kernel,
                    dilation=step,
                    padding=(layout.flow_kernel - 1) * step // 2,
                )
            )
            outputs = channels if layer + 1 == count else 2 * channels
            self.res_skip_layers.append(nn.Conv1d(channels, outputs, 1))
        if layout.speaker_size:
            self.cond_layer = nn.Conv1d(layout.speaker_size, 2 * channels * count, 1)

    def forward(self, x: Any, speaker: Any) -> Any:
        conditions = [None] * len(self.in_layers)
        if speaker is not None:
            conditions = self.cond_layer(speaker).split(2 * self.channels, dim=1)
        total = None
        layers = (self.in_layers, self.res_skip_layers, conditions)
        for gates, passing, condition in zip(*layers, strict=True):
            y = gates(x) if condition is None else gates(x) + condition
            shape, gate = y.split(self.channels, dim=1)
            y = passing(torch.tanh(shape) * torch.sigmoid(gate))
            skipped = y[:, -self.channels :]
            total = skipped if total is None else total + skipped
            if y.shape[1] > self.channels:
                x = x + y[:, : self.channels]
        return total


class _Coupling(nn.Module):  # type: ignore[misc]
    """Half of the channels moved by what the other half says; backwards, it is taken away."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.half = layout.hidden // 2
        self.pre = nn.Conv1d(self.half, layout.hidden, 1)
        self.enc = _Gated(layout)
        self.post = nn.Conv1d(layout.hidden, self.half, 1)

    def forward(self, z: Any, speaker: Any) -> Any:
        kept, moved = z.split(self.half, dim=1)
        return torch.cat((kept, moved - self.post(self.enc(self.pre(kept), speaker))), dim=1)


class Flow(nn.Module):  # type: ignore[misc]
    """Latent frames (1, C, F) of the text as latent frames of the sound."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.flows = nn.ModuleList([_Coupling(layout) for _ in range(COUPLINGS)])

    def forward(self, z: Any, speaker: Any) -> Any:
        for flow in reversed(self.flows):
            z = flow(z.flip(1), speaker)
        return z


def _convolution(channels: int, kernel: int, dilation: int) -> Any:
    padding = (kernel - 1) * dilation // 2
    return nn.Conv1d(channels, channels, kernel, dilation=dilation, padding=padding)


class _Block(nn.Module):  # type: ignore[misc]
    """A residual block of HiFi-GAN's first type: two convolutions for each dilation."""

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList([_convolution(channels, kernel, d) for d in dilations])
        self.convs2 = nn.ModuleList([_convolution(channels, kernel, 1) for _ in dilations])

    def forward(self, x: Any) -> Any:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            y = functional.leaky_relu(first(functional.leaky_relu(x, _SLOPE)), _SLOPE)
            x = x + second(y)
        return x


class _PlainBlock(nn.Module):  # type: ignore[misc]
    """One of the second type: one convolution for each of the first two dilations.

    YourTTS's config lists three, and its network has two.
    """

    def __init__(self, channels: int, kernel: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.convs = nn.ModuleList([_convolution(channels, kernel, d) for d in dilations[:2]])

    def forward(self, x: Any) -> Any:
        for convolution in self.convs:
            x = x + convolution(functional.leaky_relu(x, _SLOPE))
        return x


class Decoder(nn.Module):  # type: ignore[misc]
    """HiFi-GAN's generator (Kong et al. 2020): latent frames (1, C, F) to (1, 1, F × hop)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        channels = layout.upsample_channels
        self.conv_pre = nn.Conv1d(layout.hidden, channels, 7, padding=3)
        if layout.speaker_size:
            self.cond_layer = nn.Conv1d(layout.speaker_size, channels, 1)
        block = _PlainBlock if layout.has_plain_blocks else _Block
        self.ups, self.resblocks = nn.ModuleList(), nn.ModuleList()
        for rate, kernel in zip(layout.upsample_rates, layout.upsample_kernels, strict=True):
            padding = (kernel - rate) // 2
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, kernel, rate, padding))
            channels //= 2
            for size, dilations in zip(layout.block_kernels, layout.block_dilations, strict=True):
                self.resblocks.append(block(channels, size, dilations))
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3, bias=False)

    def forward(self, z: Any, speaker: Any) -> Any:
        x = self.conv_pre(z)
        if speaker is not None:
            x = x + self.cond_layer(speaker)
        together = len(self.resblocks) // len(self.ups)
        for stage, up in enumerate(self.ups):
            x = up(functional.leaky_relu(x, _SLOPE))
            blocks = self.resblocks[stage * together : (stage + 1) * together]
            x = sum(block(x) for block in blocks) / together
        return torch.tanh(self.conv_post(functional.leaky_relu(x)))
