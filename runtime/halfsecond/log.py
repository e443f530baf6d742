"""Structured logs on stderr: for people on a terminal, JSON lines for machines."""

from __future__ import annotations

import logging
import sys

import structlog

from halfsecond.config import LogConfig


def configure(config: LogConfig, *, tail: structlog.typing.Processor | None = None) -> None:
    """Sets up structlog for this process; called once by a command.

    tail: sees each line before it is written.
    """
    level = getattr(logging, config.level.upper())
    renderer = (
        structlog.processors.JSONRenderer()
        if config.format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([tail] if tail is not None else []),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_to_stderr,
    )


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """For each line anew: another stream may stand there now, and the first one be closed."""
    return structlog.PrintLogger(sys.stderr)
