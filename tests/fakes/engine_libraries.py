"""The stand-ins for TensorRT in the place of the libraries, in this process and in its children."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

TESTS = Path(__file__).parents[1]
FOLDER = TESTS / "fakes" / "libraries"


def child_environment(**more: str) -> dict[str, str]:
    """The environment of a process that finds the project, the stand-ins, and no real library."""
    # The paths of this process: where the project and the tests are is known to pytest only.
    paths = [str(FOLDER), str(TESTS), *(path for path in sys.path if path)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), **more}


def install(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Puts both stand-ins in place until the test is over."""
    monkeypatch.setenv("PYTHONPATH", child_environment()["PYTHONPATH"])
    modules = {}
    for name in ("tensorrt_rtx", "tensorrt"):
        modules[name] = importlib.import_module(f"fakes.libraries.{name}")
        monkeypatch.setitem(sys.modules, name, modules[name])
    return modules
