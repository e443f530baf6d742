"""The face as a live stream: H.264 and AAC, pushed to an RTMP server or written as HLS."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.container import OutputContainer
from numpy.typing import NDArray

from halfsecond import wire
from halfsecond.client import Client, Disconnected, Event
from halfsecond.errors import ConfigError, ServerError
from halfsecond.gateway.tracks import FacePair
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.synthetic_media import FACE_COMMENT

SOUND_RATE_HZ = 48_000
CREDIT = 12
"""Raw pictures under way: half a second."""
SEGMENT_S = 2
"""A player shows what is three segments old (RFC 8216, 6.3.3), so they are short."""
KEPT_SEGMENTS = 6
PLAYLIST = "live.m3u8"
EARLIER_SEGMENTS = "live[0-9]*.ts"
"""As FFmpeg names them after the playlist."""
FOLDER_MODE = 0o750
"""Of a folder that is made here. FFmpeg's files can be read by all who reach them."""
WAITING = 100
"""Blocks of 20 ms that wait for the encoder; from half of that on it is given no new pictures."""
PLAYHEAD_BLOCKS = 12
_RTMP = ("rtmp://", "rtmps://")

Picture = tuple[wire.Video, bytes]


class Encoder:
    """One file or connection that is written to. One thread."""

    def __init__(self, target: str, *, size: tuple[int, int], fps: int) -> None:
        """Opens the stream.

        target: an RTMP address, or a folder, which gets `live.m3u8` and its segments.
        size: (width, height) in pixels, both even.

        Raises:
            ConfigError: the address does not answer, or the folder cannot be written to.
        """
        try:
            self._container = self._opened(target)
            self._container.metadata["comment"] = FACE_COMMENT
            # Every segment begins with a whole picture; no picture waits for a later one.
            settings = {"preset": "veryfast", "tune": "zerolatency", "g": str(SEGMENT_S * fps)}
            self._video = self._container.add_stream("libx264", rate=fps, options=settings)
            self._video.width, self._video.height, self._video.pix_fmt = *size, "yuv420p"
            self._sound = self._container.add_stream("aac", rate=SOUND_RATE_HZ, layout="mono")
            self._container.start_encoding()
        except OSError as error:  # PyAV's own are such
            raise ConfigError(
                f"nothing can be streamed to {target}: {error}; give the address of an RTMP server "
                "that listens, or a folder"
            ) from error
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=SOUND_RATE_HZ)
        self._fps = fps

    @staticmethod
    def _opened(target: str) -> OutputContainer:
        if target.startswith(_RTMP):
            return av.open(target, "w", format="flv")
        folder = Path(target)
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        # Numbers begin anew: nothing would ever delete the last segments of an earlier stream.
        for segment in folder.glob(EARLIER_SEGMENTS):
            segment.unlink()
        options = {
            "hls_time": str(SEGMENT_S),
            "hls_list_size": str(KEPT_SEGMENTS),
            "hls_flags": "delete_segments+independent_segments",
        }
        return av.open(str(folder / PLAYLIST), "w", format="hls", options=options)

    def write_sound(self, frame: av.AudioFrame) -> None:
        """The next block of 24 kHz."""
        for resampled in self._resampler.resample(frame):
            self._container.mux(self._sound.encode(resampled))

    def write_picture(self, pixels: NDArray[np.uint8], number: int) -> None:
        """(h, w, 3) RGB, shown from `number` / fps on."""
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, self._fps)
        self._container.mux(self._video.encode(frame))

    def close(self) -> None:
        """Writes what is still inside, and ends the stream."""
        self._container.mux(self._video.encode())
        self._container.mux(self._sound.encode())
        self._container.close()


@dataclass(frozen=True)
class _Block:
    """20 ms of sound, and the pictures whose time comes in it, with their numbers."""

    sound: av.AudioFrame
    pictures: list[tuple[int, Picture]]


