"""Where log lines go."""

from __future__ import annotations

import io
import sys

import pytest
import structlog

from halfsecond import log
from halfsecond.config import LogConfig


def test_a_line_goes_to_the_stderr_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = io.StringIO(), io.StringIO()
    logger = structlog.get_logger("test")
    monkeypatch.setattr(sys, "stderr", first)
    log.configure(LogConfig())
    logger.info("one")
    monkeypatch.setattr(sys, "stderr", second)
    assert "one" in first.getvalue()
    first.close()
    logger.info("two")
    assert "two" in second.getvalue()
