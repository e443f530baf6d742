"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Config file; the defaults without one.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
KeysDir = Annotated[
    Path | None, typer.Option(help="Directory of this client's CURVE keys (`halfsecond keys`).")
]
