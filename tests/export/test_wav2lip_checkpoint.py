"""Checkpoints of every kind that people have, and what is refused with which words."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed: pip install 'halfsecond[export]'"
)

from halfsecond.errors import (  # noqa: E402
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond_export.wav2lip.checkpoint import load_generator  # noqa: E402
from halfsecond_export.wav2lip.layout import LAYOUTS, PUBLISHED  # noqa: E402
from halfsecond_export.wav2lip.network import Generator, count_parameters  # noqa: E402

State = dict[str, Any]
NARROW = PUBLISHED.narrowed(0.0625)


def state(seed: int = 0) -> State:
    torch.manual_seed(seed)
    found: State = Generator(NARROW).state_dict()
    return found


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


PUBLISHED_FORMS: dict[str, Callable[[State], object]] = {
    "bare": lambda weights: weights,
    "under state_dict": lambda weights: {"state_dict": weights},
    "with the optimiser's state": lambda weights: {
        "state_dict": weights,
        "optimizer": {"state": {0: {"step": 3}}, "param_groups": [{"lr": 1e-4}]},
        "global_step": 7,
        "global_epoch": 1,
    },
    "from several GPUs": lambda weights: {
        "state_dict": {f"module.{name}": value for name, value in weights.items()}
    },
    "in half precision": lambda weights: {
        name: value.half() if value.is_floating_point() else value
        for name, value in weights.items()
    },
}


@pytest.mark.parametrize("form", PUBLISHED_FORMS)
def test_a_checkpoint_is_loaded_in_each_form_that_is_published(tmp_path: Path, form: str) -> None:
    weights = state()
    network = load_generator(saved(tmp_path / "w.pth", PUBLISHED_FORMS[form](weights)))
    assert network.layout.width == 0.0625
    assert not network.training
    name = "face_decoder_blocks.3.0.conv_block.0.weight"
    torch.testing.assert_close(network.state_dict()[name], weights[name], atol=1e-3, rtol=1e-3)


def test_the_older_format_without_an_archive_is_loaded(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "w.pth", _use_new_zipfile_serialization=False)
    assert load_generator(tmp_path / "w.pth").layout.patch_px == 96


def test_wider_pictures_are_known_by_their_layers(tmp_path: Path) -> None:
    for layout in LAYOUTS:
        network = Generator(layout.narrowed(0.0625))
        found = load_generator(saved(tmp_path / "w.pth", network.state_dict())).layout
        assert (found.patch_px, found.has_prelu) == (layout.patch_px, layout.has_prelu)


def test_the_published_width_has_the_published_parameters() -> None:
    assert count_parameters(Generator(PUBLISHED)) == 36_298_035


class Opens:
    """Unpickles into a call."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self._path,))


@pytest.mark.parametrize("is_archive", [True, False])
def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(
    tmp_path: Path, is_archive: bool
) -> None:
    content = {"state_dict": state(), "extra": Opens(tmp_path / "ran")}
    path = tmp_path / "w.pth"
    torch.save(content, path, _use_new_zipfile_serialization=is_archive)
    with pytest.raises(UnsupportedModelError, match="loading it would run code") as refusal:
        load_generator(path)
    assert "touch" in str(refusal.value) or "getattr" in str(refusal.value)
    assert not (tmp_path / "ran").exists()


def test_a_plain_pickle_with_code_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Opens(tmp_path / "ran")))
    with pytest.raises((UnsupportedModelError, ModelCorruptError)):
        load_generator(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("is_archive", [True, False])
def test_a_file_that_ends_too_early_is_corrupt(
    tmp_path: Path, part: float, is_archive: bool
) -> None:
    path = tmp_path / "w.pth"
    torch.save(state(), path, _use_new_zipfile_serialization=is_archive)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ModelCorruptError, match=r"w\.pth .* cannot be read .* copy it again"):
        load_generator(path)


def test_a_scripted_module_is_refused_as_a_program(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/code/__torch__.py", "class W: pass")
        archive.writestr("w/data.pkl", b"")
    with pytest.raises(UnsupportedModelError, match="TorchScript module, a program"):
        load_generator(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "holds a list"),
        ({"model": {"a": 1}, "step": 3}, "holds a dict with model, step"),
        ({}, "holds a dict"),
    ],
)
def test_something_else_is_refused_with_what_it_is(
    tmp_path: Path, content: object, found: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=found):
        load_generator(saved(tmp_path / "w.pth", content))


def test_weights_that_are_not_finite_are_corrupt(tmp_path: Path) -> None:
    weights = state()
    weights["output_block.1.bias"][0] = float("nan")
    with pytest.raises(ModelCorruptError, match=r"not finite in output_block\.1\.bias"):
        load_generator(saved(tmp_path / "w.pth", weights))


def test_a_missing_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"no checkpoint at .*w\.pth"):
        load_generator(tmp_path / "w.pth")
