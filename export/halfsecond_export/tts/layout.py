"""The sizes of a Coqui VITS, as its config.json gives them under `model_args`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from halfsecond.errors import ModelCorruptError, UnsupportedModelError

SPLINE_BINS = 10
SPLINE_BOUND = 5.0
DURATION_FLOWS = 4
COUPLINGS = 4
ATTENTION_WINDOW = 4
"""Of the text encoder: positions before and after one that have weights of their own."""
_STOCHASTIC_WIDTH, _PLAIN_WIDTH = 192, 256
"""Of the two duration predictors; Coqui writes them into the code and not into the config."""


@dataclass(frozen=True)
class Layout:
    """One network. Fields are those of Coqui's `VitsArgs`, defaults too.

    speaker_size: of what conditions flow, decoder and durations; 0 for a single speaker.
    language_size: of the language's vector; 0 without.
    speakers, languages: rows of their tables; no speakers and a speaker_size is a voiceprint's.
    """

    symbols: int
    hidden: int = 192
    encoder_filter: int = 768
    encoder_heads: int = 2
    encoder_layers: int = 6
    encoder_kernel: int = 3
    flow_kernel: int = 5
    flow_dilation: int = 1
    flow_layers: int = 4
    has_plain_blocks: bool = False
    """Residual blocks of HiFi-GAN's second type, with one convolution for each dilation."""
    block_kernels: tuple[int, ...] = (3, 7, 11)
    block_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5),) * 3
    upsample_rates: tuple[int, ...] = (8, 8, 2, 2)
    upsample_kernels: tuple[int, ...] = (16, 16, 4, 4)
    upsample_channels: int = 512
    is_stochastic: bool = True
    speaker_size: int = 0
    language_size: int = 0
    speakers: int = 0
    languages: int = 0
    has_speaker_durations: bool = True
    """Durations depend on the speaker too."""

    @property
    def hop_samples(self) -> int:
        """Samples of a frame."""
        return math.prod(self.upsample_rates)

    @property
    def duration_width(self) -> int:
        return _STOCHASTIC_WIDTH if self.is_stochastic else _PLAIN_WIDTH

    @property
    def has_voiceprint(self) -> bool:
        """Whether speakers are given as vectors and not by number."""
        return self.speaker_size > 0 and self.speakers == 0


_SUPPORTED = "VITS and YourTTS"


def layout_of(
    config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], *, source: str
) -> Layout:
    """The layout that a config tells, with the tables' sizes as they are in the checkpoint.

    shapes: of the checkpoint's tensors, by name.

    Raises:
        UnsupportedModelError: another model, or a part of VITS that is not exported.
        ModelCorruptError: the checkpoint lacks a tensor, or the config a size.
    """
    model = str(config.get("model", "vits"))
    if model != "vits":
        raise UnsupportedModelError(
            f"{source} says model {model!r}; expected vits (Coqui's name for {_SUPPORTED})"
        )
    arguments: dict[str, Any] = dict(config.get("model_args") or {})
    if arguments.get("encoder_sample_rate"):
        raise UnsupportedModelError(
            f"{source} has encoder_sample_rate, a decoder at another rate than its encoder; "
            "that is not exported"
        )
    try:
        return _layout(arguments, shapes)
    except KeyError as error:
        raise ModelCorruptError(
            f"the checkpoint has no tensor {error}, which {source} asks for; take the config.json "
            "that was published with it"
        ) from error
    except (TypeError, ValueError) as error:
        raise ModelCorruptError(f"{source} holds a size that is none ({error})") from error


def _layout(given: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    def size(name: str, default: int) -> int:
        value = given.get(name)
        return default if value is None else int(value)

    def sizes(name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        value = given.get(name)
        return default if value is None else tuple(int(each) for each in value)

    speakers = shapes["emb_g.weight"] if given.get("use_speaker_embedding") else (0, 0)
    speaker_size = speakers[1]
    if given.get("use_d_vector_file"):
        speaker_size = size("d_vector_dim", 0)
    languages = shapes["emb_l.weight"] if given.get("use_language_embedding") else (0, 0)
    dilations = given.get("resblock_dilation_sizes_decoder") or Layout.block_dilations
    return Layout(
        symbols=shapes["text_encoder.emb.weight"][0],
        hidden=size("hidden_channels", Layout.hidden),
        encoder_filter=size("hidden_channels_ffn_text_encoder", Layout.encoder_filter),
        encoder_heads=size("num_heads_text_encoder", Layout.encoder_heads),
        encoder_layers=size("num_layers_text_encoder", Layout.encoder_layers),
        encoder_kernel=size("kernel_size_text_encoder", Layout.encoder_kernel),
        flow_kernel=size("kernel_size_flow", Layout.flow_kernel),
        flow_dilation=size("dilation_rate_flow", Layout.flow_dilation),
        flow_layers=size("num_layers_flow", Layout.flow_layers),
        has_plain_blocks=str(given.get("resblock_type_decoder", "1")) == "2",
        block_kernels=sizes("resblock_kernel_sizes_decoder", Layout.block_kernels),
        block_dilations=tuple(tuple(int(each) for each in row) for row in dilations),
        upsample_rates=sizes("upsample_rates_decoder", Layout.upsample_rates),
        upsample_kernels=sizes("upsample_kernel_sizes_decoder", Layout.upsample_kernels),
        upsample_channels=size("upsample_initial_channel_decoder", Layout.upsample_channels),
        is_stochastic=bool(given.get("use_sdp", True)),
        speaker_size=speaker_size,
        language_size=languages[1],
        speakers=speakers[0],
        languages=languages[0],
        has_speaker_durations=bool(given.get("condition_dp_on_speaker", True)),
    )
