"""A speaker encoder with the layout of Coqui's and random weights, small enough for a test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Weights = dict[str, NDArray[np.float32]]

BANDS, SIZE = 16, 24
FILTERS = (8, 8, 16, 16)
BLOCKS = (1, 2, 1, 1)
REDUCTION = 8
ATTENTION = 128
CONFIG = {
    "model_params": {
        "model_name": "resnet",
        "input_dim": BANDS,
        "use_torch_spec": True,
        "log_input": True,
        "proj_dim": SIZE,
    },
    "audio": {
        "sample_rate": 16_000,
        "fft_size": 512,
        "win_length": 400,
        "hop_length": 160,
        "num_mels": BANDS,
        "preemphasis": 0.97,
    },
}


def encoder_weights(seed: int = 0, *, size: int = SIZE) -> Weights:
    """Every tensor of the encoder by the name that Coqui gives it; size: of a voiceprint."""
    rng = np.random.default_rng(seed)
    made: Weights = {}

    def tensor(name: str, *shape: int) -> None:
        made[name] = (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    def norm(at: str, channels: int) -> None:
        for part in ("weight", "running_var"):
            made[f"{at}.{part}"] = rng.uniform(0.5, 1.5, channels).astype(np.float32)
        for part in ("bias", "running_mean"):
            made[f"{at}.{part}"] = rng.normal(0, 0.2, channels).astype(np.float32)

    def linear(at: str, wide: int, narrow: int, *kernel: int) -> None:
        tensor(f"{at}.weight", wide, narrow, *kernel)
        made[f"{at}.bias"] = rng.normal(0, 0.1, wide).astype(np.float32)

    linear("conv1", FILTERS[0], 1, 3, 3)
    norm("bn1", FILTERS[0])
    inside = FILTERS[0]
    for stage, (channels, blocks) in enumerate(zip(FILTERS, BLOCKS, strict=True), start=1):
        for block in range(blocks):
            at = f"layer{stage}.{block}"
            tensor(f"{at}.conv1.weight", channels, inside, 3, 3)
            norm(f"{at}.bn1", channels)
            tensor(f"{at}.conv2.weight", channels, channels, 3, 3)
            norm(f"{at}.bn2", channels)
            linear(f"{at}.se.fc.0", channels // REDUCTION, channels)
            linear(f"{at}.se.fc.2", channels, channels // REDUCTION)
            if block == 0 and stage > 1:
                tensor(f"{at}.downsample.0.weight", channels, inside, 1, 1)
                norm(f"{at}.downsample.1", channels)
            inside = channels
    width = FILTERS[-1] * BANDS // 8
    linear("attention.0", ATTENTION, width, 1)
    norm("attention.2", ATTENTION)
    linear("attention.3", width, ATTENTION, 1)
    linear("fc", size, 2 * width)
    return made
