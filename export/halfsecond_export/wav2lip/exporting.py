"""From a checkpoint to artifacts: each written, compared with torch on real inputs, and judged."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from halfsecond.artifact import (
    Artifact,
    Precision,
    Tensor,
    describe_file,
    write_artifact,
)
from halfsecond.models.lipsync.mel import MEL_BANDS, WINDOW_STEPS
from halfsecond.models.lipsync.wav2lip_network import ARTIFACT_KIND
from halfsecond.store.hashes import sha256_of
from halfsecond_export.formats import Progress
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.wav2lip.checkpoint import load_generator
from halfsecond_export.wav2lip.footage import Clip, Sitter, Windows, load_speech, split
from halfsecond_export.wav2lip.graph import FACE, PICTURES, SOUND, Weights, write_onnx
from halfsecond_export.wav2lip.inference import outputs
from halfsecond_export.wav2lip.network import Generator
from halfsecond_export.wav2lip.parity import Judge, Likeness, checks
from halfsecond_export.wav2lip.quantisation import (
    layers_to_keep,
    write_fp16,
    write_int8,
    write_mixed,
)
from halfsecond_export.wav2lip.sensitivity import sensitivities

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8_fp16")
FILE_NAME = "wav2lip.onnx"
CALIBRATION_FRAMES = 128
JUDGED_FRAMES = 200
"""Eight seconds: enough syllables for a correlation, and half a minute of the full network."""
SENSITIVITY_FRAMES = 8
CONTROL_LAYERS = ("audio_encoder.12", "face_decoder_blocks.4.0")
"""Their channels are moved by one in the negative control, which must fail: sounds that are
mistaken for others, and pictures that are drawn wrongly."""
_LIBRARIES = ("torch", "onnx", "onnxruntime", "numpy")


@dataclass(frozen=True)
class Request:
    """What to export, to where, and what to compare on.

    out: gets a directory for each precision.
    portrait: of a person; None takes the demonstration's.
    speech: a folder of recordings; every fourth is kept for the comparison.
    """

    checkpoint: Path
    out: Path
    face_models: Path
    speech: Path
    portrait: Path | None = None
    precisions: Sequence[Precision] = PRECISIONS
    judged_frames: int = JUDGED_FRAMES


def export(
    request: Request, *, progress: Progress = lambda _done, _text: None
) -> dict[Precision, Artifact]:
    """Writes the artifacts, and gives their manifests; the rejected ones are written too.

    Raises:
        ModelError: the checkpoint cannot be read, or is of another network.
        PortraitError, ConfigError, AudioError: nothing to compare on.
    """
    progress(0.0, "reading the checkpoint")
    exporter = _Exporter(request, load_generator(request.checkpoint), progress)
    return {
        precision: exporter.artifact(precision, at / len(request.precisions))
        for at, precision in enumerate(request.precisions)
    }


class _Exporter:
    """A network, real inputs, and what torch draws of them."""

    def __init__(self, request: Request, network: Generator, progress: Progress) -> None:
        self._request = request
        self._network = network
        self._progress = progress
        self._weights: Weights = {k: v.numpy() for k, v in network.state_dict().items()}
        self._source_sha256 = sha256_of(request.checkpoint)
        learned, judged = split(load_speech(request.speech))
        self._calibration = _spread(learned, CALIBRATION_FRAMES)
        # The longest first: speech that goes on, where the rest may be coughs.
        judged.sort(key=lambda clip: -clip.frames)
        windows = np.concatenate([clip.windows() for clip in judged])[: request.judged_frames]
        progress(0.02, f"drawing {len(windows)} frames with torch")
        layout = network.layout
        sitter = Sitter.open(request.portrait, request.face_models, layout.patch_px)
        self._face = sitter.face
        self._judge = Judge(sitter, windows, outputs(network, windows, sitter.face))
        self._details: dict[str, str | int | float] = {
            "patch_px": layout.patch_px,
            "width": layout.width,
            "activation": "prelu" if layout.has_prelu else "relu",
            "calibration_frames": len(self._calibration),
            "judged_clips": ", ".join(clip.name for clip in judged),
        }
        self._control = self._controlled()

    def artifact(self, precision: Precision, done: float) -> Artifact:
        """Writes and judges one precision; its directory appears whole or not at all."""
        self._progress(0.1 + 0.9 * done, f"writing {precision}")
        with replaced_directory(self._request.out / precision) as directory:
            path = directory / FILE_NAME
            details = self._details | self._write(precision, path)
            self._progress(0.1 + 0.9 * done + 0.1, f"comparing {precision} with torch")
            artifact = self._manifest(precision, path, details)
            write_artifact(directory, artifact)
        return artifact

    def _write(self, precision: Precision, path: Path) -> dict[str, str | int | float]:
        """The ONNX file of one precision; gives what is to be said about it."""
        is_int8 = precision.startswith("int8")
        with TemporaryDirectory(dir=path.parent, prefix=".work-") as work:
            source = Path(work) / FILE_NAME
            write_onnx(self._network.layout, self._weights, source, is_interleaved=is_int8)
            if precision == "fp32":
                shutil.move(source, path)
            elif precision == "fp16":
                write_fp16(source, path)
            elif precision == "int8":
                write_int8(source, path, self._calibration, self._face)
            else:
                return self._write_mixed(source, path)
        return {}

    def _write_mixed(self, source: Path, path: Path) -> dict[str, str | int | float]:
        some = self._calibration[:: max(1, len(self._calibration) // SENSITIVITY_FRAMES)]
        errors = sensitivities(
            self._network,
            some,
            self._face,
            progress=lambda part: self._progress(0.8 + 0.1 * part, "finding sensitive layers"),
        )
        kept = layers_to_keep(errors)
        write_mixed(source, path, self._calibration, self._face, kept=kept)
        found = ", ".join(f"{name} {errors[name]:.2g}" for name in kept)
        return {"kept_in_fp16": found, "convolutions": len(errors)}

    def _controlled(self) -> Likeness:
        """The negative control: the fp32 file of a network with two layers' channels moved."""
        weights = dict(self._weights)
        for name, layer in self._network.layout.layers():
            if name in CONTROL_LAYERS:
                key = f"{name}.conv_block.0.weight"
                weights[key] = np.roll(weights[key], 1, axis=1 if layer.is_transposed else 0)
        with TemporaryDirectory() as work:
            path = Path(work) / FILE_NAME
            write_onnx(self._network.layout, weights, path, is_interleaved=False)
            return self._judge.compare(path)

    def _manifest(
        self, precision: Precision, path: Path, details: dict[str, str | int | float]
    ) -> Artifact:
        side = self._network.layout.patch_px
        shapes = {
            SOUND: (1, MEL_BANDS, WINDOW_STEPS),
            FACE: (6, side, side),
            PICTURES: (3, side, side),
        }
        tensors = tuple(
            Tensor(name=name, dtype="float32", shape=("N", *shape))
            for name, shape in shapes.items()
        )
        request = self._request
        return Artifact(
            kind=ARTIFACT_KIND,
            precision=precision,
            runtime="onnxruntime",
            sources={request.checkpoint.name: self._source_sha256},
            files={FILE_NAME: describe_file(path)},
            libraries={name: version(name) for name in _LIBRARIES},
            rebuild=f"halfsecond export wav2lip {request.checkpoint} --out {request.out} "
            f"--precision {precision}",
            inputs=tensors[:2],
            outputs=tensors[2:],
            checks=checks(self._judge.compare(path), self._control, precision),
            details=details,
        )


def _spread(clips: Sequence[Clip], frames: int) -> Windows:
    """As many windows, evenly over all of the clips."""
    windows: Windows = np.concatenate([clip.windows() for clip in clips])
    chosen = np.linspace(0, len(windows) - 1, min(frames, len(windows))).astype(int)
    return np.asarray(windows[chosen])
