"""From a reference recording to a voiceprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halfsecond.models.speaker.denoising import Denoiser
from halfsecond.models.speaker.encoder import MODEL_FILE, NAME, SpeakerEncoder
from halfsecond.models.speaker.reference import check_one_speaker, hear_reference
from halfsecond.models.tts.kokoro import KOKORO_FILE, STYLE_ENCODER
from halfsecond.models.vad.silero import SileroVad
from halfsecond.store.hashes import sha256_of
from halfsecond.voiceprint import Provenance, Voiceprint, checked_consent
from halfsecond_export.voice import coqui
from halfsecond_export.voice.coqui import CoquiEncoder


@dataclass(frozen=True)
class KokoroRequest:
    """How a style of Kokoro is fitted.

    directory: of the catalog's `kokoro`. language: "en" or "zh". steps: see `KokoroFit.fit`.
    """

    directory: Path
    language: str = "en"
    steps: int = 60


@dataclass(frozen=True)
class Request:
    """One recording to make a voiceprint of.

    consent: who agreed, and when.
    vad, encoder: directories of the catalog's `silero-vad` and `speaker-encoder`.
    today: of the file's date.
    coqui: checkpoint and config of the encoder that the voice is heard by instead; the catalog's
        still tells whether one person speaks.
    kokoro: the voiceprint is a style of Kokoro that is fitted to the recording.
    """

    reference: Path
    name: str
    consent: str
    vad: Path
    encoder: Path
    denoiser: Denoiser
    today: date
    coqui: tuple[Path, Path] | None = None
    kokoro: KokoroRequest | None = None


def make_voiceprint(request: Request, *, progress: Callable[[float, str], None]) -> Voiceprint:
    """The voiceprint of a reference, every check passed.

    Raises:
        ConfigError: the consent does not say who and when.
        AudioError: the recording makes no voice.
        ModelMissingError, ModelCorruptError: a model cannot be opened.
    """
    consent = checked_consent(request.consent)
    progress(0.0, "opening the models")
    vad = SileroVad(request.vad / "silero_vad.onnx")
    encoder = SpeakerEncoder(request.encoder / MODEL_FILE)
    other = None if request.coqui is None else CoquiEncoder(*request.coqui)
    progress(0.3, "checking the recording")
    heard = hear_reference(request.reference, vad=vad, denoiser=request.denoiser)
    progress(0.7, "hearing the voice")
    values = check_one_speaker(heard.samples, encoder, request.reference.name)
    encoder.close()
    made_by, weights, likeness = NAME, request.encoder / f"{MODEL_FILE}.data", ""
    if other is not None and request.coqui is not None:
        values, made_by, weights = other.embed(heard.samples), coqui.NAME, request.coqui[0]
    elif request.kokoro is not None:
        values, likeness = _style(request.kokoro, request.encoder, heard.samples, progress)
        made_by, weights = STYLE_ENCODER, request.kokoro.directory / KOKORO_FILE
    provenance = Provenance(
        consent=consent,
        made=request.today.isoformat(),
        encoder_sha256=sha256_of(weights),
        reference_sha256=sha256_of(request.reference),
        reference_s=f"{heard.duration_s:.2f}",
        used_s=f"{heard.used_s:.2f}",
        signal_to_noise_db=f"{heard.signal_to_noise_db:.1f}",
        denoiser=heard.denoiser,
        likeness=likeness,
    )
    return Voiceprint(values, made_by, request.name, provenance)


def _style(
    request: KokoroRequest,
    encoder: Path,
    samples: NDArray[np.float32],
    progress: Callable[[float, str], None],
) -> tuple[NDArray[np.float32], str]:
    """The fitted style, and how like the recording it speaks."""
    from halfsecond_export.voice.kokoro import KokoroFit

    fit = KokoroFit(request.directory, encoder)
    try:
        fitted = fit.fit(samples, language=request.language, steps=request.steps, progress=progress)
    finally:
        fit.close()
    return fitted.style, f"{fitted.likeness:.3f}"
