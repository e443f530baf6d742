"""What Prometheus reads: counts and distributions, named for what they mean."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from halfsecond.errors import ConfigError
from halfsecond.timeline import Timeline

LATENCY_BUCKETS_S = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)
SPAN_BUCKETS_S = (0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0)
AV_BUCKETS_S = (-0.25, -0.125, -0.08, -0.04, 0.0, 0.02, 0.045, 0.08, 0.125, 0.25, 0.5, 1.0)
"""With the limits of what viewers notice (see `stages/av_offset.py`) among them."""


class Metrics:
    """One registry of its own, so that an embedding program's metrics stay apart."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions = Gauge("halfsecond_sessions", "Open sessions", registry=self.registry)
        self.turns = Counter(
            "halfsecond_turns", "Turns by how they ended", ["reason"], registry=self.registry
        )
        self.wasted_drafts = Counter(
            "halfsecond_wasted_drafts",
            "Answers begun in a pause and dropped because the visitor went on",
            registry=self.registry,
        )
        self.wasted_s = Counter(
            "halfsecond_wasted_seconds",
            "Time that stages worked on answers that were dropped before anybody knew of them",
            ["stage"],
            registry=self.registry,
        )
        self.reopened_turns = Counter(
            "halfsecond_reopened_turns",
            "Answers that were dropped because the visitor had only paused",
            registry=self.registry,
        )
        self.dropped_pictures = Counter(
            "halfsecond_dropped_pictures",
            "Video frames that a slow client lost",
            registry=self.registry,
        )
        self._add_av()
        self.rejected_messages = Counter(
            "halfsecond_rejected_messages",
            "Messages that broke the protocol",
            registry=self.registry,
        )
        self.stage_queued = Gauge(
            "halfsecond_stage_queued",
            "Requests that a stage of this process works on, or that wait for it",
            ["stage"],
            registry=self.registry,
        )
        self.prompt_cache_tokens = Gauge(
            "halfsecond_prompt_cache_tokens",
            "Tokens of prompts whose state the language model keeps",
            registry=self.registry,
        )
        self.thermal_level = Gauge(
            "halfsecond_thermal_level",
            "How far the face is eased because the machine is hot: 0 not at all",
            registry=self.registry,
        )
        self.thermal_headroom_c = Gauge(
            "halfsecond_thermal_headroom_celsius",
            "Degrees until the hottest part slows the machine down",
            registry=self.registry,
        )
        self._first_audio = self._latency("first_audio", "first reply audio sent")
        self._first_frame = self._latency("first_frame", "first driven frame sent")
        self._spans = Histogram(
            "halfsecond_stage_seconds",
            "Time of one request to a stage; STAGE.queue is the part before it was worked on",
            ["stage"],
            buckets=SPAN_BUCKETS_S,
            registry=self.registry,
        )

    def _add_av(self) -> None:
        """Sound against lips; positive where the sound is ahead. docs/latency.md tells of each."""
        self.av_offset = Histogram(
            "halfsecond_av_offset_seconds",
            "Sound ahead of the lips: of each picture as it was sent, and as clients say they show",
            ["measured"],
            buckets=AV_BUCKETS_S,
            registry=self.registry,
        )
        self.av_offset_now = Gauge(
            "halfsecond_av_offset_now_seconds",
            "The same, median over the newest second of the answer that was measured last",
            registry=self.registry,
        )
        self.av_drift = Gauge(
            "halfsecond_av_drift_seconds_per_minute",
            "How the same changed over the last answer of 3 s or more",
            registry=self.registry,
        )
        self.playhead_drift = Gauge(
            "halfsecond_playhead_drift_seconds_per_minute",
            "How much faster a client's loudspeaker runs than the server's clock, in that answer",
            registry=self.registry,
        )
        self.lips_off = Counter(
            "halfsecond_lips_off",
            "Answers whose sound was more than 45 ms ahead of the lips, or 125 ms behind",
            registry=self.registry,
        )
        self.repeated_pictures = Counter(
            "halfsecond_repeated_pictures",
            "Times that a picture was shown again because the next one was not there",
            registry=self.registry,
        )
        self.skipped_pictures = Counter(
            "halfsecond_skipped_pictures",
            "Pictures that were not drawn because they would have come late",
            registry=self.registry,
        )
        self.client_dropped_pictures = Counter(
            "halfsecond_client_dropped_pictures",
            "Pictures that clients say they dropped because they were late",
            registry=self.registry,
        )

    def _latency(self, name: str, what: str) -> Histogram:
        return Histogram(
            f"halfsecond_{name}_seconds",
            f"Last speech sample to {what}, as the server saw it",
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )

    def observe(self, timeline: Timeline, reason: str) -> None:
        """Counts a turn that has ended."""
        self.turns.labels(reason).inc()
        for span in timeline.spans:
            self._spans.labels(span.stage).observe(span.end_s - span.start_s)
        marks = timeline.relative().marks
        if "last_speech" not in marks:
            return
        if (first_audio_s := marks.get("first_audio_sent")) is not None:
            self._first_audio.observe(first_audio_s)
        if (first_frame_s := marks.get("first_frame_sent")) is not None:
            self._first_frame.observe(first_frame_s)

    def serve(self, port: int) -> None:
        """Opens the Prometheus page on 127.0.0.1.

        Raises:
            ConfigError: the port is taken, or not to be had.
        """
        try:
            start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as error:
            raise ConfigError(
                f"log.metrics_port {port} cannot be opened ({error.strerror}); is another server "
                "running here? `ss -ltnp` tells; choose another port, or 0 for none"
            ) from error


METRICS = Metrics()
"""The process's metrics: one process hosts all engines of a machine."""
