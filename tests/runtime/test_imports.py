"""The runtime stays lean: what it imports, and that it imports everywhere."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import halfsecond

HEAVY = ("torch", "transformers", "onnx", "tensorflow", "halfsecond_export", "halfsecond_bench")
PROGRAM = """
import importlib, sys
for name in {modules!r}:
    importlib.import_module(name)
print(*sorted(set({heavy!r}) & {{name.split(".")[0] for name in sys.modules}}))
"""


def runtime_modules() -> list[str]:
    found = pkgutil.walk_packages(halfsecond.__path__, prefix="halfsecond.")
    return [module.name for module in found if not module.name.endswith("__main__")]


def heavy_imports_of(modules: list[str]) -> str:
    program = PROGRAM.format(modules=modules, heavy=HEAVY)
    result = subprocess.run(  # a process that has imported nothing else
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return result.stdout.strip()


def test_no_module_of_the_runtime_imports_anything_heavy() -> None:
    modules = runtime_modules()
    assert len(modules) > 50
    assert heavy_imports_of(modules) == ""


def test_the_guard_sees_a_heavy_import() -> None:
    pytest.importorskip("onnx")
    assert heavy_imports_of(["halfsecond", "onnx"]) == "onnx"


def test_importing_the_client_loads_no_engine() -> None:
    program = (
        "import sys, halfsecond; "
        "print(*sorted({'onnxruntime', 'ctranslate2', 'cv2', 'av', 'hibari'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_the_public_names_are_these() -> None:
    assert halfsecond.__all__ == [
        "BlockingClient", "Client", "Disconnected", "HalfsecondError", "Received", "Reply",
        "__version__",
    ]  # fmt: skip


def test_no_file_of_the_project_names_a_path_of_the_machine_it_was_written_on() -> None:
    root = Path(__file__).parents[2]
    listing = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout")
    home = str(root.parent) + "/"
    if len(home) < 4 or home == tempfile.gettempdir() + "/":
        pytest.skip(f"the checkout lies in {home}, which files may name")
    named = [
        name
        for name in listing.stdout.split("\n")
        if name and (root / name).is_file() and home.encode() in (root / name).read_bytes()
    ]
    assert named == []
