"""The instruments that judge an exported generator, and what is made of their readings."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond.artifact import Artifact, Check
from halfsecond_export.wav2lip.parity import (
    LEAST_MOTION,
    Likeness,
    checks,
    correlation,
    motion,
    mouth_ssim,
    reasons,
)

NAN = float("nan")


def pictures(count: int = 3, *, seed: int = 0) -> NDArray[np.uint8]:
    small = np.random.default_rng(seed).integers(40, 200, (count, 12, 12, 3), np.uint8)
    return small.repeat(8, axis=1).repeat(8, axis=2)


def talking(count: int = 50) -> NDArray[np.float32]:
    return (0.05 + 0.04 * np.sin(np.arange(count) / 3)).astype(np.float32)


def likeness(ssim: float, r: float, motion: float = 0.02) -> Likeness:
    return Likeness(100, 0.01, 0.001, ssim, r, motion)


def artifact(found: tuple[Check, ...]) -> Artifact:
    return Artifact(
        kind="wav2lip", precision="int8", runtime="onnxruntime", sources={}, files={},
        libraries={}, rebuild="", checks=found,
    )  # fmt: skip


def test_the_same_mouth_has_a_similarity_of_one_and_noise_costs_some() -> None:
    clean = pictures()
    noise = np.random.default_rng(1).normal(0, 8, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert mouth_ssim(clean, clean) == pytest.approx(1.0)
    assert 0.5 < mouth_ssim(clean, noisy) < 0.99
    assert mouth_ssim(clean, pictures(seed=5)) < 0.3


def test_only_the_mouth_counts() -> None:
    clean = pictures()
    changed = clean.copy()
    changed[:, :40] = 0
    assert mouth_ssim(clean, changed) == pytest.approx(1.0)
    changed[:, 60:65, 40:50] = 0
    assert mouth_ssim(clean, changed) < 0.95


def test_a_mouth_that_follows_correlates_and_one_that_runs_on_its_own_does_not() -> None:
    source = talking()
    assert correlation(source, 0.5 * source + 0.01) == pytest.approx(1.0)
    assert abs(correlation(source, np.roll(source, 5))) < 0.5
    assert correlation(source, -source) == pytest.approx(-1.0)


def test_frames_that_were_not_seen_are_left_out() -> None:
    source, other = talking(), talking()
    other[::5] = NAN
    assert correlation(source, other) == pytest.approx(1.0)


def test_a_mouth_that_only_jitters_does_not_move() -> None:
    noise = np.random.default_rng(0).normal(0.05, 0.3 * LEAST_MOTION, 50).astype(np.float32)
    assert motion(noise) < LEAST_MOTION < motion(talking())
    assert motion(np.full(50, NAN, np.float32)) == 0.0


def test_a_copy_that_does_not_move_or_is_no_face_follows_nothing() -> None:
    assert correlation(talking(), np.full(50, 0.05, np.float32)) == 0.0
    assert correlation(talking(), np.full(50, NAN, np.float32)) == 0.0


def test_an_artifact_within_tolerance_whose_control_fails_is_usable() -> None:
    found = checks(likeness(0.98, 0.97), likeness(0.6, 0.1), "int8")
    assert not artifact(found).is_rejected
    assert {c.what: c.value for c in found}["mouth SSIM"] == 0.98
    assert all(c.n == 100 for c in found)


@pytest.mark.parametrize(
    ("found", "control", "reason"),
    [
        ((0.96, 0.99), (0.6, 0.1), "mouth SSIM is 0.9600, expected at least 0.97"),
        ((0.99, 0.90), (0.6, 0.1), "aperture correlation is 0.9000, expected at least 0.95"),
        ((0.99, 0.99), (0.98, 0.1), "mouth SSIM with channels moved is 0.9800, expected at most"),
        ((0.99, 0.99), (0.6, 0.96), "aperture correlation with channels moved is 0.9600"),
        (
            (0.99, 0.99, 0.001),
            (0.6, 0.1),
            "motion of the source's mouth is 0.0010, expected at least",
        ),
    ],
)
def test_what_misses_is_rejected_with_the_reason(
    found: tuple[float, ...], control: tuple[float, float], reason: str
) -> None:
    judged = artifact(checks(likeness(*found), likeness(*control), "int8"))
    assert judged.is_rejected
    assert any(reason in given for given in reasons(judged))


def test_fp16_is_held_to_more_than_int8() -> None:
    near = likeness(0.98, 0.97)
    assert artifact(checks(near, likeness(0.6, 0.1), "fp16")).is_rejected
