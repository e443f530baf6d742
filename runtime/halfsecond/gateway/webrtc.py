"""WebRTC: the microphone in, one pair of sound and face out, a data channel for everything else."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog
from aiortc import (
    RTCConfiguration,
    RTCDataChannel,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.resampler import AudioResampler

from halfsecond import wire
from halfsecond.bus.outbox import Outbox
from halfsecond.errors import ConfigError, ServerError, WireError
from halfsecond.gateway.browser import BrowserHello, from_text, to_text
from halfsecond.gateway.limits import Allowance
from halfsecond.gateway.tokens import Bearer
from halfsecond.gateway.tracks import FacePair
from halfsecond.gateway.visit import Visit, end_visit
from halfsecond.gateway.visits import Visits

log = structlog.get_logger(__name__)

MIC_RATE_HZ = 16_000
CONNECT_LIMIT_S = 15.0
"""An offer whose sender does not connect by then takes a place for nothing."""
PLAYOUT_S = 0.1
"""From a track to the ear: a browser's jitter buffer on a LAN. History keeps that much less."""
PLAYHEAD_S = 0.25
WATCH_S = 0.5
MAX_SDP_CHARS = 16_384
MAX_CHANNEL_BYTES = 1 << 20
"""Words that wait in the data channel for a browser that takes none."""

ICE_SERVER = re.compile(
    r"(?P<kind>stuns?|turns?):(?:(?P<user>[^:@]+):(?P<password>[^@]+)@)?(?P<host>.+)"
)


class Offer(msgspec.Struct, frozen=True):
    """What a browser posts."""

    sdp: str


def ice_servers(lines: Sequence[str]) -> list[dict[str, str]]:
    """The servers of the config as browsers take them; raises ConfigError for what is none."""
    servers = []
    for line in lines:
        found = ICE_SERVER.fullmatch(line)
        if found is None:
            raise ConfigError(
                f"gateway.ice_servers has {line!r}; expected stun:host:port or "
                "turn:user:password@host:port"
            )
        server = {"urls": f"{found['kind']}:{found['host']}"}
        if found["user"]:
            server |= {"username": found["user"], "credential": found["password"]}
        servers.append(server)
    return servers


