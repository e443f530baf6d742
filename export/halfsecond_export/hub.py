"""Sources that are named by the id of a Hugging Face repository."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from halfsecond.errors import FetchError


def fetched(source: str, files: Sequence[str]) -> Path:
    """The path that `source` is, or what a repository of this id holds of `files` (patterns).

    Raises FetchError where the repository cannot be reached.
    """
    path = Path(source).expanduser()
    if path.exists() or source.count("/") != 1 or source.startswith((".", "/", "~")):
        return path
    from huggingface_hub import snapshot_download  # pyright: ignore[reportMissingImports]

    try:
        return Path(snapshot_download(source, allow_patterns=list(files)))
    except Exception as error:
        # The hub's errors have many roots; each says what it could not do.
        raise FetchError(
            f"there is no file {source}, and the repository {source} cannot be fetched ({error}); "
            "give a directory, or try again where the hub can be reached"
        ) from error
