"""The part of a Wav2Lip generator that only hears, cut out of its ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from halfsecond.errors import UnsupportedModelError
from halfsecond.models.lipsync.mel import MEL_BANDS, WINDOW_STEPS
from halfsecond.sessions import open_session
from halfsecond_export.wav2lip.footage import Windows

LEAST_OPSET = 11
"""From which on the operators that a mouth adds have the form that it writes."""
_BATCH_FRAMES = 50


@dataclass(frozen=True)
class Ear:
    """From what is heard to the numbers that decide the mouth.

    The face meets the sound late in a generator: all before that is the same for every face, takes
    a fortieth of its time, and is kept as it was trained.
    """

    model: Any
    """An ONNX model: `sound`, (N, 1, 80, 16), to `heard`, (N, …)."""
    sound: str
    heard: str

    @classmethod
    def of(cls, path: Path) -> Ear:
        """The ear of the generator in an ONNX file.

        Raises:
            UnsupportedModelError: face and sound do not meet in one place, or the file is older
                than `LEAST_OPSET`.
        """
        model = onnx.load(str(path))
        opset = max(one.version for one in model.opset_import if one.domain in ("", "ai.onnx"))
        if opset < LEAST_OPSET:
            raise UnsupportedModelError(
                f"{path} has opset {opset}, expected {LEAST_OPSET} or later; export the checkpoint "
                "with `halfsecond export wav2lip`"
            )
        sound, meeting = _meeting(model.graph)
        if not sound or len(meeting) != 1:
            raise UnsupportedModelError(
                f"in {path} sound and face meet in {len(meeting)} places ({', '.join(meeting)}), "
                "expected one; export the checkpoint with `halfsecond export wav2lip`"
            )
        typed = onnx.shape_inference.infer_shapes(model)
        part = onnx.utils.Extractor(typed).extract_model([sound], meeting)
        _open_batch(part.graph)
        return cls(part, sound, meeting[0])

    def hear(self, windows: Windows) -> NDArray[np.float32]:
        """(n, d): what it makes of each window."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "ear.onnx"
            onnx.save(self.model, str(path))
            session = open_session(path)
            sounds = windows.astype(session.inputs[0].dtype)
            found = [
                next(iter(session.run({self.sound: sounds[at : at + _BATCH_FRAMES]}).values()))
                for at in range(0, len(sounds), _BATCH_FRAMES)
            ]
        return np.concatenate(found).reshape(len(windows), -1).astype(np.float32)


def _meeting(graph: Any) -> tuple[str, list[str]]:
    """The input for sound, and what follows from it alone and is first used with something else."""
    constants = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    sounds = [value.name for value in inputs if _shape(value)[1:] == [1, MEL_BANDS, WINDOW_STEPS]]
    if len(sounds) != 1:
        return "", []
    follows_from = {value.name: {value.name} for value in inputs}
    meeting: list[str] = []
    for node in graph.node:
        sources = set[str]().union(*(follows_from.get(name, set()) for name in node.input))
        follows_from |= dict.fromkeys(node.output, sources)
        if len(sources) > 1:
            alone = [name for name in node.input if follows_from.get(name) == {sounds[0]}]
            meeting += [name for name in alone if name not in meeting]
    return sounds[0], meeting


def _open_batch(graph: Any) -> None:
    """Any number of windows at once, whatever the file was exported for."""
    del graph.value_info[:]
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "N"


def _shape(value: Any) -> list[int]:
    return [side.dim_value for side in value.type.tensor_type.shape.dim]
