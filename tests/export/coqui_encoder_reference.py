"""Writes data/coqui_encoder.npz: what torch and librosa compute with the weights of `fakes.coqui`.

Run with torch 2.13 and librosa 0.11 installed, the tests on the path. The network below is built of
torch's own layers after the description in Coqui's `resnet.py`; nothing of the exporter is used.
"""

from __future__ import annotations

from pathlib import Path

import librosa  # type: ignore[import-not-found]  # pyright: ignore[reportMissingImports]
import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn import functional  # pyright: ignore[reportMissingImports]

from fakes.coqui import BANDS, BLOCKS, encoder_weights

TARGET = Path(__file__).parent / "data" / "coqui_encoder.npz"


def main() -> None:
    """Mels in and voices out of the network; samples in and mels out of the front end."""
    rng = np.random.default_rng(5)
    mels = rng.standard_normal((3, BANDS, 40)).astype(np.float32)
    samples = rng.uniform(-0.5, 0.5, 4_000).astype(np.float32)
    np.savez_compressed(
        TARGET, mels=mels, voices=voices(mels), samples=samples, heard=log_mels(samples)
    )


def voices(mels: np.ndarray) -> np.ndarray:
    """(n, size), after torch's layers in the order of `ResNetSpeakerEncoder.forward`."""
    w = {name: torch.from_numpy(values) for name, values in encoder_weights().items()}

    def norm(at: str, x: torch.Tensor) -> torch.Tensor:
        parts = (w[f"{at}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *parts)

    def block(at: str, x: torch.Tensor, stride: int) -> torch.Tensor:
        y = functional.relu(functional.conv2d(x, w[f"{at}.conv1.weight"], None, stride, 1))
        y = functional.conv2d(norm(f"{at}.bn1", y), w[f"{at}.conv2.weight"], None, 1, 1)
        y = norm(f"{at}.bn2", y)
        s = functional.relu(functional.linear(y.mean((2, 3)), *pair(f"{at}.se.fc.0")))
        y = y * torch.sigmoid(functional.linear(s, *pair(f"{at}.se.fc.2")))[:, :, None, None]
        if f"{at}.downsample.0.weight" in w:
            x = functional.conv2d(x, w[f"{at}.downsample.0.weight"], None, stride)
            x = norm(f"{at}.downsample.1", x)
        return functional.relu(y + x)

    def pair(at: str) -> tuple[torch.Tensor, torch.Tensor]:
        return w[f"{at}.weight"], w[f"{at}.bias"]

    x = functional.instance_norm(torch.from_numpy(mels))[:, None]
    x = norm("bn1", functional.relu(functional.conv2d(x, *pair("conv1"), 1, 1)))
    for stage, blocks in enumerate(BLOCKS, start=1):
        for at in range(blocks):
            x = block(f"layer{stage}.{at}", x, 2 if at == 0 and stage > 1 else 1)
    x = x.reshape(len(x), -1, x.shape[-1])
    a = norm("attention.2", functional.relu(functional.conv1d(x, *pair("attention.0"))))
    a = functional.softmax(functional.conv1d(a, *pair("attention.3")), dim=2)
    mean = (x * a).sum(2)
    deviation = ((x**2 * a).sum(2) - mean**2).clamp(min=1e-5).sqrt()
    x = functional.linear(torch.cat((mean, deviation), 1), *pair("fc"))
    return np.asarray(functional.normalize(x, dim=1).numpy())


def log_mels(samples: np.ndarray) -> np.ndarray:
    """(bands, frames), pre-emphasis as a convolution over the mirrored signal."""
    padded = functional.pad(torch.from_numpy(samples)[None, None], (1, 0), "reflect")
    emphasised = functional.conv1d(padded, torch.tensor([[[-0.97, 1.0]]]))[0, 0].numpy()
    power = librosa.feature.melspectrogram(
        y=emphasised,
        sr=16_000,
        n_fft=512,
        win_length=400,
        hop_length=160,
        window="hamming",
        pad_mode="reflect",
        power=2.0,
        n_mels=BANDS,
        htk=True,
        norm=None,
    )
    return np.asarray(np.log(power + 1e-6))


if __name__ == "__main__":
    main()
