"""Options that several commands share, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from halfsecond import audio

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
