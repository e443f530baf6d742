"""A VITS in torch as two ONNX graphs, and the same network as the source to compare them with."""

from __future__ import annotations

import io
import warnings
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from halfsecond_export.engines.passes.graph import drop_unread_inputs, drop_unused, in_order
from halfsecond_export.tts.network import Back, Front, Vits
from halfsecond_export.tts.voice_source import Array, Samples

OPSET = 17
"""With layer normalisation as one operator, and known to every TensorRT that we build for."""
_SYMBOLS, _FRAMES = 24, 40
"""Of the examples that are traced; both sizes stay open."""


def trace_front(network: Vits) -> Any:
    """The front as an ONNX model; see `Front` for what it takes and gives."""
    layout = network.layout
    inputs: dict[str, Any] = {
        "symbols": torch.ones((1, _SYMBOLS), dtype=torch.int64),
        "scales": torch.tensor([0.667, 1.0, 0.8]),
        "duration_noise": torch.zeros((1, 2, _SYMBOLS)),
        "speaker": None,
        "language": None,
    }
    if layout.has_voiceprint:
        inputs["speaker"] = torch.ones((1, layout.speaker_size))
    elif layout.speakers:
        inputs["speaker"] = torch.zeros(1, dtype=torch.int64)
    if layout.languages:
        inputs["language"] = torch.zeros(1, dtype=torch.int64)
    renamed = {
        "speaker": "voiceprint" if layout.has_voiceprint else "speaker_id",
        "language": "language_id",
    }
    names = [renamed.get(name, name) for name, value in inputs.items() if value is not None]
    results = ["mean", "spread", "durations", *(["speaker"] if layout.speaker_size else [])]
    axes = {
        "symbols": {1: "T"},
        "duration_noise": {2: "T"},
        "durations": {1: "T"},
        "mean": {2: "F"},
        "spread": {2: "F"},
    }
    return _traced(Front(network), tuple(inputs.values()), names, results, axes)


def trace_back(network: Vits) -> Any:
    """The back as an ONNX model; see `Back` for what it takes and gives."""
    layout = network.layout
    latent = torch.zeros((1, layout.hidden, _FRAMES))
    has_speaker = layout.speaker_size > 0
    speaker = torch.zeros((1, layout.speaker_size, 1)) if has_speaker else None
    names = ["latent", *(["speaker"] if has_speaker else [])]
    axes = {"latent": {2: "F"}, "audio": {2: "S"}}
    return _traced(Back(network), (latent, speaker), names, ["audio"], axes)


def _traced(
    module: Any, values: tuple[Any, ...], names: list[str], results: list[str], axes: Any
) -> Any:
    import onnx

    written = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # torch warns that this exporter is the older one; the newer knows no sizes that depend on
        # data, and the number of frames does.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            values,
            written,
            input_names=names,
            output_names=results,
            dynamic_axes={name: axis for name, axis in axes.items() if name in names + results},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load_from_string(written.getvalue())
    drop_unused(model)
    drop_unread_inputs(model)
    return in_order(model)


class TracedReference:
    """The network in torch, whole."""

    def __init__(self, network: Vits) -> None:
        self._layout = network.layout
        self._front, self._back = Front(network).eval(), Back(network).eval()

    def sound(self, feeds: dict[str, Array]) -> Samples:
        """See `Reference`."""
        given = {name: torch.from_numpy(value) for name, value in feeds.items()}
        speaker = None
        if self._layout.speaker_size:
            speaker = given["voiceprint" if self._layout.has_voiceprint else "speaker_id"]
        language = given["language_id"] if self._layout.languages else None
        with torch.no_grad():
            mean, spread, _, *rest = self._front(
                given["symbols"], given["scales"], given["duration_noise"], speaker, language
            )
            audio = self._back(mean + given["noise"] * spread, rest[0] if rest else None)
        samples: Samples = audio.reshape(-1).numpy()
        return samples
