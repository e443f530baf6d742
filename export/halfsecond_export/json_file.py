"""A JSON object of a file, or an error that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from halfsecond.errors import ModelCorruptError, ModelMissingError


def read_json(path: Path) -> dict[str, Any]:
    """The object in `path`. Raises ModelMissingError and ModelCorruptError."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise ModelMissingError(f"there is no {path}; fetch the model again") from error
    except ValueError as error:
        raise ModelCorruptError(f"{path} cannot be read ({error}); fetch it again") from error
    if not isinstance(content, dict):
        raise ModelCorruptError(f"{path} holds no JSON object; fetch it again")
    return content


def read_json_if_there(path: Path) -> dict[str, Any]:
    """The object in `path`, or nothing where there is no such file."""
    return read_json(path) if path.is_file() else {}
