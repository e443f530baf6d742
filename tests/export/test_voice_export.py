"""`halfsecond export voice`: speech becomes a voiceprint, and every bad reference is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from fakes import recordings
from halfsecond import audio
from halfsecond.errors import AudioError, ConfigError
from halfsecond.models.speaker.denoising import NoDenoiser, open_denoiser
from halfsecond.models.speaker.encoder import SpeakerEncoder, similarity
from halfsecond.models.speaker.reference import check_one_speaker, hear_reference
from halfsecond.models.vad.silero import SileroVad
from halfsecond.voiceprint import read_voiceprint
from halfsecond_export.cli import app

ModelDir = Callable[[str], Path]
Samples = NDArray[np.float32]

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def vad(model_dir: ModelDir) -> SileroVad:
    return SileroVad(model_dir("silero-vad") / "silero_vad.onnx")


@pytest.fixture(scope="module")
def encoder(model_dir: ModelDir) -> SpeakerEncoder:
    return SpeakerEncoder(model_dir("speaker-encoder") / "speaker_encoder.onnx")


@pytest.fixture
def reader(clips_dir: Path) -> Samples:
    return recordings.reader(clips_dir)


@pytest.fixture
def refusal(tmp_path: Path, vad: SileroVad, encoder: SpeakerEncoder) -> Callable[[Samples], str]:
    """What is said of a recording that must be refused."""

    def refused(samples: Samples) -> str:
        path = tmp_path / "ref.wav"
        audio.save_wav(path, samples)
        with pytest.raises(AudioError) as caught:
            heard = hear_reference(path, vad=vad, denoiser=NoDenoiser())
            check_one_speaker(heard.samples, encoder, path.name)
        return str(caught.value)

    return refused


def export(path: Path, out: Path, *more: str) -> Result:
    arguments = ["voice", str(path), "--name", "reader", "--out", str(out), *more]
    return CliRunner().invoke(app, arguments)


CONSENT = ("--consent", "LibriVox, public domain, 2006-02-01")


def test_a_reading_becomes_a_voiceprint_that_says_where_it_comes_from(
    tmp_path: Path, reader: Samples
) -> None:
    audio.save_wav(tmp_path / "ref.wav", reader)
    out = tmp_path / "reader.voiceprint"
    result = export(tmp_path / "ref.wav", out, *CONSENT, "--json")
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    voiceprint = read_voiceprint(out)
    assert voiceprint.name == "reader"
    assert voiceprint.encoder == told["encoder"] == "resemblyzer"
    assert voiceprint.values.shape == (256,)
    provenance = voiceprint.provenance
    assert provenance is not None
    assert provenance.consent == "LibriVox, public domain, 2006-02-01"
    assert 8 < float(provenance.used_s) < float(provenance.reference_s) < 12
    assert len(provenance.encoder_sha256) == len(provenance.reference_sha256) == 64


def test_the_same_person_is_known_by_another_sentence(
    tmp_path: Path, clips_dir: Path, reader: Samples, encoder: SpeakerEncoder
) -> None:
    audio.save_wav(tmp_path / "ref.wav", reader)
    assert export(tmp_path / "ref.wav", tmp_path / "v", *CONSENT).exit_code == 0
    voice = read_voiceprint(tmp_path / "v").values
    same = encoder.embed(audio.load(clips_dir / "librivox-0920.flac").samples)
    other = encoder.embed(recordings.president(clips_dir))
    assert similarity(voice, same) > similarity(voice, other) + 0.2


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 48_000])
def test_any_rate_and_stereo_give_the_same_voice(
    tmp_path: Path,
    reader: Samples,
    vad: SileroVad,
    encoder: SpeakerEncoder,
    rate_hz: int,
) -> None:
    import av

    stereo = np.tile(audio.resample(reader, from_hz=16_000, to_hz=rate_hz), (2, 1))
    with av.open(str(tmp_path / "ref.flac"), "w") as file:
        stream = file.add_stream("flac", rate=rate_hz, layout="stereo")
        pcm = np.ascontiguousarray((stereo.T * 32767).astype(np.int16)).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="stereo")
        frame.sample_rate = rate_hz
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    audio.save_wav(tmp_path / "ref.wav", reader)
    voices = [
        encoder.embed(hear_reference(path, vad=vad, denoiser=NoDenoiser()).samples)
        for path in (tmp_path / "ref.flac", tmp_path / "ref.wav")
    ]
    assert similarity(*voices) > 0.99


@pytest.mark.parametrize(
    ("denoiser", "package"), [("rnnoise", "pyrnnoise"), ("webrtc", "livekit.rtc")]
)
def test_noise_is_taken_out_and_the_voice_is_left(
    tmp_path: Path,
    reader: Samples,
    vad: SileroVad,
    encoder: SpeakerEncoder,
    denoiser: str,
    package: str,
) -> None:
    pytest.importorskip(package)
    noisy = recordings.mixed(reader, recordings.pink_noise(len(reader)), ratio_db=12)
    audio.save_wav(tmp_path / "noisy.wav", noisy)
    audio.save_wav(tmp_path / "clean.wav", reader)

    def heard(name: str, denoiser: str) -> Samples:
        path = tmp_path / name
        reference = hear_reference(path, vad=vad, denoiser=open_denoiser(denoiser))
        return encoder.embed(reference.samples)

    clean = heard("clean.wav", "none")
    cleaned, untouched = (
        similarity(heard("noisy.wav", kind), clean) for kind in (denoiser, "none")
    )
    assert cleaned > untouched + 0.04


def test_a_clean_recording_is_not_denoised(tmp_path: Path, reader: Samples, vad: SileroVad) -> None:
    class Spoiler(NoDenoiser):
        name = "spoiler"

        def clean(self, samples: Samples) -> Samples:
            raise AssertionError

    audio.save_wav(tmp_path / "ref.wav", reader)
    heard = hear_reference(tmp_path / "ref.wav", vad=vad, denoiser=Spoiler())
    assert heard.denoiser == ""
    assert heard.signal_to_noise_db > 25


def test_silence_is_refused(refusal: Callable[[Samples], str]) -> None:
    assert "is silent: its loudest sample is -120 dBFS" in refusal(np.zeros(80_000, np.float32))


def test_a_second_of_speech_is_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    assert "lasts 1.0 s; a voice needs 3 to 30 s" in refusal(reader[16_000:32_000])


def test_more_than_half_a_minute_is_refused(
    reader: Samples, refusal: Callable[[Samples], str]
) -> None:
    assert "at most 30 are heard; cut out the best: ffmpeg" in refusal(np.tile(reader, 3))


def test_mostly_pauses_are_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    padded = np.pad(reader[:32_000], (80_000, 80_000))
    assert "s of speech in 12.0 s; at least 3 s are needed" in refusal(padded)


def test_clipped_speech_is_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    message = refusal(np.clip(20 * reader, -1, 1).astype(np.float32))
    assert "is clipped" in message
    assert "lower the gain" in message


def test_whispers_from_afar_are_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    assert "is too quiet: speech is at -50 dBFS" in refusal(recordings.at_level(reader, -51.0))


def test_noise_alone_is_refused(refusal: Callable[[Samples], str]) -> None:
    assert "0.0 s of speech in 10.0 s" in refusal(recordings.pink_noise(160_000))


def test_speech_in_noise_is_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    noise = recordings.pink_noise(len(reader))
    message = refusal(recordings.mixed(reader, noise, ratio_db=6))
    assert "is noisy" in message
    assert "record in a quieter room" in message


def test_music_is_refused(refusal: Callable[[Samples], str]) -> None:
    assert "has music or a hum in it" in refusal(recordings.music(160_000))


def test_speech_over_music_is_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    message = refusal(recordings.mixed(reader, recordings.music(len(reader)), ratio_db=15))
    assert "has music or a hum in it" in message
    assert "take a passage without music" in message


def test_a_telephone_is_refused(reader: Samples, refusal: Callable[[Samples], str]) -> None:
    assert "holds nothing above 4 kHz" in refusal(recordings.telephone(reader))


def test_two_speakers_are_refused(
    clips_dir: Path, reader: Samples, refusal: Callable[[Samples], str]
) -> None:
    both = np.concatenate([reader, recordings.president(clips_dir)])
    message = refusal(both)
    assert "sounds like more than one speaker" in message
    assert "a stretch in which one person speaks" in message


def test_one_speaker_at_a_time_is_taken(
    clips_dir: Path, tmp_path: Path, vad: SileroVad, encoder: SpeakerEncoder
) -> None:
    for name in ("president", "reader"):
        path = tmp_path / f"{name}.wav"
        audio.save_wav(path, getattr(recordings, name)(clips_dir))
        heard = hear_reference(path, vad=vad, denoiser=NoDenoiser())
        assert check_one_speaker(heard.samples, encoder, name).shape == (256,)


@pytest.mark.parametrize("consent", ["", "yes", "Ada Lovelace", "2026-11-29"])
def test_without_who_and_when_nothing_is_written(
    tmp_path: Path, reader: Samples, consent: str
) -> None:
    audio.save_wav(tmp_path / "ref.wav", reader)
    result = export(tmp_path / "ref.wav", tmp_path / "v", "--consent", consent)
    assert isinstance(result.exception, ConfigError)
    assert "who agreed that this voice may be spoken with, and when" in str(result.exception)
    assert not (tmp_path / "v").exists()


def test_the_consent_cannot_be_left_out(tmp_path: Path) -> None:
    result = export(tmp_path / "ref.wav", tmp_path / "v")
    assert result.exit_code == 2


def test_an_unknown_denoiser_is_an_error_that_lists_the_others() -> None:
    with pytest.raises(ConfigError, match="auto, rnnoise, webrtc, none"):
        open_denoiser("magic")
