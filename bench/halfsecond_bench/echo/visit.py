"""Answers that are played into the microphone of the one who is to hear the visitor.

Everything is simulated on one clock, sample by sample: the way to the client, what it buffers, the
room, the microphone's blocks and their way back. The server's side is the real one: reference,
clock, canceller, voice activity detector and segmenter.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr
from numpy.typing import NDArray

from halfsecond.models.echo.canceller import EchoCanceller
from halfsecond.models.vad.segmenter import Segmenter, SpeechStarted
from halfsecond.stages.echo import EchoCancellation
from halfsecond_bench.echo.room import Room, at_level, room_tone

RATE_HZ = 16_000
SPEECH_RATE_HZ = 24_000
BLOCK = 320
PACKET = 2400
UPLINK_S = 0.01
STOP_S = 0.06
"""From the decision that somebody speaks to the loudspeaker falling silent."""
REPORT_S = 0.2
"""How often the client tells what it has played."""


@dataclass(frozen=True)
class Link:
    """What lies between the server and the client's ears."""

    name: str
    delay_s: float
    """From the first packet's leaving to its being heard."""
    jitter_s: float = 0.0
    """Of every block's arrival and of every answer's beginning, to both sides."""
    drift: float = 0.0
    """How much faster the microphone's clock is than the server's."""
    reports: bool = False
    """Whether the client tells its playhead."""


@dataclass
class Scene:
    """Who speaks when, and how loud."""

    answers: Sequence[NDArray[np.float32]]
    """24 kHz."""
    starts_s: Sequence[float]
    """When the first packet of each is handed over."""
    echo_dbfs: float
    length_s: float
    visitor: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    """(n,) at 16 kHz and its level."""
    visitor_s: float = 0.0
    stops_when_heard: bool = False
    """Whether the answer stops once a visitor is heard, as it does in a conversation."""


@dataclass
class Heard:
    """What the server made of it."""

    starts: list[tuple[float, float]]
    """(where speech began, when that was decided), seconds of microphone audio."""
    samples: NDArray[np.float32]
    """What a recogniser is given."""
    audible: NDArray[np.float32]


@dataclass
class Visit:
    """One scene in one room over one link; `run` once."""

    scene: Scene
    room: Room
    link: Link
    seed: int
    reference_error_s: float = 0.0
    """A fault to be seeded: the reference is this late."""

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)
        self._now_s = 0.0
        scene = self.scene
        n = int(scene.length_s * RATE_HZ)
        self._begin_s = [
            start_s + self.link.delay_s + self._jitter_s() for start_s in scene.starts_s
        ]
        self._loudspeaker = np.zeros(n, np.float32)
        for begin_s, samples in zip(self._begin_s, scene.answers, strict=True):
            resampled = soxr.resample(samples, SPEECH_RATE_HZ, RATE_HZ)
            at = int(begin_s * RATE_HZ)
            self._loudspeaker[at : at + len(resampled)] = resampled[: n - at]
        echo = self.room.echo(self._loudspeaker)
        self._gain = 0.0
        if scene.answers:
            self._gain = float(np.max(at_level(echo, scene.echo_dbfs)) / np.max(echo))
        self._others = room_tone(n, seed=self.seed)
        at = int(scene.visitor_s * RATE_HZ)
        self._others[at : at + len(scene.visitor)] += scene.visitor[: n - at]
        self._microphone = self._hear_room()

    def _jitter_s(self) -> float:
        return float(self._random.uniform(0, 2 * self.link.jitter_s))

    def _hear_room(self) -> NDArray[np.float32]:
        heard = self._others + self._gain * self.room.echo(self._loudspeaker)
        if self.link.drift:
            heard = soxr.resample(heard, RATE_HZ, RATE_HZ * (1 + self.link.drift))
        return np.asarray(heard, np.float32)

    def run(
        self,
        canceller: EchoCanceller,
        *,
        hear: Callable[[NDArray[np.float32]], list[float]],
        segmenter: Segmenter,
    ) -> Heard:
        """Plays the scene through the server's side.

        hear: the speech probabilities of the windows that are full with a block.
        """
        echo = EchoCancellation(canceller, now=lambda: self._now_s)
        heard = Heard([], np.zeros(0, np.float32), np.zeros(0, np.float32))
        samples: list[NDArray[np.float32]] = []
        audible: list[NDArray[np.float32]] = []
        windows = 0
        for at_s, what, number in self._events():
            self._now_s = at_s
            if what == "answer":
                self._hand_over(echo, number)
            elif what == "report":
                self._report(echo, at_s)
            else:
                block = self._microphone[number * BLOCK : (number + 1) * BLOCK]
                cleaned = echo.clean(block, at_s - self.reference_error_s)
                samples.append(cleaned.samples)
                audible.append(cleaned.audible)
                for probability in hear(cleaned.audible):
                    windows += 1
                    for event in segmenter.push(probability):
                        if isinstance(event, SpeechStarted):
                            decided_s = windows * 512 / RATE_HZ
                            heard.starts.append((event.at_sample / RATE_HZ, decided_s))
                            self._stop(echo)
        heard.samples, heard.audible = np.concatenate(samples), np.concatenate(audible)
        return heard

    def _events(self) -> list[tuple[float, str, int]]:
        """Everything that reaches the server, in the order of time."""
        events = [(at_s, "answer", i) for i, at_s in enumerate(self.scene.starts_s)]
        arrived_s = 0.0
        for number in range(len(self._microphone) // BLOCK):
            taken_s = (number + 1) * BLOCK / RATE_HZ / (1 + self.link.drift)
            arrived_s = max(arrived_s, taken_s + UPLINK_S + self._jitter_s())
            events.append((arrived_s, "block", number))
        if self.link.reports:
            times = np.arange(0.0, self.scene.length_s, REPORT_S)
            events += [(t + UPLINK_S + self._jitter_s(), "report", i) for i, t in enumerate(times)]
        heapq.heapify(events)
        return [heapq.heappop(events) for _ in range(len(events))]

    def _hand_over(self, echo: EchoCancellation, number: int) -> None:
        samples = self.scene.answers[number]
        for start in range(0, len(samples), PACKET):
            echo.played.add(number, samples[start : start + PACKET])

    def _report(self, echo: EchoCancellation, at_s: float) -> None:
        told_s = at_s - UPLINK_S
        for number, begin_s in enumerate(self._begin_s):
            position_s = told_s - begin_s
            if 0 <= position_s < len(self.scene.answers[number]) / SPEECH_RATE_HZ:
                echo.played.report(number, position_s)

    def _stop(self, echo: EchoCancellation) -> None:
        if self.scene.stops_when_heard:
            echo.played.stop()
            self._loudspeaker[int((self._now_s + STOP_S) * RATE_HZ) :] = 0.0
            self._microphone = self._hear_room()
