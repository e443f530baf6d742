"""Options that several commands share, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from halfsecond import audio
from halfsecond.errors import ConfigError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file; the defaults without one.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
KeysDir = Annotated[
    Path | None, typer.Option(help="Directory of this client's CURVE keys (`halfsecond keys`).")
]


def load_question(path: Path, console: Console) -> NDArray[np.float32]:
    """(n,) mono 16 kHz of a recording; says what is wrong with its level."""
    recording = audio.load(path)
    for warning in recording.warnings:
        console.print(f"{path.name} is {warning}", style="yellow", markup=False)
    return recording.samples


def check_one_question(question: Path | None, text: str | None) -> None:
    """Raises ConfigError when a question is both spoken and typed."""
    if question is not None and text is not None:
        raise ConfigError("--question and --text are two questions; give one of them")


def check_folder_of(out: Path) -> None:
    """Raises ConfigError when the folder that a file is to be written to is not there."""
    folder = out.resolve().parent
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; make it, or choose another")
