"""Files and live PCM become 16 kHz mono, and what is wrong with them is said."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import AudioError


def tone(
    hz: float, *, rate_hz: int, seconds: float = 0.5, peak: float = 0.5
) -> NDArray[np.float32]:
    times = np.arange(round(rate_hz * seconds)) / rate_hz
    return (peak * np.sin(2 * np.pi * hz * times)).astype(np.float32)


def write_wav(path: Path, channels: list[NDArray[np.float32]], rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(len(channels))
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(audio.float_to_pcm16(np.stack(channels, axis=1).reshape(-1)))


def strongest_hz(samples: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum)) * audio.RATE_HZ / len(samples)


def test_an_8_khz_stereo_file_becomes_16_khz_mono_at_the_same_pitch(tmp_path: Path) -> None:
    path = tmp_path / "phone.wav"
    left = tone(440, rate_hz=8_000)
    write_wav(path, [left, left * 0.5], 8_000)
    recording = audio.load(path)
    assert (recording.source_rate_hz, recording.source_channels) == (8_000, 2)
    assert recording.duration_s == pytest.approx(0.5, abs=0.001)
    assert strongest_hz(recording.samples) == pytest.approx(440, abs=3)
    assert np.abs(recording.samples[2000:6000]).max() == pytest.approx(0.375, abs=0.005)
    assert recording.warnings == ()


@pytest.mark.parametrize(
    ("suffix", "codec"), [("flac", "flac"), ("mp3", "mp3"), ("ogg", "libopus")]
)
def test_compressed_files_are_read(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    pcm = np.frombuffer(audio.float_to_pcm16(tone(440, rate_hz=48_000)), np.int16)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(pcm[None].copy(), format="s16", layout="mono")
        frame.rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    recording = audio.load(path)
    assert recording.source_rate_hz == 48_000
    assert strongest_hz(recording.samples[1600:6400]) == pytest.approx(440, abs=5)


def test_a_silent_file_is_reported_and_no_error(tmp_path: Path) -> None:
    path = tmp_path / "muted.wav"
    write_wav(path, [np.zeros(8000, np.float32)], 16_000)
    recording = audio.load(path)
    assert recording.level.is_silent
    assert recording.level.peak_dbfs == audio.FLOOR_DBFS
    assert "silent" in recording.warnings[0]
    assert "microphone" in recording.warnings[0]


def test_a_clipped_file_is_reported_with_its_share(tmp_path: Path) -> None:
    path = tmp_path / "loud.wav"
    write_wav(path, [np.clip(tone(200, rate_hz=16_000, peak=3.0), -1, 1)], 16_000)
    recording = audio.load(path)
    assert recording.level.is_clipped
    assert recording.level.clipped_fraction > 0.7
    assert "gain" in recording.warnings[0]


def test_a_sound_file_that_is_not_clipped_is_not_reported() -> None:
    assert not audio.measure(tone(200, rate_hz=16_000, peak=0.9)).is_clipped


def test_a_full_scale_sine_is_3_db_below_full_scale() -> None:
    level = audio.measure(tone(100, rate_hz=16_000, peak=1.0))
    assert level.peak_dbfs == pytest.approx(0.0, abs=0.01)
    assert level.rms_dbfs == pytest.approx(-3.01, abs=0.01)


def test_a_file_that_is_no_audio_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "notes.wav"
    path.write_bytes(b"these are not the samples you are looking for" * 10)
    with pytest.raises(
        AudioError, match=r"notes\.wav cannot be read as audio .* give a whole file"
    ):
        audio.load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"no audio file at .*gone\.wav"):
        audio.load(tmp_path / "gone.wav")


def test_an_empty_file_and_one_without_samples_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.wav"
    empty.touch()
    with pytest.raises(AudioError, match="cannot be read"):
        audio.load(empty)
    header = tmp_path / "header.wav"
    write_wav(header, [np.zeros(0, np.float32)], 16_000)
    with pytest.raises(AudioError, match=r"no samples|cannot be read"):
        audio.load(header)


def test_a_film_without_sound_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mute.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="no audio track"):
        audio.load(path)


def test_pcm_comes_back_byte_for_byte() -> None:
    pcm = np.arange(-32768, 32768, dtype="<i2").tobytes()
    assert audio.float_to_pcm16(audio.pcm16_to_float(pcm)) == pcm


def test_what_is_beyond_full_scale_is_cut_and_does_not_wrap() -> None:
    pcm = audio.float_to_pcm16(np.array([1.5, 1.0, -1.0, -2.0], np.float32))
    assert np.frombuffer(pcm, "<i2").tolist() == [32767, 32767, -32768, -32768]


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(AudioError, match="3 bytes"):
        audio.pcm16_to_float(b"abc")


def test_a_saved_wav_is_loaded_as_it_was(tmp_path: Path) -> None:
    samples = tone(300, rate_hz=16_000)
    audio.save_wav(tmp_path / "saved.wav", samples)
    np.testing.assert_allclose(
        audio.load(tmp_path / "saved.wav").samples, samples, atol=0.6 / 32768
    )


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (44_100, 2), (48_000, 2)])
def test_live_blocks_of_any_size_give_what_one_block_gives(rate_hz: int, channels: int) -> None:
    mono = tone(500, rate_hz=rate_hz, seconds=1.0)
    pcm = audio.float_to_pcm16(np.repeat(mono, channels))
    whole = audio.LiveResampler(rate_hz=rate_hz, channels=channels)
    expected = np.concatenate([whole.push(pcm), whole.flush()])
    live = audio.LiveResampler(rate_hz=rate_hz, channels=channels)
    # 1001 bytes split samples and frames in the middle.
    blocks = [live.push(pcm[start : start + 1001]) for start in range(0, len(pcm), 1001)]
    heard = np.concatenate([*blocks, live.flush()])
    np.testing.assert_allclose(heard, expected, atol=1e-6)
    assert len(heard) == pytest.approx(audio.RATE_HZ, abs=2)
    assert strongest_hz(heard) == pytest.approx(500, abs=2)


def test_live_16_khz_mono_passes_untouched_and_at_once() -> None:
    samples = tone(500, rate_hz=16_000)
    live = audio.LiveResampler(rate_hz=16_000)
    heard = live.push(audio.float_to_pcm16(samples))
    np.testing.assert_allclose(heard, samples, atol=0.6 / 32768)
    assert len(live.flush()) == 0


@pytest.mark.parametrize(("rate_hz", "channels"), [(0, 1), (16_000, 0), (16_000, 99)])
def test_an_impossible_microphone_is_refused(rate_hz: int, channels: int) -> None:
    with pytest.raises(AudioError, match="cannot be heard"):
        audio.LiveResampler(rate_hz=rate_hz, channels=channels)
