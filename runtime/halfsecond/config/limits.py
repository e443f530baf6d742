"""The ranges of the config's numbers."""

from __future__ import annotations

from halfsecond.config.sections import Config
from halfsecond.errors import ConfigError


def check_ranges(config: Config, source: str) -> None:
    """Refuses a value that no machine could work with, or that contradicts another.

    Raises:
        ConfigError: naming the key, its value and the range.
    """
    turn, endpoint = config.turn, config.endpoint
    limits: tuple[tuple[str, float, float, float], ...] = (
        ("server.max_sessions", config.server.max_sessions, 1, 256),
        ("server.session_timeout_s", config.server.session_timeout_s, 1, 3600),
        ("endpoint.silence_s", endpoint.silence_s, 0.06, 5),
        ("endpoint.complete_silence_s", endpoint.complete_silence_s, 0.06, 5),
        ("endpoint.unsure_silence_s", endpoint.unsure_silence_s, endpoint.complete_silence_s, 5),
        (
            "endpoint.incomplete_silence_s",
            endpoint.incomplete_silence_s,
            endpoint.unsure_silence_s,
            5,
        ),
        ("endpoint.incomplete_below", endpoint.incomplete_below, 0, endpoint.complete_above),
        ("endpoint.complete_above", endpoint.complete_above, 0, 1),
        ("turn.pause_s", turn.pause_s, 0.03, endpoint.shortest_silence_s),
        ("turn.min_speech_s", turn.min_speech_s, 0.03, 2),
        ("turn.interrupt_s", turn.interrupt_s, turn.min_speech_s, 5),
        ("turn.hold_s", turn.hold_s, 0.1, 5),
        ("turn.interrupt_anyway_s", turn.interrupt_anyway_s, turn.interrupt_s, 60),
        ("turn.interrupt_dbfs", turn.interrupt_dbfs, -90, 0),
        ("turn.reopen_s", turn.reopen_s, 0, 5),
        ("turn.max_utterance_s", turn.max_utterance_s, 1, 29),
        ("vad.onset", config.vad.onset, 0.01, 0.99),
        ("vad.offset", config.vad.offset, 0.01, config.vad.onset),
        ("asr.threads", config.asr.threads, 1, 64),
        ("asr.margin_s", config.asr.margin_s, 0.1, 30),
        ("llm.threads", config.llm.threads, 1, 64),
        ("llm.temperature", config.llm.temperature, 0, 2),
        ("llm.top_p", config.llm.top_p, 0.01, 1),
        ("llm.max_tokens", config.llm.max_tokens, 1, 4096),
        ("phrases.remembered_s", config.phrases.remembered_s, 0, 3600),
        ("tts.speed", config.tts.speed, 0.5, 2),
        ("face.fps", config.face.fps, 5, 60),
        ("face.idle_fps", config.face.idle_fps, 0, config.face.fps),
        ("face.width", config.face.width, 128, 2160),
        ("face.height", config.face.height, 128, 2160),
        ("face.jpeg_quality", config.face.jpeg_quality, 30, 100),
        ("thermal.margin_c", config.thermal.margin_c, 0, 40),
        ("memory.reserve_mb", config.memory.reserve_mb, 0, 1_000_000),
        ("gateway.port", config.gateway.port, 0, 65535),
        ("gateway.max_visitors", config.gateway.max_visitors, 1, 256),
        ("gateway.visit_limit_s", config.gateway.visit_limit_s, 10, 86_400),
        ("gateway.requests_per_s", config.gateway.requests_per_s, 0.1, 1000),
        ("kiosk.rest_after_s", config.kiosk.rest_after_s, 5, 3600),
        ("uploads.max_mb", config.uploads.max_mb, 0.1, 64),
        ("uploads.max_megapixels", config.uploads.max_megapixels, 0.1, 200),
        ("uploads.per_session", config.uploads.per_session, 1, 1000),
        ("uploads.time_limit_s", config.uploads.time_limit_s, 1, 300),
        ("log.metrics_port", config.log.metrics_port, 0, 65535),
    )
    for key, value, low, high in limits:
        if not low <= value <= high:
            raise ConfigError(f"{source}: `{key}` is {value}; it must lie in {low} to {high}")
