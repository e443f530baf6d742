"""A visitor's file becomes a face or a voice, or is refused as `halfsecond export` would."""

from __future__ import annotations

from pathlib import Path

from halfsecond.errors import AudioError, ConfigError, PortraitError
from halfsecond.store.hashes import sha256_of
from halfsecond.uploads.job import Job, Made
from halfsecond.voiceprint import Provenance, Voiceprint, checked_consent, encode_voiceprint

VISITOR = "visitor"
UPLOAD_NAME = "the picture"
"""Files of visitors have no names here: they may say who somebody is."""


def make(job: Job) -> Made:
    """What becomes of the file; a refusal is an answer, too.

    Raises:
        ModelError: a model of ours cannot be opened.
    """
    try:
        return _portrait(job) if job.kind == "portrait" else _voice(job)
    except (PortraitError, AudioError) as error:
        return Made(reason=error.reason, message=str(error))
    except ConfigError as error:
        return Made(reason="no_consent", message=str(error))
    except MemoryError:
        return Made(
            reason="too_large",
            message="the file needs more memory than there is; give a smaller one",
        )


def _portrait(job: Job) -> Made:
    from halfsecond.models.face.finder import FaceFinder
    from halfsecond.models.face.picture import BACKDROP, decode_picture
    from halfsecond.models.face.picture_file import examine_picture
    from halfsecond.models.face.portrait import frame_portrait
    from halfsecond.models.lipsync.avatar import Avatar
    from halfsecond.models.lipsync.avatar_checks import checks_of
    from halfsecond.models.lipsync.avatar_file import pack_avatar

    file = examine_picture(job.data, most_megapixels=job.most_megapixels)
    image = decode_picture(file.data, UPLOAD_NAME).on(BACKDROP)
    folder = Path(job.models["face"])
    finder = FaceFinder(folder / "face_detector.onnx", folder / "face_landmarks.onnx")
    portrait = frame_portrait(image, finder, size=job.size)
    avatar = Avatar.of(portrait)
    if missed := [check for check in checks_of(avatar, finder) if not check.is_met]:
        raise PortraitError(
            f"the mouth cannot be drawn well on this face ({missed[0].what}: {missed[0].value:g}); "
            "use a picture from the front with the mouth closed",
            reason="mouth_not_drawn",
        )
    return Made(product=pack_avatar(avatar), message=portrait.advice)


def _voice(job: Job) -> Made:
    from halfsecond.models.speaker.denoising import open_denoiser
    from halfsecond.models.speaker.encoder import MODEL_FILE, NAME, SpeakerEncoder
    from halfsecond.models.speaker.recording_file import NAME as RECORDING
    from halfsecond.models.speaker.recording_file import decode_recording
    from halfsecond.models.speaker.reference import LONGEST_S, check_one_speaker, hear_recording
    from halfsecond.models.vad.silero import SileroVad

    consent = checked_consent(job.consent)
    recording = decode_recording(job.data, most_s=LONGEST_S + 1)
    vad = SileroVad(Path(job.models["silero-vad"]) / "silero_vad.onnx")
    weights = Path(job.models["speaker-encoder"]) / MODEL_FILE
    encoder = SpeakerEncoder(weights)
    heard = hear_recording(recording, RECORDING, vad=vad, denoiser=open_denoiser("auto"))
    provenance = Provenance(
        consent=consent,
        made=job.today,
        encoder_sha256=sha256_of(Path(f"{weights}.data")),
        reference_sha256="",  # of what is kept nowhere, nothing is to be recognised later
        reference_s=f"{heard.duration_s:.2f}",
        used_s=f"{heard.used_s:.2f}",
        signal_to_noise_db=f"{heard.signal_to_noise_db:.1f}",
        denoiser=heard.denoiser,
    )
    values = check_one_speaker(heard.samples, encoder, RECORDING)
    return Made(product=encode_voiceprint(Voiceprint(values, NAME, VISITOR, provenance)))
