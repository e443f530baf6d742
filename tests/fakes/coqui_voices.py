"""Directories of Coqui VITS voices with the weights of `fakes.coqui_reference`; need torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from fakes.coqui_reference import SYMBOLS, VOICES, weight
from halfsecond_export.tts.layout import layout_of
from halfsecond_export.tts.network import Vits

State = dict[str, Any]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PUNCTUATION = "!'(),-.:;? "


def state_of(name: str) -> State:
    """The checkpoint of a voice, its weights told by their names."""
    arguments = VOICES[name]
    shapes = {"text_encoder.emb.weight": (SYMBOLS, arguments["hidden_channels"])}
    shapes["emb_g.weight"] = (arguments.get("speakers", 0), arguments.get("speaker_size", 0))
    shapes["emb_l.weight"] = (arguments.get("languages", 0), 4)
    network = Vits(layout_of({"model_args": arguments}, shapes, source=""))
    state = {
        key: torch.from_numpy(weight(key, tuple(value.shape)))
        for key, value in network.state_dict().items()
    }
    for key in [k for k in state if _is_normalised(k)]:
        direction = state.pop(key)
        norm = direction.flatten(1).norm(dim=1).reshape(-1, *[1] * (direction.dim() - 1))
        old = name != "yourtts"
        stem = key.removesuffix("weight")
        names = ("weight_g", "weight_v")
        if not old:
            names = ("parametrizations.weight.original0", "parametrizations.weight.original1")
        # The length of the direction says nothing.
        state |= {stem + names[0]: norm, stem + names[1]: 1.7 * direction}
    training = {"posterior_encoder.pre.weight": torch.zeros(3), "disc.x": torch.zeros(2)}
    return state | training | {"duration_predictor.post_pre.weight": torch.zeros(2)}


def _is_normalised(key: str) -> bool:
    parts = ("in_layers", "res_skip_layers", "cond_layer", ".ups.", "resblocks")
    is_decoders_own = key.startswith("waveform_decoder.cond_layer")
    return key.endswith("weight") and any(part in key for part in parts) and not is_decoders_own


def voice(directory: Path, name: str, **changes: Any) -> Path:
    """A directory as Coqui's are; returns it."""
    directory.mkdir(parents=True, exist_ok=True)
    torch.save({"model": state_of(name), "step": 3, "optimizer": [{}]}, directory / "model.pth")
    config: dict[str, Any] = {
        "model": "vits",
        "run_name": name,
        "audio": {"sample_rate": 16_000},
        "text_cleaner": "multilingual_cleaners",
        "characters": {
            "characters_class": "TTS.tts.models.vits.VitsCharacters",
            "pad": "_",
            "characters": LETTERS + "x",
            "punctuations": PUNCTUATION,
            "phonemes": "",
        },
        "model_args": VOICES[name],
    }
    (directory / "config.json").write_text(json.dumps(config | changes), "utf-8")
    if VOICES[name].get("languages"):
        languages = {"en": 0, "fr-fr": 1, "pt-br": 2}
        (directory / "language_ids.json").write_text(json.dumps(languages), "utf-8")
    return directory
