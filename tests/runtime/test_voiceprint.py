"""The voiceprint's file: what is in it comes back, and nobody's voice is in one without consent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from halfsecond.errors import (
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.models.tts.kokoro import STYLE_ENCODER, style_of
from halfsecond.models.tts.registry import open_voice
from halfsecond.voiceprint import (
    FORMAT,
    Provenance,
    Voiceprint,
    checked_consent,
    read_voiceprint,
    write_voiceprint,
)

VALUES = np.random.default_rng(0).standard_normal(256).astype(np.float32)
PROVENANCE = Provenance(
    consent="Ada Lovelace, in writing, 2026-11-29",
    made="2026-11-29",
    encoder_sha256="ab" * 32,
    reference_sha256="cd" * 32,
    reference_s="12.10",
    used_s="9.87",
    signal_to_noise_db="41.5",
)
ADA = Voiceprint(VALUES, "resemblyzer", "ada", PROVENANCE)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    write_voiceprint(tmp_path / "ada.voiceprint", ADA)
    found = read_voiceprint(tmp_path / "ada.voiceprint")
    np.testing.assert_array_equal(found.values, VALUES)
    assert (found.encoder, found.name, found.provenance) == ("resemblyzer", "ada", PROVENANCE)


def test_other_tools_read_it_as_safetensors(tmp_path: Path) -> None:
    write_voiceprint(tmp_path / "ada.voiceprint", ADA)
    tensors = load_file(tmp_path / "ada.voiceprint")
    np.testing.assert_array_equal(tensors["voiceprint"], VALUES)


def test_another_encoder_s_voiceprint_is_refused() -> None:
    np.testing.assert_array_equal(ADA.for_encoder("resemblyzer"), VALUES)
    with pytest.raises(UnsupportedModelError, match=r"by .* resemblyzer, and .* those of yourtts"):
        ADA.for_encoder("yourtts")


@pytest.mark.parametrize("consent", ["", "yes", "Ada Lovelace", "2026-11-29", "x 1"])
def test_a_person_s_voice_needs_a_name_and_a_day(tmp_path: Path, consent: str) -> None:
    with pytest.raises(ConfigError, match="who agreed"):
        checked_consent(consent)
    without = replace(ADA, provenance=replace(PROVENANCE, consent=consent))
    with pytest.raises(ConfigError, match="who agreed"):
        write_voiceprint(tmp_path / "v", without)
    assert not (tmp_path / "v").exists()


def test_a_file_whose_consent_was_taken_out_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "ada.voiceprint"
    write_voiceprint(path, ADA)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]["consent"]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    with pytest.raises(ConfigError, match="who agreed"):
        read_voiceprint(path)


def test_what_is_nobody_s_needs_no_consent(tmp_path: Path) -> None:
    write_voiceprint(tmp_path / "v", Voiceprint(VALUES, "resemblyzer"))
    assert read_voiceprint(tmp_path / "v").provenance is None


def test_missing_cut_and_empty_ones_are_named(tmp_path: Path) -> None:
    path = tmp_path / "ada.voiceprint"
    with pytest.raises(ModelMissingError, match="export voice"):
        read_voiceprint(path)
    write_voiceprint(path, ADA)
    whole = path.read_bytes()
    for length in range(0, len(whole), 61):
        path.write_bytes(whole[:length])
        with pytest.raises(ModelCorruptError, match="holds no voiceprint"):
            read_voiceprint(path)
    with pytest.raises(ConfigError, match="not finite, or all zero"):
        write_voiceprint(path, replace(ADA, values=np.zeros(256, np.float32)))


@pytest.mark.parametrize("given", ["file", "voiceprint"])
def test_an_engine_with_one_speaker_says_who_takes_a_voiceprint(given: str, tmp_path: Path) -> None:
    refused = pytest.raises(
        ConfigError, match=r"hibari cannot speak with the voiceprint .*ada.* --engine kokoro"
    )
    with refused:
        if given == "file":
            open_voice("hibari", tmp_path, speaker=str(tmp_path / "ada.voiceprint"))
        else:
            open_voice("hibari", tmp_path, voiceprint=replace(ADA, name="ada"))


def test_kokoro_wants_voiceprints_under_their_own_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ada\.voiceprint is a voiceprint.* tts\.voiceprint"):
        open_voice("kokoro", tmp_path, speaker=str(tmp_path / "ada.voiceprint"))


def test_kokoro_takes_only_its_own_styles() -> None:
    style = np.linspace(-0.1, 0.1, 256, dtype=np.float32)
    np.testing.assert_array_equal(style_of(Voiceprint(style, STYLE_ENCODER)), style)
    with pytest.raises(UnsupportedModelError, match=r"resemblyzer.*kokoro-82m.*--engine kokoro"):
        style_of(Voiceprint(style, "resemblyzer"))
    with pytest.raises(ModelCorruptError, match="has 255 numbers, and a style of Kokoro has 256"):
        style_of(Voiceprint(style[1:], STYLE_ENCODER))


def test_a_file_from_before_there_was_a_likeness_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ada.voiceprint"
    write_voiceprint(path, ADA)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    del header["__metadata__"]["likeness"]
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    assert read_voiceprint(path).provenance == PROVENANCE


@pytest.mark.parametrize("kept", [0, 5, 40, 200, 900])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "cut.safetensors"
    write_voiceprint(path, Voiceprint(VALUES, "encoder-1"))
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelCorruptError, match="holds no voiceprint"):
        read_voiceprint(path)


@pytest.mark.parametrize(
    ("tensors", "metadata", "reason"),
    [
        ({"weights": VALUES}, {"format": FORMAT, "encoder": "e"}, "voiceprint"),
        ({"voiceprint": VALUES}, {"format": "other", "encoder": "e"}, "its format is 'other'"),
        ({"voiceprint": VALUES}, {"format": FORMAT}, "encoder"),
        ({"voiceprint": VALUES.reshape(2, 128)}, {"format": FORMAT, "encoder": "e"}, r"\[2, 128\]"),
        ({"voiceprint": VALUES * np.nan}, {"format": FORMAT, "encoder": "e"}, "not finite"),
        ({"voiceprint": VALUES * 0}, {"format": FORMAT, "encoder": "e"}, "all zero"),
    ],
)
def test_what_is_no_voiceprint_is_refused_with_the_reason(
    tmp_path: Path, tensors: dict[str, np.ndarray], metadata: dict[str, str], reason: str
) -> None:
    save_file(tensors, tmp_path / "other.safetensors", metadata)
    with pytest.raises(ModelCorruptError, match=reason):
        read_voiceprint(tmp_path / "other.safetensors")


def test_numbers_that_are_none_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not finite, or all zero"):
        write_voiceprint(tmp_path / "x.safetensors", Voiceprint(VALUES * 0, "encoder-1"))
    assert not list(tmp_path.iterdir())
