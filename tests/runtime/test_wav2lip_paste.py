"""Wav2Lip's crops on a real portrait: they must come back to where they were taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.echo_network import write_echo
from halfsecond.assets import asset
from halfsecond.errors import PortraitError
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import load_portrait
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import Frame
from halfsecond.models.lipsync.wav2lip import Wav2LipSync
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork

pytestmark = pytest.mark.models
LIPS = (61, 291, 0, 17)
"""Corners of the mouth, middle of the upper and of the lower lip."""


@pytest.fixture(scope="module")
def compositor(model_dir: Callable[[str], Path]) -> Compositor:
    """The demo's portrait, with neither blinks nor sway."""
    face = model_dir("face")
    finder = FaceFinder(face / "face_detector.onnx", face / "face_landmarks.onnx")
    return Compositor(load_portrait(asset("astronaut.png"), finder))


def spoken_frame(
    compositor: Compositor, path: Path, *, depth: float = 0.0, patch_px: int = 96
) -> Frame:
    """A frame in the middle of loud sound, drawn by the echo."""
    write_echo(path, depth=depth, patch_px=patch_px)
    driver = Wav2LipSync(Wav2LipNetwork(path), compositor)
    sound = np.random.default_rng(0).normal(0, 0.3, 12_000).astype(np.float32)
    return list(driver.feed(sound))[8]


def difference(frame: Frame, compositor: Compositor) -> NDArray[np.int64]:
    """(h, w): the largest change of any colour at each pixel."""
    change = np.abs(frame.image.astype(np.int64) - compositor.portrait.image)
    return np.asarray(change.max(axis=2))


def test_a_network_that_returns_the_face_gives_the_portrait(
    compositor: Compositor, tmp_path: Path
) -> None:
    coarse = difference(spoken_frame(compositor, tmp_path / "a.onnx"), compositor)
    fine = difference(spoken_frame(compositor, tmp_path / "b.onnx", patch_px=256), compositor)
    x0, y0, x1, y1 = compositor.face_box
    pasted = np.s_[(y0 + y1) // 2 + 10 : y1, x0:x1]
    # What is left is the sharpness that 96 pixels cannot hold; shifted by a pixel it is double.
    assert coarse[pasted].mean() < 2.0
    assert fine[pasted].mean() < 0.8
    assert fine.max() <= 20


def test_pixels_outside_the_mask_are_the_portraits(compositor: Compositor, tmp_path: Path) -> None:
    frame = spoken_frame(compositor, tmp_path / "echo.onnx", depth=0.9)
    change = difference(frame, compositor)
    x0, y0, x1, y1 = compositor.face_box
    outside = np.ones(change.shape, bool)
    outside[(y0 + y1) // 2 : y1, x0:x1] = False
    assert change[outside].max() == 0
    assert change.max() > 60


def test_a_darker_mouth_lies_on_the_lips(compositor: Compositor, tmp_path: Path) -> None:
    plain = spoken_frame(compositor, tmp_path / "a.onnx")
    dark = spoken_frame(compositor, tmp_path / "b.onnx", depth=0.9)
    rows, columns = np.nonzero(np.abs(dark.image.astype(int) - plain.image).max(axis=2) > 40)
    left, right, top, bottom = compositor.portrait.landmarks[[*LIPS], :2]
    assert left[0] < columns.mean() < right[0]
    assert top[1] < rows.mean() < bottom[1]
    assert dark.mouth > plain.mouth + 0.2


def test_the_edge_of_the_patch_is_soft(compositor: Compositor) -> None:
    white = np.full((96, 96, 3), 255, np.uint8)
    bright = compositor.render_patch(white, 0.0).astype(float)
    dark = compositor.render_patch(white - 255, 0.0).astype(float)
    share = (bright - dark).mean(axis=2) / 255.0
    assert share.min() == 0.0
    assert share.max() == pytest.approx(1.0, abs=0.01)
    assert np.abs(np.diff(share, axis=0)).max() < 0.15
    assert np.abs(np.diff(share, axis=1)).max() < 0.15
    x0, y0, x1, y1 = compositor.face_box
    border = [share[y0, x0:x1], share[y1 - 1, x0:x1], share[y0:y1, x0], share[y0:y1, x1 - 1]]
    assert max(float(side.max()) for side in border) < 0.02


def test_a_driver_opens_from_files(
    model_dir: Callable[[str], Path], tmp_path: Path, compositor: Compositor
) -> None:
    write_echo(tmp_path / "echo.onnx")
    face = model_dir("face")

    def open_picture(picture: Path) -> Wav2LipSync:
        return Wav2LipSync.open(
            picture,
            model=tmp_path / "echo.onnx",
            detector=face / "face_detector.onnx",
            landmarks=face / "face_landmarks.onnx",
            is_expressive=False,
        )

    driver = open_picture(asset("astronaut.png"))
    assert driver.size == (512, 512)
    idle = driver.idle()
    # The portrait smiles with its teeth; the resting mouth hides them.
    x0, y0, x1, y1 = compositor.face_box
    assert difference(idle, compositor)[(y0 + y1) // 2 : y1, x0:x1].max() > 60
    with pytest.raises(PortraitError):
        open_picture(tmp_path / "no.png")
