"""From a generator and an avatar to the avatar's own mouth, and how near it comes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import Artifact
from halfsecond.engine import ENGINE_NAME
from halfsecond.errors import UnsupportedModelError
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.avatar_file import read_avatar
from halfsecond.models.lipsync.compiled_mouth import FOLDER, KIND, identity
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.wav2lip import SILENCE_MEL
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork, generator_file, pictures_of
from halfsecond.sessions import open_session
from halfsecond_export.formats import Format, Progress, hashes_of, write_manifest
from halfsecond_export.mouth.ear import Ear
from halfsecond_export.mouth.graph import write_mouth
from halfsecond_export.mouth.learning import COMPONENTS, FEATURES, learn
from halfsecond_export.mouth.likeness import Likeness, checks
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.wav2lip.footage import (
    Clip,
    Patches,
    Sitter,
    Windows,
    load_speech,
    split,
)

FILE_NAME = "mouth.onnx"
LEARNED_FRAMES = 1200
"""Of 1000 and 2000 frames the mouths come equally near; a generator in fp32 draws as many in
100 s."""
JUDGED_FRAMES = 200
"""Eight seconds of speech that was not learned from, as for Wav2Lip's own export."""
LIBRARIES = ("numpy", "onnx", "onnxruntime")
_BATCH_FRAMES = 5


@dataclass(frozen=True)
class Request:
    """Whose mouth, and who teaches it.

    avatar: its directory. wav2lip: an ONNX file, or an artifact's directory.
    speech: a folder of recordings; every fourth is kept for the comparison.
    """

    avatar: Path
    wav2lip: Path
    face_models: Path
    speech: Path
    rebuild: str
    """The command that does this again."""
    threads: int = 1


def export(request: Request, *, progress: Progress = lambda _done, _text: None) -> Artifact:
    """Writes the mouth into the avatar's directory and gives its manifest; a rejected one too.

    Raises:
        ModelError: avatar or generator cannot be read, or the generator cannot be taken apart.
        ConfigError, AudioError: nothing to learn from.
    """
    progress(0.0, "reading the generator")
    avatar = read_avatar(request.avatar)
    teacher_file = generator_file(request.wav2lip)
    if teacher_file.name == ENGINE_NAME:
        raise UnsupportedModelError(
            f"{request.wav2lip} is an engine, which cannot be taken apart; give the ONNX file that "
            "it was built from"
        )
    network = Wav2LipNetwork(request.wav2lip, threads=request.threads)
    ear = Ear.of(teacher_file)
    learned, judged = split(load_speech(request.speech))
    # The longest first: speech that goes on, where the rest may be coughs.
    judged.sort(key=lambda clip: -clip.frames)
    lessons = _spread(_speaking(learned), LEARNED_FRAMES)
    tests = _speaking(judged)[:JUDGED_FRAMES]
    sitter = Sitter(Compositor(avatar), network.patch_px, request.face_models)
    drawn = _draw(network, np.concatenate([tests, lessons]), sitter.face, progress)
    shown = _shown(avatar, network.patch_px)
    progress(0.8, "learning")
    mouth = learn(ear.hear(lessons), drawn[len(tests) :], shown)
    with replaced_directory(request.avatar / FOLDER) as directory:
        write_mouth(ear, mouth, directory / FILE_NAME)
        progress(0.9, "comparing")
        own = _own_pictures(directory / FILE_NAME, tests)
        found = Likeness.of(sitter, drawn[: len(tests)], own, shown)
        artifact = write_manifest(
            directory,
            Format("onnxruntime", "fp32", "float32"),
            kind=KIND,
            sources=hashes_of([teacher_file]) | identity(request.avatar),
            rebuild=request.rebuild,
            checks=checks(found),
            details={
                "avatar": avatar.name,
                "patch_px": network.patch_px,
                "components": COMPONENTS,
                "features": FEATURES,
                "learned_frames": len(lessons),
                "judged_clips": ", ".join(clip.name for clip in judged),
            },
            libraries=LIBRARIES,
        )
    progress(1.0, "")
    return artifact


def _speaking(clips: list[Clip]) -> Windows:
    """The windows in which there is something to hear: of the others the driver draws none."""
    windows: Windows = np.concatenate([clip.windows() for clip in clips])
    return np.asarray(windows[windows.max(axis=(1, 2, 3)) >= SILENCE_MEL])


def _spread(windows: Windows, frames: int) -> Windows:
    """As many, evenly over all of them."""
    chosen = np.linspace(0, len(windows) - 1, min(frames, len(windows))).astype(int)
    return np.asarray(windows[chosen])


def _draw(
    network: Wav2LipNetwork, windows: Windows, face: NDArray[np.float32], progress: Progress
) -> Patches:
    def parts() -> Iterator[Patches]:
        for at in range(0, len(windows), _BATCH_FRAMES):
            done = at / len(windows)
            progress(0.05 + 0.75 * done, f"watching frame {at} of {len(windows)}")
            yield network.draw(windows[at : at + _BATCH_FRAMES], face)

    return np.concatenate(list(parts()))


def _shown(avatar: Avatar, patch_px: int) -> NDArray[np.bool_]:
    """(patch_px, patch_px) what of a picture is pasted into the portrait."""
    import cv2

    # Linear: what lies half a pixel beyond the mask is asked for where the picture is enlarged.
    grown = cv2.dilate(avatar.paste_mask, np.ones((3, 3), np.uint8))
    mask = cv2.resize(grown, (patch_px, patch_px), interpolation=cv2.INTER_AREA)
    around = cv2.dilate(mask, np.ones((5, 5), np.uint8))
    return np.asarray(around > 0.0, np.bool_)


def _own_pictures(path: Path, windows: Windows) -> Patches:
    session = open_session(path)
    (sound,) = session.inputs
    parts = [
        pictures_of(np.asarray(next(iter(session.run({sound.name: part}).values())), np.float32))
        for at in range(0, len(windows), _BATCH_FRAMES)
        for part in [windows[at : at + _BATCH_FRAMES].astype(sound.dtype)]
    ]
    return np.stack([picture for part in parts for picture in part])
