"""The instruments of `bench lipsync` find the faults that are put before them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.assets import asset
from halfsecond.models.face.aperture import ApertureMeter
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import Portrait, load_portrait
from halfsecond.models.lipsync.driver import Frame
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.tts.voice import Phone
from halfsecond_bench.commands.lipsync import print_report
from halfsecond_bench.lipsync.figures import bilabials, jitter_px, mouth_figures, settled, share
from halfsecond_bench.lipsync.kept import Keeping, KeptFigures
from halfsecond_bench.lipsync.long_run import Drift, drift
from halfsecond_bench.lipsync.run import Judged, LipSyncReport, Speed
from halfsecond_bench.lipsync.seams import SeamFigures
from halfsecond_bench.lipsync.sheet import Shot, Snapshots, Strip, write_sheet
from halfsecond_bench.lipsync.speech import Speech
from halfsecond_bench.lipsync.take import LIPS, Take, take
from halfsecond_bench.results import result_of
from halfsecond_bench.statistics import Distribution

RATE, FPS = 16_000, 25


def syllables(seconds: float = 6.0, *, silent_from_s: float = 4.5) -> Speech:
    """Vowels that come and go at uneven times, then silence."""
    t = np.arange(int(seconds * RATE)) / RATE
    opening = _opening(t) * (t < silent_from_s)
    tone = sum(np.sin(2 * np.pi * hz * t) for hz in (150, 600, 750, 1200))
    return Speech("tones", (0.1 * opening * tone).astype(np.float32))


def _opening(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(np.sin(2 * np.pi * (1.7 * t + 0.25 * t**2)), 0, 1)


def mouthed(
    speech: Speech, *, late_s: float = 0.0, floor: float = 0.0, shake_px: float = 0.0
) -> Take:
    """A mouth that follows the syllables: as wanted, late, never closed, or unsteady."""
    random = np.random.default_rng(0)
    made = Take(speech)
    for number in range(int(speech.length_s * FPS)):
        at_s = number / FPS
        opening = float(_opening(np.array([max(at_s - late_s, 0.0)]))[0]) * (at_s - late_s < 4.5)
        made.times_s.append(at_s)
        made.commanded.append(opening)
        made.apertures.append(0.2 * max(opening, floor))
        made.lips.append(random.normal(0, shake_px / np.sqrt(2), (len(LIPS), 2)).astype(np.float32))
        made.frame_ms.append(1.0)
    return made


def test_a_mouth_that_follows_gets_full_marks() -> None:
    figures = mouth_figures(mouthed(syllables()))
    assert figures.aperture_r > 0.99
    # A picture is seen for 40 ms: on the mean it is 20 ms late.
    assert figures.av_offset_ms == pytest.approx(20, abs=15)
    assert figures.closed_by_driver.rate == figures.closed_by_detector.rate == 1.0
    assert figures.closed_by_driver.n > 15
    assert figures.jitter_px == 0.0
    assert figures.unseen == 0


def test_lips_that_come_late_are_found_with_their_delay() -> None:
    figures = mouth_figures(mouthed(syllables(), late_s=0.12))
    assert figures.av_offset_ms == pytest.approx(140, abs=20)


def test_a_mouth_that_stays_open_in_silence_is_found_by_the_detector() -> None:
    figures = mouth_figures(mouthed(syllables(), floor=0.4))
    assert figures.closed_by_driver.rate == 1.0
    assert figures.closed_by_detector.rate == 0.0


def test_unsteady_lips_are_found_with_how_far_they_wander() -> None:
    shaken = mouthed(syllables(), shake_px=1.0)
    assert jitter_px(shaken, settled(shaken)) == pytest.approx(1.0, abs=0.1)


def test_frames_count_as_silent_after_three_tenths_of_a_second() -> None:
    made = mouthed(syllables())
    quiet = made.at_s[settled(made)]
    assert quiet.min() == pytest.approx(4.5 + 0.3, abs=0.35)
    assert quiet.max() == pytest.approx(6.0, abs=0.1)


def test_a_bilabial_counts_as_closed_where_one_of_its_frames_is() -> None:
    sound = syllables()
    phones = tuple(Phone("m", at, at + 0.06) for at in (0.1, 2.0, 3.0))
    made = mouthed(Speech("m", sound.samples, phones))
    made.commanded = [0.5] * len(made.times_s)
    made.apertures = [0.2] * len(made.times_s)
    made.commanded[round(2.0 * FPS)] = 0.0
    by_driver, by_detector = bilabials(made)
    assert by_driver is not None and by_detector is not None
    assert (by_driver.hits, by_driver.n) == (1, 3)
    assert by_detector.hits == 0


def test_a_share_comes_with_its_interval() -> None:
    found = share(np.array([True] * 9 + [False]))
    assert (found.hits, found.n) == (9, 10)
    assert found.low < 0.9 < found.high


def test_the_report_says_what_was_judged_and_reads_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    figures = mouth_figures(mouthed(syllables()), commands_opening=False)
    kept = KeptFigures(upper_face_change=0.1, outside_change=0.0, sharpness=0.95, frames=9)
    ms = Distribution(5.0, 8.0, 9.0, 100)
    report = LipSyncReport(
        device="two cores",
        versions={},
        judged=[Judged(driver="mesh", portrait="nova", voice="hibari", mouth=figures, kept=kept)],
        speed=[Speed(driver="mesh", width=512, height=512, frame_ms=ms, core_ms=ms, fps_p95=125.0)],
        seams={
            "mesh": SeamFigures(
                largest_at_changes=1.0, largest_within=2.0, p99_within=1.5, changes=7
            )
        },
        drift={
            "mesh": Drift(length_s=600.0, frames=15_000, missing_frames=0, start_ms=4.0, end_ms=6.5)
        },
    )
    print_report(report)
    printed = capsys.readouterr().out
    for words in ("nova", "100.0 %", "125", "1.00 of 255 at most", "+4 ms", "0 frames missing"):
        assert words in " ".join(printed.split())
    again = result_of(report)
    assert again.kind == "lipsync"
    assert again.device == "two cores"


# With the real driver and the real landmarks.


@pytest.fixture(scope="module")
def models(model_dir: Callable[[str], Path]) -> tuple[Path, Path]:
    folder = model_dir("face")
    return folder / "face_detector.onnx", folder / "face_landmarks.onnx"


@pytest.fixture(scope="module")
def portrait(models: tuple[Path, Path]) -> Portrait:
    return load_portrait(asset("astronaut.png"), FaceFinder(*models))


@pytest.mark.models
def test_the_mesh_driver_is_judged_on_its_pictures(
    models: tuple[Path, Path], portrait: Portrait
) -> None:
    phones = tuple(
        Phone(symbol, 0.16 * i, 0.16 * (i + 1)) for i, symbol in enumerate("hɑmiwubəpɛʃɔ")
    )
    vowel = syllables(3.2, silent_from_s=99.0).samples.copy()
    vowel[int(0.16 * 12 * RATE) :] = 0.0
    keeping = Keeping(portrait)
    driver = MeshLipSync(portrait, is_expressive=False)
    made = take(
        driver, Speech("tones", vowel, phones), ApertureMeter(*models), watches=(keeping.watch,)
    )
    figures = mouth_figures(made)
    assert figures.aperture_r > 0.85
    assert figures.closed_by_driver.rate == figures.closed_by_detector.rate == 1.0
    assert figures.jitter_px < 0.5
    assert keeping.figures().upper_face_change < 1.0
    assert keeping.figures().sharpness > 0.85


@pytest.mark.models
def test_a_long_run_loses_no_frame(models: tuple[Path, Path], portrait: Portrait) -> None:
    driver = MeshLipSync(portrait, is_expressive=False)
    found = drift(driver, ApertureMeter(*models), syllables(2.0, silent_from_s=1.6), length_s=4.0)
    assert found.missing_frames == 0
    assert found.length_s == 4.0


@pytest.mark.models
def test_a_face_that_is_blurred_loses_its_sharpness(portrait: Portrait) -> None:
    keeping = Keeping(portrait)
    blurred = np.asarray(cv2.GaussianBlur(portrait.image, (0, 0), 2.0), np.uint8)
    for number in range(5):
        keeping.watch(Frame(blurred, number / FPS, 0.0, True))
    assert keeping.figures().sharpness < 0.8
    assert keeping.figures().upper_face_change > 1.0


@pytest.mark.models
def test_a_contact_sheet_shows_each_face_and_its_mouth(portrait: Portrait, tmp_path: Path) -> None:
    snapshots = Snapshots(Speech("m", np.zeros(RATE, np.float32), (Phone("m", 0.2, 0.3),)), FPS)
    for number in range(FPS):
        snapshots.watch(Frame(portrait.image, number / FPS, 0.0, True))
    shots = [Shot("portrait", portrait.image), *snapshots.in_order()]
    assert [shot.label for shot in shots] == ["portrait", "m"]
    write_sheet(tmp_path / "sheet.png", [Strip("mesh", portrait, shots)])
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] == 2 * 168
    assert sheet.std() > 30
