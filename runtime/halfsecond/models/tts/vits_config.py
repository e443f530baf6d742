"""What an exported VITS says of itself: `voice.json` beside its two networks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import msgspec

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.voiceprint import Voiceprint

CONFIG_NAME = "voice.json"
FRONT_NAME = "front.onnx"
BACK_NAME = "back.onnx"
ARTIFACT_KIND = "vits"
"""In the manifest of an artifact that holds these three files."""


class VitsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One exported voice.

    writing: what its symbols stand for: letters, or phonemes as espeak writes them.
    language: of the phonemes or letters, as the source names it ("en-us"); see `languages`.
    languages: of a voice that speaks several, by the number that it knows them by.
    speakers: the same; empty for a single speaker, and for one that wants a voiceprint.
    voiceprint_size: numbers of the voiceprint that it wants; 0 if it wants none.
    voiceprint_encoder: the speaker encoder whose numbers it was trained to understand.
    symbols: the numbers of each symbol.
    start, between, end: numbers around the utterance, and after each symbol.
    is_lowercase: letters are made small first. is_decomposed: accents are symbols of their own.
    replaced: symbols that the voice never heard, by those that stood for them.
    noise_scale, length_scale, duration_noise_scale: how lively, how slow, how uneven.
    context_frames: latent frames that a window of the back needs on both sides to sound like the
        same part of the whole; found by measuring when it was exported.
    """

    name: str
    writing: Literal["graphemes", "espeak"]
    language: str
    sample_rate_hz: int
    hop_samples: int
    latent_channels: int
    context_frames: int
    symbols: dict[str, tuple[int, ...]]
    start: tuple[int, ...] = ()
    between: tuple[int, ...] = ()
    end: tuple[int, ...] = ()
    is_lowercase: bool = False
    is_decomposed: bool = False
    replaced: dict[str, str] = {}
    languages: tuple[str, ...] = ()
    speakers: tuple[str, ...] = ()
    voiceprint_size: int = 0
    voiceprint_encoder: str = ""
    has_duration_noise: bool = True
    noise_scale: float = 0.667
    length_scale: float = 1.0
    duration_noise_scale: float = 0.8


def read_config(directory: Path) -> VitsConfig:
    """The config of the voice in `directory`.

    Raises:
        ModelMissingError: there is none.
        ModelCorruptError: it cannot be parsed.
    """
    path = directory / CONFIG_NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=VitsConfig)
    except FileNotFoundError as error:
        raise ModelMissingError(
            f"no {CONFIG_NAME} in {directory}; `halfsecond export tts` writes it"
        ) from error
    except msgspec.DecodeError as error:
        raise ModelCorruptError(
            f"{path} cannot be read ({error}); export the voice anew"
        ) from error


def encode_config(config: VitsConfig) -> bytes:
    """What `read_config` reads."""
    return msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n"


def check_voiceprint(config: VitsConfig, voiceprint: Voiceprint | None) -> None:
    """Raises where a voice is not given what it speaks with, by the encoder's name and by size.

    Raises:
        ConfigError: a voiceprint that is missing, not wanted, or of another size.
        UnsupportedModelError: one of another speaker encoder.
    """
    wanted = config.voiceprint_size
    if voiceprint is None:
        if wanted:
            raise ConfigError(
                f"{config.name} speaks as whomever it is given the voiceprint of, and was given "
                "none; name the file in tts.voiceprint"
            )
        return
    if not wanted:
        raise ConfigError(f"{config.name} takes no voiceprint; leave tts.voiceprint out")
    if config.voiceprint_encoder:
        voiceprint.for_encoder(config.voiceprint_encoder)
    if voiceprint.values.size != wanted:
        raise ConfigError(
            f"the voiceprint has {voiceprint.values.size} numbers of the speaker encoder "
            f"{voiceprint.encoder}, and {config.name} wants {wanted}; make it with the encoder "
            "that the voice was trained with: `halfsecond export voice --encoder model_se.pth`"
        )
