"""Writes coqui_vits.npz: what Coqui's own layers say with weights that their names tell.

    pip install coqui-tts==0.28.0
    python tests/fakes/coqui_reference.py

Coqui's layers are put together as its `Vits.inference` does, with the random draws given.
"""

from __future__ import annotations

import importlib
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

REFERENCE = Path(__file__).parents[1] / "export" / "data" / "coqui_vits.npz"
SYMBOLS = 40
SPOKEN = 14
KEPT_SAMPLES = 4096

_NARROW: dict[str, Any] = {
    "hidden_channels": 16,
    "hidden_channels_ffn_text_encoder": 24,
    "num_layers_text_encoder": 2,
    "upsample_initial_channel_decoder": 32,
}
VOICES: dict[str, dict[str, Any]] = {
    "vits": _NARROW | {"use_sdp": True},
    "plain durations": _NARROW | {"use_sdp": False},
    "speakers": _NARROW | {"use_speaker_embedding": True, "speakers": 3, "speaker_size": 10},
    "yourtts": _NARROW
    | {
        "use_d_vector_file": True,
        "d_vector_dim": 12,
        "use_language_embedding": True,
        "languages": 3,
        "resblock_type_decoder": "2",
    },
}
"""`model_args` by voice; `speakers`, `speaker_size` and `languages` are the tables' sizes."""


