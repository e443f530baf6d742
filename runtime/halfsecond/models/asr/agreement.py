"""Which words of a growing utterance will stay: those on which two hypotheses in a row agree.

LocalAgreement-2: Macháček, Dabre, Bojar, "Turning Whisper into Real-Time Transcription System"
(2023). The end of a hypothesis changes when more is heard, what two in a row begin with rarely.
"""

from __future__ import annotations

from collections.abc import Sequence

from halfsecond.models.asr.words import common_prefix


class Agreement:
    """Takes hypotheses of the same growing speech, and commits what two in a row begin with.

    Words are compared without case and punctuation. Committed ones are never retracted: every
    later hypothesis is of what follows them.
    """

    def __init__(self) -> None:
        self.committed: list[str] = []
        """As the later of the two hypotheses wrote them."""
        self._latest: list[str] = []
        self._agreed = 0

    def add(self, hypothesis: Sequence[str]) -> None:
        """Takes the next hypothesis of what follows the committed words."""
        self._agreed = common_prefix(hypothesis, self._latest)
        self._latest = list(hypothesis)

    def commit(self) -> int:
        """Commits the words that the last two hypotheses agree on; gives how many."""
        agreed, self._agreed = self._agreed, 0
        self.committed += self._latest[:agreed]
        self._latest = self._latest[agreed:]
        return agreed
