"""What a preparation leaves behind: a whole directory with its manifest, or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond_export.prepare import PREPARERS, Preparer, PrepareRequest
from halfsecond_export.prepare.onnx_output import add_onnx_output


def request(tmp_path: Path, **options: str) -> PrepareRequest:
    source = tmp_path / "source.bin"
    source.write_bytes(b"weights")
    return PrepareRequest({"source.bin": source}, tmp_path / "model", options)


def copying(fail: Exception | None = None) -> Preparer:
    def make(request: PrepareRequest, directory: Path) -> Mapping[str, Any]:
        (directory / "deep").mkdir()
        (directory / "deep" / "model.bin").write_bytes(request.sources["source.bin"].read_bytes())
        if fail:
            raise fail
        return {"licence": "MIT"}

    return Preparer("copy", 3, make, ("numpy",))


def small_network(path: Path) -> Path:
    """y = 2 x + 1, with the doubled x inside."""
    kind = onnx.TensorProto.FLOAT
    constants = [
        onnx.numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("two", 2), ("one", 1))
    ]
    graph = onnx.helper.make_graph(
        [
            onnx.helper.make_node("Mul", ["x", "two"], ["/doubled"]),
            onnx.helper.make_node("Add", ["/doubled", "one"], ["y"]),
        ],
        "small",
        [onnx.helper.make_tensor_value_info("x", kind, ["n"])],
        [onnx.helper.make_tensor_value_info("y", kind, ["n"])],
        constants,
    )
    opsets = [onnx.helper.make_opsetid("", 17)]
    model = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_the_manifest_tells_what_was_made_from_what(tmp_path: Path) -> None:
    copying()(request(tmp_path, loud="yes"))
    manifest = json.loads((tmp_path / "model" / "manifest.json").read_text(encoding="utf-8"))
    entry = {"sha256": hashlib.sha256(b"weights").hexdigest(), "bytes": 7}
    assert manifest["preparer"] == "copy"
    assert manifest["revision"] == 3
    assert manifest["libraries"] == {"numpy": np.__version__}
    assert manifest["options"] == {"loud": "yes"}
    assert manifest["sources"] == {"source.bin": entry}
    assert manifest["outputs"] == {"deep/model.bin": entry}
    assert manifest["details"] == {"licence": "MIT"}


@pytest.mark.parametrize("failure", [ModelCorruptError("cut off"), KeyboardInterrupt()])
def test_a_preparation_that_fails_leaves_nothing(tmp_path: Path, failure: Exception) -> None:
    with pytest.raises(type(failure)):
        copying(failure)(request(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["source.bin"]


def test_a_preparation_that_fails_keeps_the_one_before(tmp_path: Path) -> None:
    copying()(request(tmp_path))
    with pytest.raises(ModelCorruptError):
        copying(ModelCorruptError("cut off"))(request(tmp_path))
    assert (tmp_path / "model" / "deep" / "model.bin").read_bytes() == b"weights"
    assert (tmp_path / "model" / "manifest.json").is_file()


def test_a_new_preparation_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.bin").write_bytes(b"old")
    copying()(request(tmp_path))
    names = {path.name for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert names == {"model.bin", "manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"source.bin", "model"}


def test_a_killed_preparation_leaves_no_model_and_is_cleaned_up_by_the_next(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from halfsecond_export.prepare.request import replaced_directory
        with replaced_directory(Path(sys.argv[1])) as directory:
            (directory / "model.bin").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "model")]
    killed = subprocess.run(command, check=False, env=os.environ)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "model").exists()
    assert len(list(tmp_path.iterdir())) == 1
    copying()(request(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"source.bin", "model"}


def test_a_preparation_that_still_runs_is_not_cleaned_up(tmp_path: Path) -> None:
    from halfsecond_export.prepare.request import replaced_directory

    with replaced_directory(tmp_path / "model") as first:
        (first / "a").write_bytes(b"a")
        with replaced_directory(tmp_path / "model") as second:
            (second / "b").write_bytes(b"b")
        assert (first / "a").read_bytes() == b"a"
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["a"]


def test_a_source_that_is_not_there_is_missing(tmp_path: Path) -> None:
    wanted = PrepareRequest({"source.bin": tmp_path / "none"}, tmp_path / "model")
    with pytest.raises(ModelMissingError, match=r"source\.bin.*Fetch"):
        copying()(wanted)


def test_the_catalog_finds_every_preparer_by_name() -> None:
    assert set(PREPARERS) == {
        "tflite-to-onnx",
        "gguf-to-ctranslate2",
        "gguf-to-onnx",
        "ctranslate2-whisper-to-onnx",
        "add-onnx-output",
        "resemblyzer-to-onnx",
    }


@pytest.mark.parametrize("name", sorted(PREPARERS))
def test_an_unknown_option_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"{name}.*colour"):
        PREPARERS[name](request(tmp_path, colour="red"))


def test_an_added_output_shows_the_tensor_and_changes_no_other(tmp_path: Path) -> None:
    source = small_network(tmp_path / "small.onnx")
    PREPARERS["add-onnx-output"](
        PrepareRequest(
            {"small.onnx": source},
            tmp_path / "model",
            {"tensor": "/doubled", "name": "twice"},
        )
    )
    session = onnxruntime.InferenceSession(
        str(tmp_path / "model" / "small.onnx"), providers=["CPUExecutionProvider"]
    )
    assert [output.name for output in session.get_outputs()] == ["y", "twice"]
    result, twice = session.run(None, {"x": np.array([1, 4], np.float32)})
    np.testing.assert_array_equal(np.asarray(result), [3, 9])
    np.testing.assert_array_equal(np.asarray(twice), [2, 8])


def test_a_tensor_that_is_not_in_the_network_is_named(tmp_path: Path) -> None:
    source = small_network(tmp_path / "small.onnx")
    with pytest.raises(UnsupportedModelError, match="no tensor '/tripled'"):
        add_onnx_output(source, tmp_path / "out.onnx", tensor="/tripled", name="thrice")


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    source = small_network(tmp_path / "small.onnx")
    with pytest.raises(UnsupportedModelError, match="already a tensor named 'y'"):
        add_onnx_output(source, tmp_path / "out.onnx", tensor="/doubled", name="y")


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.95])
def test_a_network_that_is_cut_off_is_corrupt(tmp_path: Path, share: float) -> None:
    source = small_network(tmp_path / "small.onnx")
    data = source.read_bytes()
    source.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelCorruptError, match=r"small\.onnx"):
        add_onnx_output(source, tmp_path / "out.onnx", tensor="/doubled", name="twice")
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.models
def test_hibari_tells_how_long_each_phoneme_lasts(model_dir: Callable[[str], Path]) -> None:
    """The frames of the spectrum are half as long as the units of the durations (25 ms)."""
    session = onnxruntime.InferenceSession(
        str(model_dir("hibari") / "hibari.onnx"), providers=["CPUExecutionProvider"]
    )
    ids = np.array([[1, 5, 9, 20, 30, 33, 12, 7, 3, 2]], np.int64)
    outputs: Any = session.run(["lh", "durations"], {"ids": ids, "speed": np.ones(1, np.float32)})
    spectrum, durations = outputs
    assert durations.shape == (ids.shape[1],)
    assert 2 * durations.sum() == spectrum.shape[-1]
