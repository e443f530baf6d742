"""The echo cancellers by name. To add one, write its file beside this and add its line below."""

from __future__ import annotations

from collections.abc import Callable

from halfsecond.errors import ConfigError
from halfsecond.models.echo.aec3 import is_installed, open_aec3
from halfsecond.models.echo.canceller import EchoCanceller, NoCanceller

CANCELLERS: dict[str, Callable[[], EchoCanceller]] = {
    "aec3": open_aec3,
    "none": NoCanceller,
}


def chosen(kind: str) -> str:
    """The canceller that "auto" means on this machine; any other name as it is."""
    if kind != "auto":
        return kind
    return "aec3" if is_installed() else "none"


def open_canceller(kind: str) -> EchoCanceller:
    """A canceller for one microphone stream.

    kind: one of `CANCELLERS`, or "auto" for AEC3 where its package is installed.

    Raises:
        ConfigError: no such canceller, or its package is not installed.
    """
    name = chosen(kind)
    if name not in CANCELLERS:
        raise ConfigError(
            f'there is no echo canceller "{kind}"; there are auto, {", ".join(CANCELLERS)}'
        )
    return CANCELLERS[name]()
