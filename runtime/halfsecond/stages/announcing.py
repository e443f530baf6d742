"""What a session tells its client of itself: its state, the words it hears, how turns end."""

from __future__ import annotations

import structlog

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.errors import HalfsecondError
from halfsecond.stages.turn import Turn

log = structlog.get_logger(__name__)

INTERNAL = "the server failed on this session; see its log"


class Announcer:
    """Puts a session's own messages into its outbox; those of an answer come from its turn."""

    def __init__(self, session: str, outbox: Outbox) -> None:
        self.generation = 0
        """Of what is shown now; clients drop what is older."""
        self._session = session
        self._outbox = outbox
        self._told: tuple[wire.State, int] = ("idle", 0)

    @property
    def state(self) -> wire.State:
        """What the client was told last."""
        return self._told[0]

    def tell_state(self, state: wire.State, turn: Turn | None = None) -> None:
        """Says so, unless it was said already."""
        number = turn.settings.number if turn else 0
        if (state, number) == self._told:
            return
        self._told = (state, number)
        self._outbox.put(
            wire.StateChange(
                session=self._session, turn=number, generation=self.generation, state=state
            )
        )

    def tell_speech(self, *, at_s: float, is_speaking: bool) -> None:
        """The visitor begins or ends to speak, `at_s` seconds into the microphone's audio."""
        self._outbox.put(
            wire.Speech(
                session=self._session,
                generation=self.generation,
                pts=at_s,
                is_speaking=is_speaking,
            )
        )

    def tell_partial(self, text: str) -> None:
        """What was heard so far of a question that goes on."""
        self._outbox.put(
            wire.Transcript(
                session=self._session, generation=self.generation, text=text, is_final=False
            )
        )

    def tell_end(self, turn: Turn, reason: wire.TurnEndReason) -> None:
        """How a turn ended, and when everything in it happened."""
        timeline = turn.timeline
        self._outbox.put(
            wire.TurnEnd(
                session=self._session,
                turn=turn.settings.number,
                generation=self.generation,
                pts=round(turn.playback.sent_s, 6),
                reason=reason,
                marks=timeline.marks,
                spans=[(s.stage, s.detail, s.start_s, s.end_s) for s in timeline.spans],
            )
        )

    def tell_error(self, code: str, message: str) -> None:
        """Something went wrong; the session goes on."""
        self._outbox.put(wire.Error(session=self._session, code=code, message=message))

    def tell_failure(self, what: str, failure: BaseException, **details: object) -> None:
        """Into the log and to the client, who learns nothing of faults that are ours.

        what, details: the event and the fields of the log's line.
        """
        if isinstance(failure, HalfsecondError):
            log.error(what, session=self._session, **details, error=str(failure))
            self.tell_error("stage_failed", str(failure))
        else:
            self.tell_fault(what, failure, **details)

    def tell_fault(self, what: str, fault: BaseException, **details: object) -> None:
        """The same of a fault that is ours, whatever it is: the client only learns that it was."""
        log.error(what, session=self._session, **details, exc_info=fault)
        self.tell_error("internal", INTERNAL)
