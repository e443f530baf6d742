"""What all tests share: where the models are, and the clips."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from halfsecond.store import Store

# On a build machine the same examples every time; on a developer's, new ones to find faults with.
settings.register_profile("ci", derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")

ModelDir = Callable[[str], Path]


@pytest.fixture(scope="session")
def model_dir() -> ModelDir:
    """Gives the verified directory of a fetched model by its catalog name.

    HALFSECOND_TEST_MODELS names a directory of models to take as they are, instead of the store.
    """
    override = os.environ.get("HALFSECOND_TEST_MODELS")
    if override:
        return lambda name: Path(override) / name
    return Store.default().path


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """The directory of recorded clips, with clips.toml."""
    return Path(__file__).parent / "clips"
