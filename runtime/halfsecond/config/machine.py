"""Where the server is reached, where its stages run, and what the machine has for them."""

from __future__ import annotations

from typing import Literal

from halfsecond.config.section import Section


class ServerConfig(Section, frozen=True, kw_only=True):
    """Where clients connect, and how many."""

    bind: str = "ipc:///tmp/halfsecond/server.ipc"
    """ZeroMQ address. Any but `ipc://` and loopback requires `keys`."""
    keys: str | None = None
    """Directory with the server's CURVE key pair and the allow-list `clients/` of public keys."""
    max_sessions: int = 4
    """A further client is told that the server is busy."""
    session_timeout_s: float = 10.0
    """A client that is silent for this long loses its session, its history and its uploads."""
    stall_timeout_s: float = 5.0
    """A client that takes nothing for this long, while audio waits for it, loses its session."""


class StagesConfig(Section, frozen=True, kw_only=True):
    """Where each stage runs: "local", or the `ipc://` / `tcp://` address of `serve --stage`."""

    vad: str = "local"
    """Voice activity."""
    endpoint: str = "local"
    """Whether a turn is over, by its sound."""
    asr: str = "local"
    """Speech recognition."""
    llm: str = "local"
    """The answerer."""
    tts: str = "local"
    """The voice."""
    lipsync: str = "local"
    """The face; the one that is worth a machine of its own."""
    keys: str = ""
    """Directory of this machine's CURVE keys (`halfsecond keys`), for stages on other machines."""


class ThermalConfig(Section, frozen=True, kw_only=True):
    """What happens on a machine that grows hot: the face is drawn less often and smaller, before
    the machine slows itself down and the answer stutters. Sound and words stay as they are."""

    is_watched: bool = True
    """Whether it is done at all. Does nothing where the kernel shows no temperatures."""
    margin_c: float = 8.0
    """Degrees below the machine's own limit at which the first step is taken."""


class MemoryConfig(Section, frozen=True, kw_only=True):
    """What happens at the start on a machine whose memory is too small for the models."""

    is_fitted: bool = True
    """Whether smaller models are taken where there are any; the log says which, and why."""
    reserve_mb: int = 200
    """What is left free for others: with a browser on the same box some 600."""


class ModelsConfig(Section, frozen=True, kw_only=True):
    """Where models are."""

    home: str = ""
    """Directory of fetched and built models; empty takes the default one."""


class LogConfig(Section, frozen=True, kw_only=True):
    """What is written, and where figures are read."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["console", "json"] = "console"
    """For people on a terminal, or one JSON object a line."""
    has_transcripts: bool = False
    """Whether questions and answers are written to the log."""
    metrics_port: int = 0
    """Port on 127.0.0.1 for Prometheus; 0 opens none."""
