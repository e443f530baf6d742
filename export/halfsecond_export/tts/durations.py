"""How long each symbol lasts: VITS's two duration predictors in torch, names as Coqui's.

The stochastic one draws durations: a normalising flow with rational-quadratic splines (Durkan et
al. 2019), run backwards from noise. Only what inference needs is here.
"""

from __future__ import annotations

import math
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from halfsecond_export.tts.layout import DURATION_FLOWS, SPLINE_BINS, SPLINE_BOUND, Layout
from halfsecond_export.tts.text_encoder import ChannelNorm

_KERNEL = 3
_SMALLEST = 1e-3
"""Of a bin's width and height and of a knot's slope, as the splines were trained with."""


class _Dilated(nn.Module):  # type: ignore[misc]
    """Three convolutions channel by channel, ever wider, each with one across the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs_sep, self.convs_1x1 = nn.ModuleList(), nn.ModuleList()
        self.norms_1, self.norms_2 = nn.ModuleList(), nn.ModuleList()
        for step in (_KERNEL**layer for layer in range(3)):
            self.convs_sep.append(
                nn.Conv1d(channels, channels, _KERNEL, groups=channels, dilation=step, padding=step)
            )
            self.convs_1x1.append(nn.Conv1d(channels, channels, 1))
            self.norms_1.append(ChannelNorm(channels))
            self.norms_2.append(ChannelNorm(channels))

    def forward(self, x: Any, condition: Any = None) -> Any:
        if condition is not None:
            x = x + condition
        layers = (self.convs_sep, self.norms_1, self.convs_1x1, self.norms_2)
        for separate, norm_1, across, norm_2 in zip(*layers, strict=True):
            y = functional.gelu(norm_1(separate(x)))
            x = x + functional.gelu(norm_2(across(y)))
        return x


class _Affine(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.translation = nn.Parameter(torch.zeros(2, 1))
        self.log_scale = nn.Parameter(torch.zeros(2, 1))

    def forward(self, z: Any, _condition: Any) -> Any:
        return (z - self.translation) * torch.exp(-self.log_scale)


class _Spline(nn.Module):  # type: ignore[misc]
    """One channel of two sent backwards through a spline that the other one shapes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pre = nn.Conv1d(1, channels, 1)
        self.convs = _Dilated(channels)
        self.proj = nn.Conv1d(channels, 3 * SPLINE_BINS - 1, 1)
        self.scale = math.sqrt(channels)

    def forward(self, z: Any, condition: Any) -> Any:
        kept, moved = z.split(1, dim=1)
        shape = self.proj(self.convs(self.pre(kept), condition)).transpose(1, 2)
        widths, heights, slopes = shape.split((SPLINE_BINS, SPLINE_BINS, SPLINE_BINS - 1), dim=2)
        moved = _backwards(moved[:, 0], widths / self.scale, heights / self.scale, slopes)
        return torch.cat((kept, moved[:, None]), dim=1)


def _backwards(values: Any, widths: Any, heights: Any, slopes: Any) -> Any:
    """The inverse spline of `values` (1, T); outside of ±5 they stay as they are.

    widths, heights: (1, T, bins) before normalisation; slopes: (1, T, bins - 1), of inner knots.
    """
    inside = values.clamp(-SPLINE_BOUND, SPLINE_BOUND)
    lefts, bin_widths = _knots(widths)
    bottoms, bin_heights = _knots(heights)
    # The outer knots have slope 1, so that the spline goes on straight.
    outer = torch.full_like(slopes[..., :1], math.log(math.exp(1 - _SMALLEST) - 1))
    slopes = _SMALLEST + functional.softplus(torch.cat((outer, slopes, outer), dim=2))
    found = (inside[..., None] >= bottoms[..., 1:]).to(torch.int64).sum(2, keepdim=True)

    def here(values: Any) -> Any:
        return values.gather(2, found)[..., 0]

    left, width, bottom, height = (here(v) for v in (lefts, bin_widths, bottoms, bin_heights))
    start, end = here(slopes[..., :-1]), here(slopes[..., 1:])
    steepness = height / width
    above = inside - bottom
    bend = start + end - 2 * steepness
    a = above * bend + height * (steepness - start)
    b = height * start - above * bend
    c = -steepness * above
    root = (2 * c) / (-b - torch.sqrt((b * b - 4 * a * c).clamp(min=0.0)))
    return torch.where(inside == values, root * width + left, values)