def weight(name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The weight of this name: always the same, and of a size that keeps sounds audible."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values = rng.standard_normal(shape)
    if name.endswith("gamma"):
        return np.asarray(1 + 0.1 * values, np.float32)
    if len(shape) < 3:
        return np.asarray((1.0 if "emb" in name else 0.1) * values, np.float32)
    fan_in = shape[0 if ".ups." in name else 1] * shape[2]
    return np.asarray(values / np.sqrt(fan_in), np.float32)


def draws(name: str, frames: int, channels: int) -> dict[str, NDArray[Any]]:
    """What a voice is asked to say, by whom, and with which noise."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return {
        "symbols": rng.integers(0, SYMBOLS, (1, SPOKEN)),
        "scales": np.array([0.6, 1.2, 0.7], np.float32),
        "duration_noise": rng.standard_normal((1, 2, SPOKEN), np.float32),
        "speaker_id": np.array([2], np.int64),
        "language_id": np.array([1], np.int64),
        "voiceprint": rng.standard_normal((1, 12), np.float32),
        "noise": rng.standard_normal((1, channels, frames), np.float32),
    }


def main() -> None:
    """Writes the file."""
    results = {}
    for name, arguments in VOICES.items():
        durations, samples = _Voice(arguments).speak(name)
        results[f"{name}: durations"], results[name] = durations, samples[:KEPT_SAMPLES]
    np.savez_compressed(REFERENCE, **results)  # type: ignore[arg-type]


class _Voice:
    def __init__(self, arguments: dict[str, Any]) -> None:
        self.torch: Any = importlib.import_module("torch")
        networks = importlib.import_module("TTS.tts.layers.vits.networks")
        stochastic = importlib.import_module("TTS.tts.layers.vits.stochastic_duration_predictor")
        plain = importlib.import_module("TTS.tts.layers.glow_tts.duration_predictor")
        hifigan = importlib.import_module("TTS.vocoder.models.hifigan_generator")
        self.given = arguments
        hidden = arguments["hidden_channels"]
        speaker = arguments.get("speaker_size", 0) or arguments.get("d_vector_dim", 0)
        language = 4 if arguments.get("use_language_embedding") else 0
        self.parts: dict[str, Any] = {
            "text_encoder": networks.TextEncoder(
                SYMBOLS,
                hidden,
                hidden,
                arguments["hidden_channels_ffn_text_encoder"],
                2,
                arguments["num_layers_text_encoder"],
                3,
                0.0,
                language_emb_dim=language,
            ),
            "flow": networks.ResidualCouplingBlocks(hidden, hidden, 5, 1, 4, cond_channels=speaker),
            "waveform_decoder": hifigan.HifiganGenerator(
                hidden,
                1,
                arguments.get("resblock_type_decoder", "1"),
                [[1, 3, 5]] * 3,
                [3, 7, 11],
                [16, 16, 4, 4],
                arguments["upsample_initial_channel_decoder"],
                [8, 8, 2, 2],
                inference_padding=0,
                cond_channels=speaker,
                conv_pre_weight_norm=False,
                conv_post_weight_norm=False,
                conv_post_bias=False,
            ),
        }
        conditions = {"cond_channels": speaker, "language_emb_dim": language}
        self.parts["duration_predictor"] = (
            stochastic.StochasticDurationPredictor(hidden, 192, 3, 0.0, 4, **conditions)
            if arguments.get("use_sdp", True)
            else plain.DurationPredictor(hidden, 256, 3, 0.0, **conditions)
        )
        for name, part in self.parts.items():
            self._fill(name, part.eval())

    def _fill(self, prefix: str, part: Any) -> None:
        """A weight that is normalised is given by its direction, and its length is that one's."""
        torch = self.torch
        state = {}
        for name, value in part.state_dict().items():
            plain = name.replace("parametrizations.weight.original1", "weight")
            if not name.endswith("original0"):
                state[name] = torch.from_numpy(weight(f"{prefix}.{plain}", tuple(value.shape)))
        for name in part.state_dict():
            if name.endswith("original0"):
                direction = state[name.replace("original0", "original1")]
                norm = direction.flatten(1).norm(dim=1)
                state[name] = norm.reshape(-1, *[1] * (direction.dim() - 1))
        part.load_state_dict(state)

    def speak(self, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        torch, given = self.torch, self.given
        asked = {k: torch.from_numpy(v) for k, v in draws(name, 1, 1).items() if k != "noise"}
        speaker = language = None
        if given.get("use_d_vector_file"):
            speaker = torch.nn.functional.normalize(asked["voiceprint"])[..., None]
        if given.get("use_speaker_embedding"):
            table = weight("emb_g.weight", (given["speakers"], given["speaker_size"]))
            speaker = torch.from_numpy(table)[asked["speaker_id"]][..., None]
        if given.get("use_language_embedding"):
            table = weight("emb_l.weight", (given["languages"], 4))
            language = torch.from_numpy(table)[asked["language_id"]][..., None]
        with torch.no_grad():
            x, means, logs, mask = self.parts["text_encoder"](
                asked["symbols"], torch.tensor([SPOKEN]), lang_emb=language
            )
            durations = self._durations(x, mask, asked, speaker, language)
            counts = durations[0, 0].long()
            means, logs = (v.repeat_interleave(counts, dim=2) for v in (means, logs))
            frames = means.shape[2]
            noise = torch.from_numpy(draws(name, frames, means.shape[1])["noise"])
            z = means + noise * torch.exp(logs) * asked["scales"][0]
            z = self.parts["flow"](z, torch.ones(1, 1, frames), g=speaker, reverse=True)
            samples = self.parts["waveform_decoder"](z, g=speaker)
        return durations[0, 0].numpy(), samples.reshape(-1).numpy()

    def _durations(self, x: Any, mask: Any, asked: Any, speaker: Any, language: Any) -> Any:
        torch, predictor = self.torch, self.parts["duration_predictor"]
        if self.given.get("use_sdp", True):
            drawn, torch.randn = torch.randn, lambda *_: asked["duration_noise"]
            try:
                logs = predictor(
                    x,
                    mask,
                    g=speaker,
                    reverse=True,
                    noise_scale=asked["scales"][2],
                    lang_emb=language,
                )
            finally:
                torch.randn = drawn
        else:
            logs = predictor(x, mask, g=speaker, lang_emb=language)
        return torch.ceil(torch.exp(logs) * asked["scales"][1])


if __name__ == "__main__":
    main()
