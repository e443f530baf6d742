"""A question while it is being said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Utterance:
    """What one visitor says until it is answered; positions in samples of the microphone."""

    from_sample: int
    """Where its audio begins: a little before the speech, or at the question it goes on with."""
    sound_from: int
    """Where the audio of its newest stretch of speech begins."""
    at_sample: int
    """Where the newest stretch of speech begins."""
    last_sample: int | None = None
    """Just after the last speech; None while it goes on."""
    is_over: bool = False
    """The longest silence, or the longest length, has ended it."""
    goes_on: bool = False
    """It goes on with the question that is being answered."""
