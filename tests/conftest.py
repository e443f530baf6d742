"""What all tests share: where the models are, and the clips."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ModelDir = Callable[[str], Path]


@pytest.fixture(scope="session")
def model_dir() -> ModelDir:
    """Gives the directory of a fetched model by its catalog name."""
    root = Path(os.environ.get("HALFSECOND_TEST_MODELS", "/work/scratch/models"))

    def find(name: str) -> Path:
        return root / name

    return find


@pytest.fixture(scope="session")
def clips_dir() -> Path:
    """The directory of recorded clips, with clips.toml."""
    return Path(__file__).parent / "clips"
