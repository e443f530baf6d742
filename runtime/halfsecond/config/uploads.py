"""What visitors may bring with them."""

from __future__ import annotations

from halfsecond.config.section import Section


class UploadsConfig(Section, frozen=True, kw_only=True):
    """Photos and voices that visitors bring for their own session. They stay in memory, are written
    nowhere, and are gone with the session (docs/security.md). Nothing is taken unless you say so.
    """

    takes_portraits: bool = False
    """Whether a visitor's photo may become the face of their session. Wants `face.model`."""
    takes_voices: bool = False
    """Whether the session may speak with a visitor's voice, if they say who agreed and when. Wants
    the models `silero-vad` and `speaker-encoder`, and a voice of `halfsecond export tts` that takes
    Resemblyzer's voiceprints."""
    max_mb: float = 8.0
    """Of one file."""
    max_megapixels: float = 50.0
    """Of a photo, whatever its file's size."""
    per_session: int = 10
    """Files that one session may send, refused ones counted."""
    time_limit_s: float = 20.0
    """For one file to be checked and made ready; also for it to come in."""
