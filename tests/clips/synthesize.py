"""Makes the synthetic clips of clips.toml that are not there yet (questions, noise, a cough).

`python tests/clips/synthesize.py KOKORO_DIR` wants Kokoro's ONNX model and `voices/`, and espeak-ng
for the one clip that it speaks. Delete a file to have it made anew; its label has to be renewed
then, with `python -m halfsecond_bench.label`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from halfsecond.audio import RATE_HZ, load, resample
from halfsecond.models.tts.kokoro import KokoroVoice
from halfsecond.models.tts.voice import SPEECH_RATE_HZ

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CLIPS = Path(__file__).parent
LEAD_S, TAIL_S = 0.3, 0.4
SPEECH_DBFS = -24.0
ROOM_DBFS = -66.0

Samples = NDArray[np.float32]


def main() -> None:
    """Makes every synthetic clip whose file is missing."""
    kokoro = Path(sys.argv[1])
    with (CLIPS / "clips.toml").open("rb") as file:
        clips = tomllib.load(file)["clip"]
    for number, clip in enumerate(clips):
        path = CLIPS / clip["file"]
        if path.exists() or "made" not in clip:
            continue
        rng = np.random.default_rng(number)
        save_flac(path, with_room(make(clip["made"], kokoro, rng), clip["made"], rng))
        print(path.name)


def make(made: dict[str, Any], kokoro: Path, rng: np.random.Generator) -> Samples:
    """The sound alone, at 16 kHz."""
    if "voice" not in made:
        make_sound = SOUNDS.get(made["sound"])
        return np.zeros(3 * RATE_HZ, np.float32) if make_sound is None else make_sound(rng)
    parts: list[Samples] = []
    for text in made["text"].split(" [pause] "):
        parts += [np.zeros(round(made.get("pause_s", 0) * RATE_HZ), np.float32)] if parts else []
        parts += [say(text, made, kokoro)]
    speech = np.concatenate(parts)
    loud = np.abs(speech) > 0.02
    return at_level(speech, SPEECH_DBFS, reference=speech[loud])


def say(text: str, made: dict[str, Any], kokoro: Path) -> Samples:
    """The text in the voice that is asked for."""
    if "phonemes" in made:
        return kokoro_sounds(made["phonemes"], made["voice"], kokoro)
    speak = espeak if made["voice"].startswith("espeak") else kokoro_speech
    return speak(text, made["voice"], kokoro)


def kokoro_speech(text: str, voice: str, kokoro: Path) -> Samples:
    """One of Kokoro's speakers."""
    speaker = KokoroVoice(kokoro / "kokoro-v1.0.int8.onnx", kokoro / "voices" / f"{voice}.bin")
    speech = np.concatenate([chunk.samples for chunk in speaker.speak(text)])
    return resample(speech, from_hz=SPEECH_RATE_HZ, to_hz=RATE_HZ)


def kokoro_sounds(phonemes: str, voice: str, kokoro: Path) -> Samples:
    """The same from phonemes, for what no dictionary holds."""
    speaker = KokoroVoice(kokoro / "kokoro-v1.0.int8.onnx", kokoro / "voices" / f"{voice}.bin")
    speech, _ = speaker._synthesize(phonemes, speed=1.0)
    return resample(speech, from_hz=SPEECH_RATE_HZ, to_hz=RATE_HZ)


def espeak(text: str, voice: str, _: Path) -> Samples:
    """The formant synthesiser, which sounds like no other voice here."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        language = voice.removeprefix("espeak-ng ")
        subprocess.run(["espeak-ng", "-v", language, "-s", "150", "-w", path, text], check=True)
        return load(path).samples


def cough(rng: np.random.Generator) -> Samples:
    """Two bursts of noise with a sharp onset and a throat's resonances: a synthetic cough."""
    throat = ((550, 350), (1500, 350), (2700, 350))
    return bursts(rng, ((0.28, 1.0), (0.35, 0.7)), gap_s=0.18, decay_s=0.09, resonances=throat)