class Broadcast:
    """A session of its own whose sound and face go out as one stream, without a gap.

    The sound is the clock: a picture goes out with the sound that it belongs to, and the last one
    again where there is no new one.
    """

    def __init__(
        self, client: Client, target: str, *, open_encoder: Callable[..., Encoder] = Encoder
    ) -> None:
        """client: open, its session with `video` "rgb" and a credit of `CREDIT`."""
        welcome = client.welcome
        if welcome is None:
            raise ServerError("open the client first")
        self._client = client
        client.grants_credit = False
        self._fps = welcome.fps
        self._owed = 0
        self._pair = FacePair(fps=self._fps, taken=self._owe)
        self._blocks: queue.Queue[_Block | None] = queue.Queue(WAITING)
        self._fault: Exception | None = None
        self._target = target
        self._open_encoder = open_encoder
        self.left_out = 0
        """Pictures that an encoder which was behind did not get."""

    def _owe(self, pictures: int) -> None:
        self._owed += pictures

    async def run(self, on_event: Callable[[Event], None] = lambda _event: None) -> None:
        """Streams until cancelled, or until the target takes no more.

        Raises:
            ConfigError: the target cannot be written to.
            ServerError: it broke off.
        """
        writing = threading.Thread(target=self._write, name="broadcast", daemon=True)
        reading = asyncio.create_task(self._read(on_event))
        writing.start()
        try:
            await self._pace(reading)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await asyncio.shield(asyncio.to_thread(self._end, writing))
        if self._fault is not None:
            raise self._fault

    def _end(self, writing: threading.Thread) -> None:
        while writing.is_alive():
            with contextlib.suppress(queue.Full):
                self._blocks.put(None, timeout=0.1)
                writing.join()

    async def _read(self, on_event: Callable[[Event], None]) -> None:
        async for event in self._client.events():
            on_event(event)
            if not isinstance(event, Disconnected):
                self._pair.take(event.message, event.payload)

    async def _pace(self, reading: asyncio.Task[None]) -> None:
        """Block by block of the sound, with the pictures that are due in it.

        It begins with the first picture. Where the target takes nothing for two seconds, what
        comes meanwhile is lost, and the stream goes on in time.
        """
        samples = number = 0
        newest: Picture | None = None
        while self._fault is None and not reading.done():
            block = await self._pair.sound.recv()
            newest = self._pair.pictures.due() or newest
            await self._tell(is_report=(samples // block.samples) % PLAYHEAD_BLOCKS == 0)
            if newest is None:
                continue
            block.pts = samples
            samples += block.samples
            due: list[tuple[int, Picture]] = []
            while number / self._fps < samples / SPEECH_RATE_HZ:
                due.append((number, newest))
                number += 1
            if self._blocks.qsize() > WAITING // 2:
                self.left_out += len(due)
                due = []
            with contextlib.suppress(queue.Full):
                self._blocks.put_nowait(_Block(block, due))
        if reading.done() and not reading.cancelled() and (error := reading.exception()):
            raise error

    async def _tell(self, *, is_report: bool) -> None:
        """Grants what was taken, and now and then says what is heard."""
        owed, self._owed = self._owed, 0
        if owed:
            await self._client.grant(owed)
        if is_report and (heard := self._pair.pictures.playhead(behind_s=0.0)) is not None:
            await self._client.report_playhead(
                turn=heard.turn, pts_s=heard.pts, offset_s=heard.offset_s, dropped=heard.dropped
            )

    def _write(self) -> None:
        """On a thread of its own: encodes, in the order of the sound."""
        encoder: Encoder | None = None
        try:
            while (block := self._blocks.get()) is not None:
                images = [(number, _even_pixels(*picture)) for number, picture in block.pictures]
                if encoder is None:
                    height, width = images[0][1].shape[:2]
                    encoder = self._open_encoder(self._target, size=(width, height), fps=self._fps)
                encoder.write_sound(block.sound)
                for number, pixels in images:
                    encoder.write_picture(pixels, number)
            if encoder is not None:
                encoder.close()
        except ConfigError as error:
            self._fault = error
        except OSError as error:
            self._fault = ServerError(f"the stream to {self._target} broke off: {error}")


def _even_pixels(header: wire.Video, rgb: bytes) -> NDArray[np.uint8]:
    """(h, w, 3); half of the colours are stored, so a last odd row or column goes."""
    pixels = np.frombuffer(rgb, np.uint8).reshape(header.height, header.width, 3)
    return np.ascontiguousarray(pixels[: header.height // 2 * 2, : header.width // 2 * 2])
