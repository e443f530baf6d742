"""What there is to run: networks, engines and CTranslate2 models of a home, or of given paths."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal

from halfsecond.artifact import MANIFEST_NAME, Artifact, read_artifact
from halfsecond.engine_library import LIBRARIES
from halfsecond.errors import ConfigError, ModelError
from halfsecond.models.asr.pair import PARTS, is_in_parts

Form = Literal["network", "engine", "whisper pair", "whisper", "llm"]
"""An ONNX file or an artifact around one; a TensorRT engine; a Whisper in parts; CTranslate2's."""

ENGINES, MODELS = "built", "models"
"""The folders of a home."""


@dataclass(frozen=True)
class Candidate:
    """One thing to run. `path` is a file for a bare network, else a directory."""

    name: str
    path: Path
    form: Form
    artifact: Artifact | None = None

    @property
    def on_cpu(self) -> Path | None:
        """What the CPU runs of it: itself, or what an engine was built from; None if that is gone.

        Of a pair of engines it is the pair of networks, an `encoder` and a `decoder` again.
        """
        if self.artifact is None or self.artifact.runtime not in LIBRARIES:
            return self.path
        network = Path(self.artifact.source_path)
        if self.form == "whisper pair":
            pair = network.parent.parent
            return pair if is_in_parts(pair) else None
        return network if network.is_file() else None

    @property
    def precision(self) -> str:
        return self.artifact.precision if self.artifact else ""

    @property
    def is_of_the_cpu(self) -> bool:
        """Whether it is in operators that only the CPU has: what `models fetch` prepares of Whisper
        and of language models for ONNX Runtime, and their `onnx-` exports."""
        beside = self.path.parent
        of_whisper = (beside / "whisper.json").is_file() and (beside / "encoder.onnx").is_file()
        return self.path.is_file() and (of_whisper or (beside / "chat.json").is_file())


def find(home: Path, paths: Sequence[Path]) -> list[Candidate]:
    """The candidates below the paths, or in the home where none are given.

    Raises ConfigError for a path that is not there, or below which is nothing to run.
    """
    if not paths:
        return list(_below([home / ENGINES, home / MODELS], root=home))
    found: list[Candidate] = []
    for path in paths:
        if not path.exists():
            raise ConfigError(f"there is no {path}")
        here = list(_below([path], root=path.parent))
        if not here:
            raise ConfigError(f"{path} holds no ONNX network, engine or CTranslate2 model")
        found += here
    return found


def _below(folders: Iterable[Path], *, root: Path) -> Iterator[Candidate]:
    for folder in folders:
        yield from _at(folder, root)


def _at(path: Path, root: Path) -> Iterator[Candidate]:
    """What a path is, or what lies below it."""
    name = str(path.relative_to(root)).removeprefix(f"{ENGINES}/").removeprefix(f"{MODELS}/")
    if path.is_file():
        if path.suffix == ".onnx":
            yield Candidate(name, path, "network")
    elif path.is_dir() and is_in_parts(path):
        yield Candidate(name, path, "whisper pair", _manifest(path / PARTS[0]))
        for part in PARTS:
            yield from _at(path / part, root)
    elif path.is_dir():
        artifact = _manifest(path)
        form = _form(path, artifact)
        if form is not None:
            yield Candidate(name, path, form, artifact)
        else:
            below = (each for each in sorted(path.iterdir()) if not each.name.startswith("."))
            yield from chain.from_iterable(_at(each, root) for each in below)


def _form(path: Path, artifact: Artifact | None) -> Form | None:
    """Of a directory that is one thing; None for one in which there may be several."""
    if (path / "model.bin").is_file():
        return "llm" if (path / "chat.json").is_file() else "whisper"
    if artifact is not None and artifact.runtime in LIBRARIES:
        return "engine"
    if artifact is not None and sum(name.endswith(".onnx") for name in artifact.files) == 1:
        return "network"
    return None


def _manifest(path: Path) -> Artifact | None:
    if not (path / MANIFEST_NAME).is_file():
        return None
    try:
        return read_artifact(path)
    except ModelError:
        return None  # opening it says what is wrong
