"""From a reference recording to a voiceprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from halfsecond.models.speaker.denoising import Denoiser
from halfsecond.models.speaker.encoder import MODEL_FILE, NAME, SpeakerEncoder
from halfsecond.models.speaker.reference import check_one_speaker, hear_reference
from halfsecond.models.vad.silero import SileroVad
from halfsecond.store.hashes import sha256_of
from halfsecond.voiceprint import Provenance, Voiceprint, checked_consent
from halfsecond_export.voice import coqui
from halfsecond_export.voice.coqui import CoquiEncoder


@dataclass(frozen=True)
class Request:
    """One recording to make a voiceprint of.

    consent: who agreed, and when.
    vad, encoder: directories of the catalog's `silero-vad` and `speaker-encoder`.
    today: of the file's date.
    coqui: checkpoint and config of the encoder that the voice is heard by instead; the catalog's
        still tells whether one person speaks.
    """

    reference: Path
    name: str
    consent: str
    vad: Path
    encoder: Path
    denoiser: Denoiser
    today: date
    coqui: tuple[Path, Path] | None = None


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
    if other is not None:
        values = other.embed(heard.samples)
    provenance = Provenance(
        consent=consent,
        made=request.today.isoformat(),
        encoder_sha256=sha256_of(
            request.coqui[0] if request.coqui else request.encoder / f"{MODEL_FILE}.data"
        ),
        reference_sha256=sha256_of(request.reference),
        reference_s=f"{heard.duration_s:.2f}",
        used_s=f"{heard.used_s:.2f}",
        signal_to_noise_db=f"{heard.signal_to_noise_db:.1f}",
        denoiser=heard.denoiser,
    )
    made_by = NAME if other is None else coqui.NAME
    return Voiceprint(values, made_by, request.name, provenance)
