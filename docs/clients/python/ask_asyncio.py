"""Asks a halfsecond server: python ask_asyncio.py ADDRESS (QUESTION.wav | "QUESTION")

Writes the answer to answer.wav and its pictures to 000.jpg, 001.jpg ..., numbered by their time.
It needs `pip install pyzmq msgpack` and nothing of halfsecond; docs/wire.md explains every message.
"""

import asyncio
import sys
import time
import wave
from pathlib import Path

import msgpack
import zmq
import zmq.asyncio

SILENCE_S = 5.0  # the server answers `clock`; after this long without a word it is gone


class Conversation:
    """One question on one socket, with what has come back of the answer."""

    def __init__(self, address):
        self.socket = zmq.asyncio.Context.instance().socket(zmq.DEALER)
        for option, value in {zmq.LINGER: 0, zmq.IMMEDIATE: 1, zmq.RCVHWM: 256}.items():
            self.socket.setsockopt(option, value)
        self.socket.connect(address)
        self.rate_hz, self.sound = 24_000, bytearray()
        self.turn, self.played_from_s = 0, 0.0

    async def send(self, kind, payload=b"", **fields):
        await self.socket.send_multipart([msgpack.packb({"type": kind, **fields}), payload])

    async def receive(self):
        frames = await asyncio.wait_for(self.socket.recv_multipart(), SILENCE_S)
        return msgpack.unpackb(frames[0]), frames[1]

    async def open(self, **wishes):
        await asyncio.wait_for(
            self.send("hello", v=1, client="ask_asyncio.py", **wishes), SILENCE_S
        )
        welcome, _ = await self.receive()
        if welcome["type"] != "welcome":
            sys.exit(str(welcome))  # busy, or an error that says why
        self.rate_hz = welcome["speech_rate_hz"]
        return welcome

    async def keep_alive(self):
        """A sign of life, and how much of the answer has been played."""
        while True:
            await self.send("clock", client_s=time.monotonic())
            if self.turn:  # a real player asks its sound card instead
                length_s = len(self.sound) / 2 / self.rate_hz
                heard_s = min(time.monotonic() - self.played_from_s, length_s)
                await self.send("playhead", turn=self.turn, pts=heard_s)
            await asyncio.sleep(0.25)

    async def speak(self, wav):
        """Blocks of 20 ms at the pace of real time, as a microphone gives them."""
        started_s, seq = time.monotonic(), 0
        while block := wav.readframes(wav.getframerate() // 50):
            await self.send("audio", block, seq=seq)
            seq += 1
            await asyncio.sleep(max(0.0, started_s + seq / 50 - time.monotonic()))
        await self.send("end_of_audio")

    async def listen(self, fps):
        """Until the turn has ended; writes each picture when it comes."""
        generation = 0
        while True:
            message, payload = await self.receive()
            kind, generation = message["type"], max(generation, message["generation"])
            if kind == "video":
                await self.send("credit", frames=1)
            if message["generation"] < generation:
                continue  # of an answer that was interrupted
            if kind in ("bye", "error"):
                sys.exit(str(message))
            elif kind in ("transcript", "answer"):
                print(f"{kind}: {message['text']}")
            elif kind == "audio":
                self.turn = message["turn"]
                self.played_from_s = self.played_from_s or time.monotonic()
                self.sound += payload
            elif kind == "video" and message["turn"]:
                Path(f"{round(message['pts'] * fps):03d}.jpg").write_bytes(payload)
            elif kind == "turn_end":
                return


async def main(address, question):
    conversation = Conversation(address)
    wav = wave.open(question) if question.endswith(".wav") else None
    wishes = {"wants_idle": False, "credit": 25}
    if wav:
        wishes.update(audio_rate_hz=wav.getframerate(), audio_channels=wav.getnchannels())
    try:
        welcome = await conversation.open(**wishes)
        alive = asyncio.create_task(conversation.keep_alive())
        asking = asyncio.create_task(
            conversation.speak(wav) if wav else conversation.send("text", text=question)
        )
        await conversation.listen(welcome["fps"])
    except asyncio.TimeoutError:
        sys.exit(f"no server answers at {address}")
    asking.cancel()
    alive.cancel()
    await conversation.send("bye")
    await asyncio.sleep(0.02)  # LINGER is 0

    with wave.open("answer.wav", "wb") as answer:
        answer.setparams((1, 2, conversation.rate_hz, 0, "NONE", ""))
        answer.writeframes(conversation.sound)


asyncio.run(main(*sys.argv[1:]))