def long_cough(rng: np.random.Generator) -> Samples:
    """A coughing fit."""
    throat = ((650, 350), (1300, 350), (2500, 350))
    lengths = ((0.3, 1.0), (0.25, 0.9), (0.4, 0.6))
    return bursts(rng, lengths, gap_s=0.12, decay_s=0.1, resonances=throat)


def click(rng: np.random.Generator) -> Samples:
    """A switch."""
    return bursts(rng, ((0.008, 1.0),), gap_s=0.1, decay_s=0.002, resonances=((3500, 1500),))


def slam(rng: np.random.Generator) -> Samples:
    """A door that falls shut, and rattles."""
    wood = ((90, 60), (240, 90), (700, 200))
    return bursts(rng, ((0.35, 1.0), (0.12, 0.3)), gap_s=0.03, decay_s=0.08, resonances=wood)


def steps(rng: np.random.Generator) -> Samples:
    """Somebody walks past."""
    floor = ((180, 80), (900, 300), (2200, 600))
    return bursts(rng, ((0.07, 0.6),) * 6, gap_s=0.4, decay_s=0.02, resonances=floor)


def bursts(
    rng: np.random.Generator,
    lengths: tuple[tuple[float, float], ...],
    *,
    gap_s: float,
    decay_s: float,
    resonances: tuple[tuple[float, float], ...],
) -> Samples:
    """Decaying noise through resonances (hz, width): one burst for each (seconds, gain)."""
    parts: list[Samples] = []
    for length_s, gain in lengths:
        n = round(length_s * RATE_HZ)
        envelope = np.minimum(1, np.arange(n) / 80) * np.exp(-np.arange(n) / (decay_s * RATE_HZ))
        spectrum = np.fft.rfft(rng.normal(size=n) * envelope * gain)
        hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
        shape = sum(np.exp(-(((hz - peak) / width) ** 2)) for peak, width in resonances) + 0.15
        parts += [np.fft.irfft(spectrum * shape, n).astype(np.float32)]
        parts += [np.zeros(round(gap_s * RATE_HZ), np.float32)]
    whole = np.concatenate(parts)
    loudest: Samples = whole / np.abs(whole).max() * np.float32(0.5)
    return loudest


SOUNDS = {
    "cough": cough,
    "cough long": long_cough,
    "click": click,
    "slam": slam,
    "steps": steps,
}


def with_room(sound: Samples, made: dict[str, Any], rng: np.random.Generator) -> Samples:
    """The sound with a lead and a tail, in a quiet room or in the noise that is asked for."""
    lead = np.zeros(round(LEAD_S * RATE_HZ), np.float32)
    tail = np.zeros(round(TAIL_S * RATE_HZ), np.float32)
    padded = np.concatenate([lead, sound, tail])
    room_dbfs = SPEECH_DBFS - made["snr_db"] if "snr_db" in made else made.get("dbfs", ROOM_DBFS)
    return padded + at_level(pink(len(padded), rng), room_dbfs)


def pink(n: int, rng: np.random.Generator) -> Samples:
    """Noise that falls by 3 dB an octave from 60 Hz, as ventilation and distant crowds do."""
    spectrum = np.fft.rfft(rng.normal(size=n))
    hz = np.fft.rfftfreq(n, 1 / RATE_HZ)
    return np.fft.irfft(spectrum / np.sqrt(np.maximum(hz, 60)), n).astype(np.float32)


def at_level(sound: Samples, dbfs: float, *, reference: Samples | None = None) -> Samples:
    """The sound with its (or the reference's) effective value at `dbfs`."""
    measured = sound if reference is None else reference
    rms = float(np.sqrt(np.mean(np.square(measured, dtype=np.float64))))
    leveled: Samples = sound * np.float32(10 ** (dbfs / 20) / rms)
    return leveled


def save_flac(path: Path, samples: Samples) -> None:
    """Writes 16-bit mono FLAC at 16 kHz."""
    pcm = np.clip(np.rint(samples * 32767), -32768, 32767).astype(np.int16)
    with av.open(str(path), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=RATE_HZ, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.rate = RATE_HZ
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
