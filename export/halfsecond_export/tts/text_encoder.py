"""VITS's text encoder in torch: a transformer that knows how far apart two symbols are.

Vaswani et al. 2017 with the relative positions of Shaw et al. 2018; names as in Coqui's
checkpoints.
"""

from __future__ import annotations

import math
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from halfsecond_export.tts.layout import ATTENTION_WINDOW, Layout


class ChannelNorm(nn.Module):  # type: ignore[misc]
    """Layer normalisation over the channels of (1, C, T); Coqui's `LayerNorm2`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Any) -> Any:
        last = x.transpose(1, 2)
        return functional.layer_norm(last, self.gamma.shape, self.gamma, self.beta).transpose(1, 2)


class _Attention(nn.Module):  # type: ignore[misc]
    """Attention of every symbol to every other, with weights for the distances up to four."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.head_size = channels // heads
        for name in ("conv_q", "conv_k", "conv_v", "conv_o"):
            setattr(self, name, nn.Conv1d(channels, channels, 1))
        places = 2 * ATTENTION_WINDOW + 1
        self.emb_rel_k = nn.Parameter(torch.randn(1, places, self.head_size))
        self.emb_rel_v = nn.Parameter(torch.randn(1, places, self.head_size))

    def forward(self, x: Any) -> Any:
        query = self._by_head(self.conv_q(x)) / math.sqrt(self.head_size)
        key, value = self._by_head(self.conv_k(x)), self._by_head(self.conv_v(x))
        distances, is_near = _distances(x.shape[2])
        nearness = torch.matmul(query, self.emb_rel_k.transpose(1, 2))
        scores = torch.matmul(query, key.transpose(1, 2))
        near = nearness.gather(2, distances.expand(self.heads, -1, -1))
        weights = torch.softmax(scores + near * is_near, dim=2)
        out = torch.matmul(weights, value)
        # What each place holds, gathered back: the sum over symbols at each distance.
        places = torch.zeros_like(nearness)
        places = places.scatter_add(2, distances.expand(self.heads, -1, -1), weights * is_near)
        out = out + torch.matmul(places, self.emb_rel_v)
        return self.conv_o(out.transpose(1, 2).reshape(1, -1, x.shape[2]))

    def _by_head(self, x: Any) -> Any:
        """(1, C, T) as (heads, T, size)."""
        return x.reshape(self.heads, self.head_size, -1).transpose(1, 2)


def _distances(length: Any) -> tuple[Any, Any]:
    """For each pair of symbols the place of their distance, (1, T, T), and 1 where it has one."""
    at = torch.arange(length)
    apart = at[None, :] - at[:, None] + ATTENTION_WINDOW
    places = apart.clamp(0, 2 * ATTENTION_WINDOW)
    return places[None], (apart == places).to(torch.float32)[None]


class _FeedForward(nn.Module):  # type: ignore[misc]
    def __init__(self, channels: int, filter_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv_1 = nn.Conv1d(channels, filter_channels, kernel, padding=kernel // 2)
        self.conv_2 = nn.Conv1d(filter_channels, channels, kernel, padding=kernel // 2)

    def forward(self, x: Any) -> Any:
        return self.conv_2(torch.relu(self.conv_1(x)))


class _Transformer(nn.Module):  # type: ignore[misc]
    def __init__(self, layout: Layout, channels: int) -> None:
        super().__init__()
        count, kernel = layout.encoder_layers, layout.encoder_kernel

        def each(make: Any) -> Any:
            return nn.ModuleList([make() for _ in range(count)])

        self.attn_layers = each(lambda: _Attention(channels, layout.encoder_heads))
        self.norm_layers_1 = each(lambda: ChannelNorm(channels))
        self.ffn_layers = each(lambda: _FeedForward(channels, layout.encoder_filter, kernel))
        self.norm_layers_2 = each(lambda: ChannelNorm(channels))

    def forward(self, x: Any) -> Any:
        layers = (self.attn_layers, self.norm_layers_1, self.ffn_layers, self.norm_layers_2)
        for attention, norm_1, feed_forward, norm_2 in zip(*layers, strict=True):
            x = norm_1(x + attention(x))
            x = norm_2(x + feed_forward(x))
        return x


class TextEncoder(nn.Module):  # type: ignore[misc]
    """Symbols (1, T) as features (1, C, T), and the mean and log spread of what they sound like."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.hidden = layout.hidden
        channels = layout.hidden + layout.language_size
        self.emb = nn.Embedding(layout.symbols, layout.hidden)
        self.encoder = _Transformer(layout, channels)
        self.proj = nn.Conv1d(channels, 2 * layout.hidden, 1)

    def forward(self, symbols: Any, language: Any = None) -> tuple[Any, Any, Any]:
        """language: (1, L, 1), or None for a voice of one language."""
        x = (self.emb(symbols) * math.sqrt(self.hidden)).transpose(1, 2)
        if language is not None:
            x = torch.cat((x, language.expand(-1, -1, x.shape[2])), dim=1)
        x = self.encoder(x)
        means, log_spreads = self.proj(x).split(self.hidden, dim=1)
        return x, means, log_spreads
