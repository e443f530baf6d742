"""Preparing fetched files, through whatever package offers preparers.

An entry point of the group `halfsecond.preparers` lies in a module with `PREPARERS` (functions by
name that take a request) and `PrepareRequest(sources, target, options)`. The runtime imports it
only when an entry asks to be prepared.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from halfsecond.catalog import Preparation
from halfsecond.errors import FetchError

GROUP = "halfsecond.preparers"
INSTALL_COMMAND = 'pip install "halfsecond[prepare]"'


@dataclass(frozen=True)
class LoadedPreparer:
    """A preparer that is ready to run; `revision` rises when its results would differ."""

    run: Callable[[Mapping[str, Path], Path, Mapping[str, str]], None]
    revision: int | None = None


def load_preparer(preparation: Preparation) -> LoadedPreparer:
    """Returns what does a preparation; raises FetchError that says what to install."""
    known: list[str] = []
    for point in metadata.entry_points(group=GROUP):
        try:
            module = importlib.import_module(point.module)
        except ImportError as error:
            raise _not_installed(preparation, str(error)) from error
        known += module.PREPARERS
        if preparation.name in module.PREPARERS:
            preparer = module.PREPARERS[preparation.name]
            _require_libraries(preparation, preparer)
            return LoadedPreparer(_bound(module, preparer), getattr(preparer, "revision", None))
    raise FetchError(
        f"no preparer {preparation.name!r}; installed: {', '.join(known) or 'none'}; "
        f"run `{INSTALL_COMMAND}`"
    )


def _bound(
    module: Any, preparer: Any
) -> Callable[[Mapping[str, Path], Path, Mapping[str, str]], None]:
    def run(sources: Mapping[str, Path], target: Path, options: Mapping[str, str]) -> None:
        try:
            preparer(module.PrepareRequest(sources=sources, target=target, options=options))
        except ImportError as error:
            raise FetchError(f"{error}; run `{INSTALL_COMMAND}`") from error

    return run


def _require_libraries(preparation: Preparation, preparer: Any) -> None:
    missing = [name for name in getattr(preparer, "libraries", ()) if not _is_installed(name)]
    if missing:
        raise _not_installed(preparation, f"{', '.join(missing)} not installed")


def _is_installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _not_installed(preparation: Preparation, reason: str) -> FetchError:
    return FetchError(
        f"preparing with {preparation.name!r} needs more packages ({reason}); "
        f"run `{INSTALL_COMMAND}`"
    )
