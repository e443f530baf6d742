"""Avatars of the bundled portrait in a store, without the loops that take long to draw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from halfsecond.artifact import Artifact, describe_file, write_artifact
from halfsecond.assets import asset
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import load_portrait
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.avatar_file import KIND, LAYOUT, avatars_folder, write_avatar


def install(home: Path, name: str, side_px: int, face_models: Path) -> Path:
    """Writes the avatar and gives its directory."""
    finder = FaceFinder(face_models / "face_detector.onnx", face_models / "face_landmarks.onnx")
    portrait = load_portrait(asset("astronaut.png"), finder, size=(side_px, side_px))
    directory = avatars_folder(home) / name
    directory.mkdir(parents=True)
    write_avatar(directory, replace(Avatar.of(portrait), name=name))
    artifact = Artifact(
        kind=KIND,
        precision="fp32",
        runtime="halfsecond",
        sources={},
        files={path.name: describe_file(path) for path in directory.iterdir()},
        libraries={},
        rebuild=f"halfsecond export avatar PHOTO --name {name}",
        details={"layout": LAYOUT, "name": name},
    )
    write_artifact(directory, artifact)
    return directory