class WebRtcDoor:
    """Answers offers; each is a visit of its own."""

    def __init__(self, visits: Visits, servers: Sequence[str], *, fps: int) -> None:
        self._visits = visits
        # An empty list, for aiortc asks a public server where it is given none.
        self._servers = [RTCIceServer(**server) for server in ice_servers(servers)]
        self._fps = fps
        self._running: set[asyncio.Task[None]] = set()

    async def answer(self, body: bytes, bearer: Bearer) -> dict[str, str]:
        """The answer to a browser's offer.

        Raises:
            WireError: it is no offer that can be answered.
            ServerError: all places are taken.
        """
        try:
            offer = msgspec.json.decode(body, type=Offer)
        except msgspec.DecodeError as error:
            raise WireError(f"this is no offer: {error}") from error
        if len(offer.sdp) > MAX_SDP_CHARS:
            raise WireError(f"an offer has at most {MAX_SDP_CHARS} characters")
        peer = _Peer(bearer, self._visits, self._servers, fps=self._fps)
        answered: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._serve(peer, offer.sdp, answered))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await answered

    async def _serve(self, peer: _Peer, sdp: str, answered: asyncio.Future[dict[str, str]]) -> None:
        with self._visits.place() as is_free:
            if not is_free:
                answered.set_exception(ServerError("all places are taken; try again later"))
                return
            try:
                answered.set_result(await peer.accept(sdp))
                await peer.run()
            except Exception as error:  # aiortc raises whatever its parsers do
                if not answered.done():
                    answered.set_exception(WireError(f"this offer cannot be answered: {error}"))
                else:
                    log.error("webrtc failed", exc_info=error)
            finally:
                await peer.close()

    async def close(self) -> None:
        """Ends every visit."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


class _Peer:
    """One browser."""

    def __init__(
        self, bearer: Bearer, visits: Visits, servers: list[RTCIceServer], *, fps: int
    ) -> None:
        self._bearer = bearer
        self._visits = visits
        self._outbox = Outbox()
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._pair = FacePair(fps=fps, taken=self._outbox.grant, now=visits.now)
        self._allowance = Allowance(now=visits.now)
        self._channel: RTCDataChannel | None = None
        self._visit: Visit | None = None
        self._visiting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._began_s = visits.now()
        self._ended = asyncio.Event()

    async def accept(self, sdp: str) -> dict[str, str]:
        """Takes an offer, and returns the answer with all addresses in it."""
        connection = self._connection
        connection.on("connectionstatechange", self._on_state)
        connection.on("track", self._on_track)
        connection.on("datachannel", self._on_channel)
        await connection.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        connection.addTrack(self._pair.sound)
        connection.addTrack(self._pair.pictures)
        await connection.setLocalDescription(await connection.createAnswer())
        return {"type": "answer", "sdp": connection.localDescription.sdp}

    async def run(self) -> None:
        """Serves until the browser leaves, a limit is reached, or the token expires."""
        self._spawn(self._write())
        self._spawn(self._watch())
        self._spawn(self._report())
        await self._ended.wait()

    async def close(self) -> None:
        """Ends the visit and the connection."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leave()
        self._pair.sound.stop()
        self._pair.pictures.stop()
        await self._connection.close()

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        task.add_done_callback(self._on_task)
        self._tasks.add(task)

    def _on_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webrtc failed", exc_info=error)
            self._ended.set()

    def _on_state(self) -> None:
        if self._connection.connectionState in ("failed", "closed"):
            self._ended.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_S)
            age_s = self._visits.now() - self._began_s
            is_expired = time.time() > self._bearer.expires_s
            is_idle = self._visit is None and age_s > CONNECT_LIMIT_S
            is_old = age_s > self._visits.limit_s and (
                self._visit is None or self._visit.is_resting
            )
            if is_expired or is_idle or is_old:
                self._ended.set()

    # In.

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._spawn(self._hear(track))

    async def _hear(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="mono", rate=MIC_RATE_HZ)
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                for out in resampler.resample(frame):
                    if self._visit is not None:
                        self._visit.hear(out.to_ndarray().tobytes())

    def _on_channel(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("message", self._on_message)

    def _on_message(self, content: str | bytes) -> None:
        if not self._allowance.take(len(content)):
            self._ended.set()
        elif isinstance(content, str):
            self._spawn(self._act(content))
        else:
            self._refuse("the data channel carries text")

    async def _act(self, text: str) -> None:
        try:
            message = from_text(text)
        except WireError as error:
            self._refuse(str(error))
            return
        if isinstance(message, BrowserHello):
            await self._open(message)
        elif isinstance(message, wire.Bye):
            self._ended.set()
        elif self._visit is None:
            self._refuse("say hello first")
        elif not isinstance(message, wire.Credit | wire.Playhead):  # both are the tracks' own
            await self._visit.act(message)

    def _refuse(self, reason: str) -> None:
        self._outbox.put(wire.Error(code="bad_message", message=reason))
        if self._allowance.is_faulty():
            self._ended.set()

    async def _open(self, hello: BrowserHello) -> None:
        await self._leave()
        self._outbox.credit = 50
        wishes = msgspec.structs.replace(hello, audio_rate_hz=MIC_RATE_HZ, audio_channels=1)
        self._visit = self._visits.visit(wishes, self._outbox, video="rgb")
        self._visiting = asyncio.create_task(self._visit.run())

    async def _leave(self) -> None:
        self._visit = None
        if self._visiting is not None:
            await end_visit(self._visiting)
            self._visiting = None

    # Out.

    async def _write(self) -> None:
        while True:
            header, payload = await self._outbox.next()
            self._pair.take(header, payload)
            if not isinstance(header, wire.Audio | wire.Video):
                self._tell(header)

    def _tell(self, header: wire.Header) -> None:
        channel = self._channel
        if channel is None or channel.readyState != "open":
            return
        if channel.bufferedAmount > MAX_CHANNEL_BYTES:
            self._ended.set()
            return
        channel.send(to_text(header))

    async def _report(self) -> None:
        """The playhead, as far as a sender can know it."""
        while True:
            await asyncio.sleep(PLAYHEAD_S)
            heard = self._pair.pictures.playhead(behind_s=PLAYOUT_S)
            if heard is not None and self._visit is not None:
                await self._visit.act(heard)
