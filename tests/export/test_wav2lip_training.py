"""The network in torch: the same as its ONNX file, and taught by the mesh driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed: pip install 'halfsecond[export]'"
)

from halfsecond.errors import ConfigError  # noqa: E402
from halfsecond.sessions import open_session  # noqa: E402
from halfsecond_export.cli import app  # noqa: E402
from halfsecond_export.wav2lip.checkpoint import load_generator  # noqa: E402
from halfsecond_export.wav2lip.footage import Clip, Sitter, load_speech  # noqa: E402
from halfsecond_export.wav2lip.graph import FACE, SOUND, write_onnx  # noqa: E402
from halfsecond_export.wav2lip.inference import draw, outputs  # noqa: E402
from halfsecond_export.wav2lip.layout import LAYOUTS, PUBLISHED, Layout  # noqa: E402
from halfsecond_export.wav2lip.network import Generator  # noqa: E402
from halfsecond_export.wav2lip.quantisation import layers_to_keep  # noqa: E402
from halfsecond_export.wav2lip.sensitivity import sensitivities  # noqa: E402
from halfsecond_export.wav2lip.training import lesson, save, train  # noqa: E402


def random_generator(layout: Layout, *, seed: int = 0) -> Generator:
    """Random weights, and statistics that random inputs left."""
    torch.manual_seed(seed)
    network: Generator = Generator(layout.narrowed(0.0625))
    side = layout.patch_px
    with torch.no_grad():
        network.train()(torch.randn(4, 1, 80, 16), torch.rand(4, 6, side, side))
    network.eval()
    return network


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda at: f"{at.patch_px}-{at.has_prelu}")
@pytest.mark.parametrize("is_interleaved", [False, True])
def test_the_onnx_file_draws_what_torch_draws(
    tmp_path: Path, layout: Layout, is_interleaved: bool
) -> None:
    network = random_generator(layout)
    weights = {k: v.numpy() for k, v in network.state_dict().items()}
    write_onnx(network.layout, weights, tmp_path / "w.onnx", is_interleaved=is_interleaved)
    random = np.random.default_rng(0)
    sounds = random.normal(-1, 1, (2, 1, 80, 16)).astype(np.float32)
    face = random.random((6, layout.patch_px, layout.patch_px), np.float32)
    expected = outputs(network, sounds, face)
    inputs = {SOUND: sounds, FACE: np.stack([face, face])}
    found = next(iter(open_session(tmp_path / "w.onnx").run(inputs).values()))
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_sensitivity_leaves_the_network_as_it_was_and_differs_by_layer() -> None:
    network = random_generator(PUBLISHED)
    random = np.random.default_rng(0)
    windows = random.normal(-1, 1, (2, 1, 80, 16)).astype(np.float32)
    face = random.random((6, 96, 96), np.float32)
    before = outputs(network, windows, face)
    errors = sensitivities(network, windows, face)
    np.testing.assert_array_equal(outputs(network, windows, face), before)
    assert len(errors) == 51
    assert max(errors.values()) > 3 * float(np.median(list(errors.values()))) > 0


def test_the_fewest_layers_that_make_up_the_error_are_kept_worst_first() -> None:
    errors = {"a": 0.1, "b": 1.0, "c": 0.5, "d": 0.0}
    assert layers_to_keep(errors, share=0.5) == ["b"]
    assert layers_to_keep(errors, share=0.95) == ["b", "c"]
    assert layers_to_keep({"a": 0.0}, share=0.95) == []


@pytest.fixture(scope="module")
def sitter(model_dir: Callable[[str], Path]) -> Sitter:
    torch.set_num_threads(1)
    return Sitter.open(None, model_dir("face"), 96)


@pytest.fixture(scope="module")
def clips(clips_dir: Path) -> list[Clip]:
    names = ("librivox-0880", "librivox-0890", "librivox-0930")
    return [load_speech(clips_dir / f"{name}.flac")[0] for name in names]


@pytest.mark.models
def test_a_lesson_has_a_picture_for_every_sound_and_its_mouth_moves(
    sitter: Sitter, clips: list[Clip]
) -> None:
    learned = lesson(sitter, clips[:1])
    assert len(learned.windows) == len(learned.patches) == clips[0].frames
    apertures = sitter.apertures(learned.patches)
    assert apertures.std() > 0.01
    assert apertures.max() > 0.06 > 0.03 > apertures.min()


@pytest.mark.models
def test_some_steps_are_learned_and_saved_in_the_published_layout(
    sitter: Sitter, clips: list[Clip], tmp_path: Path
) -> None:
    trained = train(sitter, clips[:1], clips[2:], width=0.0625, seconds=1e9, most_steps=6)
    assert trained.steps == 6
    assert trained.held_out_frames == clips[2].frames
    save(trained, tmp_path / "w.pth")
    content = torch.load(tmp_path / "w.pth", weights_only=True)
    assert content["global_step"] == 6
    assert "face_encoder_blocks.0.0.conv_block.0.weight" in content["state_dict"]
    loaded = load_generator(tmp_path / "w.pth")
    windows = clips[1].windows()[:4]
    np.testing.assert_array_equal(
        draw(loaded, windows, sitter.face), draw(trained.network, windows, sitter.face)
    )


@pytest.mark.models
@pytest.mark.slow
def test_a_network_learns_to_follow_speech_that_it_never_heard(
    sitter: Sitter, clips_dir: Path
) -> None:
    from halfsecond_export.wav2lip.footage import split

    learned, held_out = split(load_speech(clips_dir))
    trained = train(sitter, learned, held_out, width=0.0625, seconds=1e9, most_steps=1_200)
    assert trained.aperture_correlation > 0.4


@pytest.mark.parametrize("width", ["0.3", "0", "-0.25"])
def test_a_width_that_leaves_parts_of_channels_is_refused(tmp_path: Path, width: str) -> None:
    arguments = ["wav2lip-train", "--out", str(tmp_path / "w.pth"), "--width", width]
    result = CliRunner().invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert "expected a multiple of 0.0625" in str(result.exception)
