"""A visit over WebRTC, with aiortc as the browser, before a server on fake engines."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from fakes.engines import FakeEngines, FakeLipSync
from fakes.gateways import RunningGateway, running_gateway
from fakes.servers import QUICK, RunServer
from halfsecond import wire
from halfsecond.errors import ConfigError
from halfsecond.gateway.tracks import FRAME_SAMPLES, AnswerSound
from halfsecond.gateway.webrtc import ice_servers
from halfsecond.stages.lipsync import Picture


class GreyFace(FakeLipSync):
    """Raw pictures: dark at rest, light while it speaks."""

    @staticmethod
    def _picture(pts_s: float, *, is_driven: bool) -> Picture:
        data = bytes([220 if is_driven else 40]) * (64 * 64 * 3)
        return Picture(data, "rgb", 64, 64, pts_s, 0.5 if is_driven else 0.0, is_driven)


class Peer:
    """A browser: what it hears, sees and is told."""

    def __init__(self) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.loudness: list[float] = []
        self.brightness: list[float] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.channel = self.connection.createDataChannel("anything")
        self.channel.on("message", lambda text: self.messages.put_nowait(json.loads(text)))
        self.connection.on("track", self._on_track)

    def _on_track(self, track: Any) -> None:
        self._tasks.append(asyncio.create_task(self._take(track)))

    async def _take(self, track: Any) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                if track.kind == "audio":
                    self.loudness.append(float(np.abs(frame.to_ndarray()).mean()))
                else:
                    self.brightness.append(float(frame.to_ndarray(format="gray").mean()))

    async def call(self, gateway: RunningGateway) -> int:
        """Offers, and takes the answer; returns the status."""
        self.connection.addTrack(AudioStreamTrack())
        self.connection.addTransceiver("video", direction="recvonly")
        await self.connection.setLocalDescription(await self.connection.createOffer())
        body = json.dumps({"sdp": self.connection.localDescription.sdp}).encode()
        answered = await gateway.request("POST", "/api/webrtc", body=body)
        if answered.status == 200:
            description = RTCSessionDescription(**answered.json())
            await self.connection.setRemoteDescription(description)
        return answered.status

    def say(self, **message: Any) -> None:
        self.channel.send(json.dumps(message))

    async def until(self, kind: str, **fields: Any) -> dict[str, Any]:
        while True:
            message = await asyncio.wait_for(self.messages.get(), 10)
            if message["type"] == kind and fields.items() <= message.items():
                return message

    async def close(self) -> None:
        await self.connection.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def calling(run_server: RunServer) -> AsyncIterator[tuple[Peer, RunningGateway]]:
    engines = FakeEngines()
    engines.lipsync = GreyFace()
    async with (
        run_server(QUICK, engines) as server,
        running_gateway(QUICK, server.address, clock=time.time) as gateway,
    ):
        peer = Peer()
        opened = asyncio.Event()
        peer.channel.on("open", opened.set)
        assert await peer.call(gateway) == 200
        await asyncio.wait_for(opened.wait(), 10)
        yield peer, gateway
        await peer.close()


async def test_a_question_comes_back_as_sound_and_a_face_that_moves(run_server: RunServer) -> None:
    async with calling(run_server) as (peer, gateway):
        peer.say(type="hello", client="test")
        await peer.until("welcome")
        peer.say(type="text", text="When do you close?")
        await peer.until("answer")
        await peer.until("turn_end", reason="complete")
        await peer.until("state", state="idle")
        assert max(peer.loudness) > 1000
        assert min(peer.loudness) < 100
        assert max(peer.brightness) > 150
        assert gateway.gateway.visits.count == 1
    assert gateway.gateway.visits.count == 0


async def test_what_is_no_offer_is_refused_and_takes_no_place(run_server: RunServer) -> None:
    async with (
        run_server(QUICK) as server,
        running_gateway(QUICK, server.address, clock=time.time) as gateway,
    ):
        for body in (b"{", b'{"sdp": 5}', b'{"sdp": "v=0"}', b'{"sdp": "%s"}' % (b"x" * 70_000)):
            answered = await gateway.request("POST", "/api/webrtc", body=body)
            assert answered.status == 400, body[:20]
        assert gateway.gateway.visits.count == 0


async def test_sound_stands_still_while_it_is_paused_and_goes_on_from_the_same_sample() -> None:
    sound = AnswerSound()
    samples = np.arange(3 * FRAME_SAMPLES, dtype=np.int16)
    sound.add(wire.Audio(turn=1, generation=1), samples.tobytes())
    first = (await sound.recv()).to_ndarray()[0]
    sound.pause(is_paused=True)
    silent = (await sound.recv()).to_ndarray()[0]
    sound.pause(is_paused=False)
    second = (await sound.recv()).to_ndarray()[0]
    assert np.array_equal(first, samples[:FRAME_SAMPLES])
    assert not silent.any()
    assert np.array_equal(second, samples[FRAME_SAMPLES : 2 * FRAME_SAMPLES])
    clock = sound.clock()
    assert clock is not None
    assert clock[1] == pytest.approx(2 * FRAME_SAMPLES / 24_000)
    sound.drop(2)
    assert not (await sound.recv()).to_ndarray().any()
    assert sound.clock() is None


def test_ice_servers_are_read_or_told() -> None:
    lines = ("stun:box.local:3478", "turns:lobby:se:cret@turn.example:5349")
    assert ice_servers(lines) == [
        {"urls": "stun:box.local:3478"},
        {"urls": "turns:turn.example:5349", "username": "lobby", "credential": "se:cret"},
    ]
    with pytest.raises(ConfigError, match="expected stun:host:port"):
        ice_servers(("http://turn.example",))
