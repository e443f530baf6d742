"""Checkpoints of Coqui's VITS and YourTTS, read without running any code that is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.torch_file import load_weights
from halfsecond_export.tts.layout import layout_of
from halfsecond_export.tts.network import Vits

_TRAINING_ONLY = (
    "posterior_encoder.",
    "disc.",
    "speaker_encoder.",
    "duration_predictor.post_",
    "audio_resampler.",
    "audio_transform.",
)
_NORM_ENDINGS = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)
"""Length and direction of a weight, by torch's old and by its new names."""

_EXAMPLE = "Coqui's model.pth or model_file.pth"

State = dict[str, Any]


def load_vits(path: Path, config: Mapping[str, Any], *, config_name: str) -> Vits:
    """The network of a checkpoint, ready to speak.

    Raises:
        ModelMissingError: there is no file at `path`.
        ModelCorruptError: it is no checkpoint, not all of one, or does not fit the config.
        UnsupportedModelError: it holds code, or the weights of another network.
    """
    state = folded(_inference_state(load_weights(path, example=_EXAMPLE), path))
    if "text_encoder.emb.weight" not in state or "waveform_decoder.conv_pre.weight" not in state:
        some = ", ".join(sorted(state)[:4])
        raise UnsupportedModelError(
            f"{path} is no VITS: it holds {some} … and neither text_encoder nor waveform_decoder; "
            "`halfsecond export tts` reads VITS and YourTTS of Coqui, and Piper's voices"
        )
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    layout = layout_of(config, shapes, source=config_name)
    network = Vits(layout)
    _check_fit(network, state, path, config_name)
    network.load_state_dict(state)
    network.eval()
    return network


def _inference_state(loaded: Any, path: Path) -> State:
    """The tensors that speech is made with, by name."""
    state = loaded.get("model", loaded) if isinstance(loaded, Mapping) else loaded
    if not isinstance(state, Mapping) or not any(torch.is_tensor(v) for v in state.values()):
        raise UnsupportedModelError(
            f"{path} holds a {type(loaded).__name__}; expected tensors by name under 'model', as "
            "Coqui's trainer saves them"
        )
    kept = {
        str(name).removeprefix("module."): value
        for name, value in state.items()
        if torch.is_tensor(value)
    }
    kept = {name: v.float() for name, v in kept.items() if not name.startswith(_TRAINING_ONLY)}
    broken = [name for name, value in kept.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise ModelCorruptError(
            f"{path} has numbers that are not finite in {broken[0]} and {len(broken) - 1} other "
            "tensors; copy it again, or take an earlier checkpoint"
        )
    return kept


def folded(state: State) -> State:
    """The state with every normalised weight as the one weight that it stands for."""
    result = dict(state)
    for length_name, direction_name in _NORM_ENDINGS:
        for name in [name for name in state if name.endswith("." + length_name)]:
            stem = name.removesuffix(length_name)
            length, direction = result.pop(name), result.pop(stem + direction_name)
            norm = direction.flatten(1).norm(dim=1).reshape(length.shape)
            result[stem + "weight"] = direction * (length / norm)
    return result


def _check_fit(network: Vits, state: State, path: Path, config_name: str) -> None:
    expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    missing = sorted(set(expected) - set(state))
    unknown = sorted(set(state) - set(expected))
    others = sorted(n for n in set(expected) & set(state) if expected[n] != tuple(state[n].shape))
    if not (missing or unknown or others):
        return
    found = []
    if missing:
        found.append(f"{missing[0]} is missing (of {len(missing)})")
    if unknown:
        found.append(f"{unknown[0]} is unknown (of {len(unknown)})")
    if others:
        name = others[0]
        found.append(f"{name} is {tuple(state[name].shape)}, expected {expected[name]}")
    raise ModelCorruptError(
        f"{path} and {config_name} do not belong together: {'; '.join(found)}. Take the "
        "config.json that was published with the checkpoint"
    )
