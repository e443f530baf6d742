"""A Coqui VITS in torch, in two halves that can be traced: text to latent frames, frames to sound.

Its state dict has the names and shapes of published checkpoints, without what only training needs
(posterior encoder, discriminator, half of the stochastic durations) and without weight norm.
"""

from __future__ import annotations

from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from halfsecond_export.tts.decoder import Decoder, Flow
from halfsecond_export.tts.durations import PlainDurations, StochasticDurations
from halfsecond_export.tts.layout import Layout
from halfsecond_export.tts.text_encoder import TextEncoder


class Vits(nn.Module):  # type: ignore[misc]
    """The network of a checkpoint; see `Front` and `Back` for what it is called with."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        self.text_encoder = TextEncoder(layout)
        durations = StochasticDurations if layout.is_stochastic else PlainDurations
        self.duration_predictor = durations(layout)
        self.flow = Flow(layout)
        self.waveform_decoder = Decoder(layout)
        if layout.speakers:
            self.emb_g = nn.Embedding(layout.speakers, layout.speaker_size)
        if layout.languages:
            self.emb_l = nn.Embedding(layout.languages, layout.language_size)


class Front(nn.Module):  # type: ignore[misc]
    """Text to what its frames sound like, on average and how far around it.

    symbols: (1, T) int64. scales: (3,), of the noise, of the length, of the durations' noise.
    duration_noise: (1, 2, T), normal. speaker: (1,) int64, or a voiceprint (1, S). language: (1,)
    int64.

    Gives mean and spread (1, C, F) of the latent frames, the durations (1, T) in frames, and the
    speaker's vector (1, S, 1), or nothing for a single speaker.
    """

    def __init__(self, network: Vits) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, symbols: Any, scales: Any, duration_noise: Any, speaker: Any, language: Any
    ) -> tuple[Any, ...]:
        network = self.network
        speaker = self._speaker(speaker)
        if language is not None:
            language = network.emb_l(language)[..., None]
        x, means, log_spreads = network.text_encoder(symbols, language)
        heard = speaker if network.layout.has_speaker_durations else None
        logs = network.duration_predictor(x, duration_noise * scales[2], heard, language)
        durations = torch.ceil(torch.exp(logs[:, 0]) * scales[1])
        mean, log_spread = _stretched(torch.cat((means, log_spreads), dim=1), durations).chunk(2, 1)
        results = (mean, torch.exp(log_spread) * scales[0], durations)
        return results if speaker is None else (*results, speaker)

    def _speaker(self, given: Any) -> Any:
        if given is None:
            return None
        if self.network.layout.has_voiceprint:
            return functional.normalize(given)[..., None]
        return self.network.emb_g(given)[..., None]


def _stretched(values: Any, durations: Any) -> Any:
    """Each column of (1, C, T) as often as its duration (1, T) says."""
    ends = torch.cumsum(durations, dim=1)
    # A voice that gives every symbol no time still needs a frame.
    frames = torch.arange(ends[0, -1].clamp(min=1.0).to(torch.int64))
    at = (frames[None, :, None] >= ends[:, None, :]).to(torch.int64).sum(2)
    at = at.clamp(max=values.shape[2] - 1)
    return values.gather(2, at[:, None, :].expand(-1, values.shape[1], -1))


class Back(nn.Module):  # type: ignore[misc]
    """Latent frames (1, C, F) and the speaker's vector, or None, to samples (1, 1, F × hop)."""

    def __init__(self, network: Vits) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Any, speaker: Any) -> Any:
        return self.network.waveform_decoder(self.network.flow(latent, speaker), speaker)