def _knots(parts: Any) -> tuple[Any, Any]:
    """Where each bin begins, and how large it is, between -5 and 5."""
    shares = _SMALLEST + (1 - _SMALLEST * SPLINE_BINS) * torch.softmax(parts, dim=2)
    ends = 2 * SPLINE_BOUND * torch.cumsum(shares, dim=2)[..., :-1] - SPLINE_BOUND
    first = torch.full_like(ends[..., :1], -SPLINE_BOUND)
    edges = torch.cat((first, ends, -first), dim=2)
    return edges[..., :-1], edges[..., 1:] - edges[..., :-1]


class StochasticDurations(nn.Module):  # type: ignore[misc]
    """Log durations (1, 1, T) in frames, drawn with noise (1, 2, T)."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        channels = layout.duration_width
        self.pre = nn.Conv1d(layout.hidden + layout.language_size, channels, 1)
        self.convs = _Dilated(channels)
        self.proj = nn.Conv1d(channels, channels, 1)
        self.flows = nn.ModuleList([_Affine(), *(_Spline(channels) for _ in range(DURATION_FLOWS))])
        if layout.speaker_size and layout.has_speaker_durations:
            self.cond = nn.Conv1d(layout.speaker_size, channels, 1)
        if layout.language_size:
            self.cond_lang = nn.Conv1d(layout.language_size, channels, 1)

    def forward(self, x: Any, noise: Any, speaker: Any, language: Any) -> Any:
        condition = self.pre(x)
        if speaker is not None:
            condition = condition + self.cond(speaker)
        if language is not None:
            condition = condition + self.cond_lang(language)
        condition = self.proj(self.convs(condition))
        z = noise
        # Backwards; the first spline changes only the channel that is thrown away.
        for flow in (*reversed(self.flows[2:]), self.flows[0]):
            z = flow(z.flip(1), condition)
        return z[:, :1]


class _PlainNorm(nn.Module):  # type: ignore[misc]
    """Coqui's first `LayerNorm`, whose weights have the shape (1, C, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(1, channels, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1))

    def forward(self, x: Any) -> Any:
        away = x - x.mean(1, keepdim=True)
        spread = (away * away).mean(1, keepdim=True)
        return away * torch.rsqrt(spread + 1e-4) * self.gamma + self.beta


class PlainDurations(nn.Module):  # type: ignore[misc]
    """Log durations (1, 1, T) in frames, always the same; the noise is not used."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        inputs, channels = layout.hidden + layout.language_size, layout.duration_width
        self.conv_1 = nn.Conv1d(inputs, channels, _KERNEL, padding=_KERNEL // 2)
        self.norm_1 = _PlainNorm(channels)
        self.conv_2 = nn.Conv1d(channels, channels, _KERNEL, padding=_KERNEL // 2)
        self.norm_2 = _PlainNorm(channels)
        self.proj = nn.Conv1d(channels, 1, 1)
        if layout.speaker_size:
            self.cond = nn.Conv1d(layout.speaker_size, inputs, 1)
        if layout.language_size:
            self.cond_lang = nn.Conv1d(layout.language_size, inputs, 1)

    def forward(self, x: Any, _noise: Any, speaker: Any, language: Any) -> Any:
        if speaker is not None:
            x = x + self.cond(speaker)
        if language is not None:
            x = x + self.cond_lang(language)
        x = self.norm_1(torch.relu(self.conv_1(x)))
        return self.proj(self.norm_2(torch.relu(self.conv_2(x))))
