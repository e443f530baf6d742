"""Low-rank adapters (Hu et al. 2021) as Hugging Face's peft saves them, added to the weights."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from halfsecond.errors import ModelCorruptError, ModelMissingError, UnsupportedModelError
from halfsecond_export.json_file import read_json
from halfsecond_export.prepare.decoder_network import Architecture, Array, Network
from halfsecond_export.prepare.language_model import LanguageModel
from halfsecond_export.safetensors_file import SafetensorsWeights

WEIGHTS_NAME = "adapter_model.safetensors"

_NAME = re.compile(
    r"base_model\.model\.(?P<module>(?:.+\.)?layers\.(?P<layer>\d+)\.(?:self_attn|mlp)\.(?P<part>\w+)"
    r"|(?:.+\.)?(?P<head>lm_head))\.lora_A\.weight"
)
_MATRICES = {
    "o_proj": "attention_out",
    "gate_proj": "gate",
    "up_proj": "up",
    "down_proj": "down",
}
_ATTENTION_IN = ("q_proj", "k_proj", "v_proj")

# Variants of peft whose weights are not W + scale * B A.
_OTHER_KINDS = (
    "use_dora",
    "fan_in_fan_out",
    "use_qalora",
    "use_bdlora",
    "alora_invocation_tokens",
    "layer_replication",
)


def merge_lora(model: LanguageModel, directory: Path) -> list[Path]:
    """Adds the adapter in `directory` to the weights of `model`, in place; gives its files.

    Raises ModelMissingError, ModelCorruptError, and UnsupportedModelError for what is no LoRA,
    or one of another model.
    """
    path = directory / "adapter_config.json"
    if not path.is_file():
        raise ModelMissingError(
            f"there is no {path}; --lora takes the directory that peft's save_pretrained wrote"
        )
    config = read_json(path)
    _check_kind(path, config)
    weights = SafetensorsWeights(directory, single=WEIGHTS_NAME)
    found = [match for name in sorted(weights.names) if (match := _NAME.fullmatch(name))]
    if not found:
        raise UnsupportedModelError(
            f"{directory / WEIGHTS_NAME} has no lora_A of a projection of a layer; it holds "
            f"{', '.join(sorted(weights.names)[:3]) or 'nothing'}"
        )
    for match in found:
        down = weights.tensor(match[0])
        up = weights.tensor(match[0].replace("lora_A", "lora_B"))
        _check_fit(match, down, up, model.architecture)
        scale = np.float32(scaling(config, match["module"], rank=len(down)))
        _add(model.network, model.architecture, match, scale * (up @ down))
    if weights.unread:
        raise UnsupportedModelError(
            f"{directory / WEIGHTS_NAME}: {len(weights.unread)} tensors are no low-rank part of a "
            f"projection: {', '.join(weights.unread[:3])}. Adapted are q, k, v, o, gate, up and "
            "down projections, and lm_head; merge others with peft, and export the result"
        )
    return [path, *weights.files]


def scaling(config: Mapping[str, Any], module: str, *, rank: int) -> float:
    """What B A is multiplied by: alpha / r, or alpha / sqrt(r) (Kalajdzievski 2023)."""
    alpha = config.get("lora_alpha", 8)
    for pattern, own in (config.get("alpha_pattern") or {}).items():
        # As peft matches: a whole name, or the end of one.
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            alpha = own
            break
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _check_kind(path: Path, config: Mapping[str, Any]) -> None:
    if config.get("peft_type") != "LORA":
        raise UnsupportedModelError(
            f"{path}: peft_type is {config.get('peft_type')!r}, expected 'LORA'"
        )
    if others := [key for key in _OTHER_KINDS if config.get(key)]:
        raise UnsupportedModelError(
            f"{path}: {others[0]} is set, which is not merged here; merge it with peft's "
            "merge_and_unload, and export the result"
        )


def _check_fit(match: re.Match[str], down: Array, up: Array, a: Architecture) -> None:
    """Raises for a pair that does not fit the matrix that it adapts."""
    if down.ndim != 2 or up.ndim != 2 or up.shape[1] != down.shape[0]:
        raise ModelCorruptError(
            f"{match[0]}: {down.shape} and {up.shape} of lora_B make no low-rank product"
        )
    expected = _shape(match, a)
    if expected is None or int(match["layer"] or 0) >= a.layers:
        raise UnsupportedModelError(
            f"the adapter changes {match['module']}, which a {a.family} of {a.layers} layers does "
            "not have; is it of another model?"
        )
    found = (up.shape[0], down.shape[1])
    if found != expected:
        raise UnsupportedModelError(
            f"the adapter changes {match['module']} as a matrix of {found}, the model has "
            f"{expected}; is it of another model?"
        )


def _shape(match: re.Match[str], a: Architecture) -> tuple[int, int] | None:
    rows, key_rows = a.heads * a.head_size, a.key_heads * a.head_size
    return {
        "lm_head": (a.vocabulary, a.width),
        "q_proj": (rows, a.width),
        "k_proj": (key_rows, a.width),
        "v_proj": (key_rows, a.width),
        "o_proj": (a.width, rows),
        "gate_proj": (a.inner_width, a.width),
        "up_proj": (a.inner_width, a.width),
        "down_proj": (a.width, a.inner_width),
    }.get(match["head"] or match["part"])


def _add(network: Network, a: Architecture, match: re.Match[str], change: Array) -> None:
    if match["head"]:
        # Not in place: the embeddings may be the same array.
        network.output = network.output + change
        return
    layer, part = network.layers[int(match["layer"])], match["part"]
    if part in _MATRICES:
        name = _MATRICES[part]
        setattr(layer, name, getattr(layer, name) + change)
        return
    rows, key_rows = a.heads * a.head_size, a.key_heads * a.head_size
    first = (0, rows, rows + key_rows)[_ATTENTION_IN.index(part)]
    layer.attention_in[first : first + len(change)] += change
