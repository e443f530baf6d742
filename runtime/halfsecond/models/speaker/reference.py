"""A recording as a reference for a voice: heard, checked, cleaned and without its pauses.

Every refusal says what was found and what to do about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import AudioError
from halfsecond.models.speaker import listening
from halfsecond.models.speaker.denoising import Denoiser
from halfsecond.models.speaker.encoder import SpeakerEncoder, mean_voice, similarity
from halfsecond.models.vad.silero import SileroVad

SHORTEST_S, LONGEST_S = 3.0, 30.0
QUIETEST_SPEECH_DBFS = -45.0
"""Quieter speech lies too near the 16-bit steps and the noise of every converter."""
NOISIEST_DB = 10.0
"""Speech over noise. With RNNoise, pink noise at 10 dB leaves voices a cosine of 0.95 and 0.90 with
their clean selves, at 5 dB of 0.92 and 0.83 (the reader and the president of `tests/clips`)."""
CLEANED_BELOW_DB = 20.0
"""A recording with less noise is left as it is: RNNoise changes a clean voice (cosine 0.97, 0.90)
as much as pink noise at 20 dB does (0.90, 0.92)."""
NARROWEST_DB = -55.0
"""Sound above 4.4 kHz against below 3.4: the clips lie above -47, telephones below -80."""
MOST_TONAL = 0.6
"""Power between words in single tones: at most 0.4 in the clips, 0.99 with chords at -30 dB."""
TONAL_BELOW_DB = 35.0
"""Speech that is louder than what is between its words by this much has only a faint hum in it."""
LEAST_ALIKE = 0.75
"""Cosine of the two groups of windows that differ most: 0.82 or more in clips of one person (n 10);
of 66 pairs of speakers one after the other, 64 lie below, at 0.61 in the median."""

_WINDOWS_PER_S = 2.5
_LEAST_PART_S = 1.0
"""Of the other speaker: less is one odd window."""


@dataclass(frozen=True)
class HeardReference:
    """What is left of the recording, and how it was."""

    samples: NDArray[np.float32]
    """(n,) mono 16 kHz: speech without pauses, cleaned."""
    duration_s: float
    signal_to_noise_db: float
    denoiser: str
    """What cleaned it; empty for a recording that needed none."""

    @property
    def used_s(self) -> float:
        return len(self.samples) / audio.RATE_HZ


def hear_reference(path: Path, *, vad: SileroVad, denoiser: Denoiser) -> HeardReference:
    """The speech of a recording that can make a voice; any rate, stereo is mixed.

    Raises:
        AudioError: the file cannot be read, or what is in it makes no voice.
    """
    return hear_recording(audio.load(path), path.name, vad=vad, denoiser=denoiser)


def hear_recording(
    recording: audio.Recording, name: str, *, vad: SileroVad, denoiser: Denoiser
) -> HeardReference:
    """As `hear_reference`, of what was decoded; `name` is what messages call it."""
    _check_level(recording, name)
    if recording.duration_s < SHORTEST_S:
        raise AudioError(
            f"{name} lasts {recording.duration_s:.1f} s; a voice needs {SHORTEST_S:g} to "
            f"{LONGEST_S:g} s, and 10 s of plain reading are best"
        )
    if recording.duration_s > LONGEST_S:
        raise AudioError(
            f"{name} lasts {recording.duration_s:.0f} s, and at most {LONGEST_S:g} are heard; cut "
            f"out the best: ffmpeg -ss 0 -t {LONGEST_S:g} -i {name} best.wav"
        )
    samples = recording.samples
    mask = listening.speech_mask(samples, vad)
    spoken = listening.spoken_samples(samples, mask)
    _check_sound(samples, mask, spoken, name)
    ratio = listening.signal_to_noise_db(samples, mask)
    is_cleaned = ratio < CLEANED_BELOW_DB
    cleaned = denoiser.clean(samples) if is_cleaned else samples
    return HeardReference(
        samples=listening.spoken_samples(cleaned, mask),
        duration_s=recording.duration_s,
        signal_to_noise_db=ratio,
        denoiser=denoiser.name if is_cleaned else "",
    )


def _check_level(recording: audio.Recording, name: str) -> None:
    level = recording.level
    if level.is_silent:
        raise AudioError(
            f"{name} is silent: its loudest sample is {level.peak_dbfs:.0f} dBFS; check that the "
            "right microphone is open and not muted, and record again"
        )
    if level.is_clipped:
        raise AudioError(
            f"{name} is clipped: {level.clipped_fraction:.1%} of its samples are at full scale, "
            "and the distortion would be part of the voice; lower the gain so that the loudest "
            "word stays below -3 dBFS, and record again"
        )


def _check_sound(
    samples: NDArray[np.float32],
    mask: listening.Mask,
    spoken: NDArray[np.float32],
    name: str,
) -> None:
    spoken_s = len(spoken) / audio.RATE_HZ
    ratio = listening.signal_to_noise_db(samples, mask)
    tonal = listening.tonal_share(samples, mask)
    if tonal > MOST_TONAL and ratio < TONAL_BELOW_DB:
        raise AudioError(
            f"{name} has music or a hum in it: {tonal:.0%} of the sound between the words lies in "
            f"single tones, {ratio:.0f} dB below the speech; take a passage without music, or "
            "record in a quiet room"
        )
    if spoken_s < SHORTEST_S:
        raise AudioError(
            f"{name} holds {spoken_s:.1f} s of speech in {len(samples) / audio.RATE_HZ:.1f} s; at "
            f"least {SHORTEST_S:g} s are needed. If somebody speaks in it, they are too quiet or "
            "buried in noise: record close to the microphone in a quiet room"
        )
    level = audio.measure(spoken).rms_dbfs
    if level < QUIETEST_SPEECH_DBFS:
        raise AudioError(
            f"{name} is too quiet: speech is at {level:.0f} dBFS, and {QUIETEST_SPEECH_DBFS:g} is "
            "the least; go nearer to the microphone or raise its gain"
        )
    if ratio < NOISIEST_DB:
        raise AudioError(
            f"{name} is noisy: speech is only {ratio:.0f} dB above what is heard between the "
            f"words, and {NOISIEST_DB:g} are needed; record in a quieter room or nearer to the "
            "microphone"
        )
    high = listening.high_band_db(spoken)
    if high < NARROWEST_DB:
        raise AudioError(
            f"{name} holds nothing above 4 kHz ({high:.0f} dB against what is below): it was "
            "recorded at 8 kHz or came over a telephone, whatever its rate is now; give a "
            "recording that was made at 16 kHz or more"
        )


def check_one_speaker(
    samples: NDArray[np.float32], encoder: SpeakerEncoder, name: str
) -> NDArray[np.float32]:
    """The voice of samples in which one person speaks.

    Raises:
        AudioError: stretches of it are too unlike to be one person.
    """
    voices = encoder.embed_windows(samples, windows_per_s=_WINDOWS_PER_S)
    parts = _two_parts(voices)
    least = max(2, round(_LEAST_PART_S * _WINDOWS_PER_S))
    if parts is not None and min(map(len, parts)) >= least:
        alike = similarity(mean_voice(parts[0]), mean_voice(parts[1]))
        if alike < LEAST_ALIKE:
            share = min(map(len, parts)) / len(voices)
            raise AudioError(
                f"{name} sounds like more than one speaker: {share:.0%} of it differ from the rest "
                f"(cosine {alike:.2f}, one speaker has at least {LEAST_ALIKE:g}); cut out a "
                "stretch in which one person speaks"
            )
    return encoder.embed(samples)


def _two_parts(voices: NDArray[np.float32]) -> Sequence[NDArray[np.float32]] | None:
    """The windows in the two groups that differ most: 2-means on the sphere; None for few."""
    if len(voices) < 4:
        return None
    cosines = voices @ voices.T
    one, other = np.unravel_index(int(np.argmin(cosines)), cosines.shape)
    centres = np.stack([voices[one], voices[other]])
    is_other = np.zeros(len(voices), np.bool_)
    for _ in range(10):
        is_other = np.asarray(np.argmax(voices @ centres.T, axis=1) == 1)
        if is_other.all() or not is_other.any():
            return None
        centres = np.stack([mean_voice(voices[~is_other]), mean_voice(voices[is_other])])
    return voices[~is_other], voices[is_other]
