"""The way in for browsers, and the page that they show."""

from __future__ import annotations

import ipaddress
from typing import Literal

from halfsecond.config.section import Section


class GatewayConfig(Section, frozen=True, kw_only=True):
    """The browser's way in: pages, HTTP, WebSocket and WebRTC in front of the ZeroMQ server."""

    host: str = "127.0.0.1"
    """Address to listen at. Any but loopback requires `certificate` and `token_secret`."""
    port: int = 8443
    """Port to listen at."""
    connect: str = ""
    """ZeroMQ address of the server; empty takes `server.bind`."""
    keys: str = ""
    """Directory of this client's CURVE keys, where the server wants some."""
    certificate: str = ""
    """TLS certificate with its chain (PEM): your own, or of `halfsecond certificate`."""
    certificate_key: str = ""
    """Its private key; empty takes the file of the certificate's name that ends in `.key`."""
    token_secret: str = ""
    """File that signs tokens, made by `halfsecond token`. With one, nobody gets in without."""
    names: tuple[str, ...] = ()
    """Names by which browsers reach this machine; requests for others are refused. Empty takes
    loopback's names on loopback, and any elsewhere, where tokens keep strangers out."""
    max_visitors: int = 4
    """Browsers at once; a further one is told that it is busy."""
    visit_limit_s: float = 3600.0
    """A connection that is older is closed at its next rest; the page opens another by itself."""
    requests_per_s: float = 10.0
    """Of one address, on average; bursts of five times as many are let through."""
    ice_servers: tuple[str, ...] = ()
    """WebRTC: `stun:host:port` or `turn:user:password@host:port`. None is needed on a LAN."""
    restart_command: tuple[str, ...] = ()
    """What the operator's restart runs, such as `["systemctl", "restart", "halfsecond"]`. Empty: a
    gateway of `serve --gateway` starts its server again; any other offers no restart."""
    log_file: str = ""
    """The server's log, for the operator's page; empty shows the gateway's own."""

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False


class KioskConfig(Section, frozen=True, kw_only=True):
    """What the kiosk page looks like."""

    title: str = "halfsecond"
    """Name of the face, on the page and in its browser tab."""
    languages: tuple[Literal["en", "zh"], ...] = ()
    """Languages to choose from; the first is shown at rest. Empty takes `language` alone. List only
    what `asr.model`, the answers and the voice know."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Turns the page clockwise, for screens that are mounted so."""
    is_mirrored: bool = False
    """For a screen that is seen through a mirror."""
    has_captions: bool = True
    """Whether words are shown; a visitor may switch them."""
    has_microphone: bool = True
    """False for a kiosk of buttons only."""
    takes_photos: bool = False
    """Whether a visitor may make their own photo the face, after agreeing to it on the screen. Also
    wants `uploads.takes_portraits`, and tokens of the scope `upload` where there are tokens."""
    greets: bool = False
    """Whether the first touch after a rest is greeted (`phrases.greeting`)."""
    rest_after_s: float = 45.0
    """Without a word for this long the page returns to rest, and what was said is forgotten."""
    transport: Literal["auto", "websocket", "webrtc"] = "auto"
    """`auto` takes the WebSocket, which is quicker and cheaper; `webrtc` falls back to it."""
    sound: Literal["pcm", "opus"] = "pcm"
    """Of the WebSocket: `opus` takes a twentieth of the bytes and some milliseconds more."""
