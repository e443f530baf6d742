"""The stage that draws the face: speech in as it streams, encoded pictures out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import StageError
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.avatar_file import unpack_avatar
from halfsecond.models.lipsync.driver import Frame, LipSync
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.tts.voice import Phone
from halfsecond.stages.easing import Easing
from halfsecond.stages.stage import Cancel, StageHandle
from halfsecond.stages.worn_faces import LEASE_S, WornFaces
from halfsecond.timeline import Now, monotonic

PictureFormat = Literal["jpeg", "rgb"]


class OpenDriver(Protocol):
    """Makes drivers of faces that are ready."""

    def __call__(self, avatar: str | Avatar = "", *, fps: int | None = None) -> LipSync:
        """A driver of the named avatar; of the server's own face where it has none of that name.
        Of a visitor's, which has no name, nothing is remembered beside the driver.

        fps: of its speech; None: as configured.
        """
        ...


MAX_DRIVERS = 32
"""Beyond this the oldest goes: its server may have ended without a word."""

Action = Literal["open", "begin", "feed", "finish", "idle", "close", "wear", "keep", "sweep"]


def _no_samples() -> NDArray[np.float32]:
    return np.zeros(0, np.float32)


@dataclass(frozen=True)
class LipSyncRequest:
    """One call of a session's driver (see `LipSync`), or of the stage.

    "wear" takes a visitor's own face for the session, outside of any stream; "keep" goes on wanting
    it; "sweep", of no session, forgets those that nobody wants any more.
    """

    session: str
    action: Action
    samples: NDArray[np.float32] = field(default_factory=_no_samples)
    """(n,) mono 16 kHz, for "feed"."""
    phones: list[Phone] = field(default_factory=list)
    format: PictureFormat = "jpeg"
    mood: MoodName = "idle"
    """What the face shows of the conversation."""
    avatar: str = ""
    """Which face the session wants, where its driver is made; empty: the server's."""
    face: bytes = b""
    """A packed avatar, for "wear"."""
    fps: int = 0
    """How many pictures of speech a second the session wants; 0: the server's."""
    heard_s: float | None = None
    """Where the ear is on the timeline of the speech as this is asked, for "feed" and "finish":
    pictures that would come late are not drawn. None: all are."""


@dataclass(frozen=True)
class Picture:
    """One encoded frame."""

    data: bytes
    format: PictureFormat
    width: int
    height: int
    pts_s: float
    mouth: float
    is_driven: bool
    avatar: str = ""
    """Whose picture it is: the answer to "open"."""
    fps: int = 0
    """How many there will be a second of speech: the answer to "open"."""


class LipSyncStage:
    """One driver per session; each face is prepared once.

    Encoding is done here, so that a remote stage ships JPEG.
    """

    name: ClassVar[str] = "lipsync"
    request_type: ClassVar[Any] = LipSyncRequest
    reply_type: ClassVar[Any] = Picture

    def __init__(
        self,
        open_drivers: Callable[[], OpenDriver],
        *,
        jpeg_quality: int,
        label: str,
        easing: Easing | None = None,
        now: Now = monotonic,
    ) -> None:
        """easing: tells when the face is to be drawn less often and smaller."""
        self._open_drivers = open_drivers
        self._jpeg_quality = jpeg_quality
        self._label = label
        self._easing = easing or Easing()
        self._now = now
        self._idle_asked = 0
        self._drawing_s = 0.0
        """The longest that a picture took in the last call: of a network, that of a whole batch."""
        self._drivers: dict[str, LipSync] = {}
        self._worn = WornFaces(now)
        self._spare: LipSync | None = None

    def open(self) -> None:
        """Prepares the portrait and draws once, so that the first visitor does not wait for it."""
        self._open_driver = self._open_drivers()
        self._spare = self._open_driver()
        self._fps = self._spare.fps
        self._encode(self._spare.idle(), "jpeg")

    def run(self, request: LipSyncRequest, cancel: Cancel) -> Iterator[Picture]:
        self._worn.want(request.session)
        if request.action in ("open", "wear"):
            yield self._made_ready(request)
            return
        if request.action in ("close", "keep", "sweep"):
            self._put_away(request)
            return
        if request.action == "idle" and self._rests():
            return
        driver = self._driver(request)
        driver.feel(request.mood)
        if request.action == "idle":
            yield self._rest(driver, request)
            return
        for frame in self._in_time(driver, request):
            if cancel.is_set():
                return
            yield self._encode(frame, request.format)

    def _in_time(self, driver: LipSync, request: LipSyncRequest) -> Iterator[Frame]:
        """The frames of a call, less those that would be more than a frame late when drawn."""
        frames, began_s, slowest_s = self._frames(driver, request), self._now(), 0.0
        while True:
            before_s = self._now()
            if request.heard_s is not None:
                ear_s = request.heard_s + before_s - began_s
                driver.skip(ear_s + max(slowest_s, self._drawing_s) - 1.0 / driver.fps)
            frame = next(frames, None)
            if frame is None:
                break
            slowest_s = max(slowest_s, self._now() - before_s)
            yield frame
        if slowest_s:
            self._drawing_s = slowest_s

    def _rests(self) -> bool:
        """Whether this picture of the resting face is left out: every second one, while eased."""
        self._idle_asked += 1
        return self._easing.level > 0 and self._idle_asked % 2 == 0

    def _open_session(self, request: LipSyncRequest) -> LipSync:
        if len(self._drivers) >= MAX_DRIVERS:
            self._drivers.pop(next(iter(self._drivers))).close()
        fps = request.fps or self._fps
        face = self._worn.get(request.session) or request.avatar
        spare = None if face or fps != self._fps else self._spare
        driver = spare or self._open_driver(face, fps=fps)
        if spare is not None:
            self._spare = None
        self._drivers[request.session] = driver
        return driver

    def _made_ready(self, request: LipSyncRequest) -> Picture:
        """The session's face, resting; from "wear" on it is the visitor's own."""
        if request.action == "wear":
            face = unpack_avatar(request.face)
            self._close_session(request.session)
            self._worn.put_on(request.session, face)
        driver = self._open_session(request)
        return replace(self._rest(driver, request), avatar=driver.avatar, fps=driver.fps)

    def _put_away(self, request: LipSyncRequest) -> None:
        """Ends the session's face; or, for "sweep", those of sessions that ended without a word."""
        ended = {"close": [request.session], "sweep": self._worn.unwanted()}
        for session in ended.get(request.action, []):
            self._close_session(session)

    def _rest(self, driver: LipSync, request: LipSyncRequest) -> Picture:
        """The next picture of the resting face, as it lies ready or newly drawn."""
        jpeg = driver.idle_jpeg() if request.format == "jpeg" else None
        if jpeg is None:
            return self._encode(driver.idle(), request.format)
        width, height = driver.size
        return Picture(jpeg, "jpeg", width, height, pts_s=0.0, mouth=0.0, is_driven=False)

    def _close_session(self, session: str) -> None:
        self._worn.take_off(session)
        if (driver := self._drivers.pop(session, None)) is not None:
            driver.close()

    def _driver(self, request: LipSyncRequest) -> LipSync:
        """The session's driver; one that a restart has lost is made anew where a stream begins."""
        driver = self._drivers.get(request.session)
        if driver is not None and request.action == "begin":
            driver = self._eased(request, driver)
        if driver is not None:
            return driver
        if request.action in ("begin", "idle"):
            return self._open_session(request)
        raise StageError(f"lipsync has no stream of session {request.session!r}; it must begin one")

    def _eased(self, request: LipSyncRequest, driver: LipSync) -> LipSync:
        """The session's driver, or a new one where other pictures a second are wanted now.

        The face's slow motion begins anew then: a small jump of the head, at the start of an
        answer, where a stutter all through it would be the alternative.
        """
        fps = self._easing.ease.fps_of(request.fps or self._fps)
        if driver.fps == fps:
            return driver
        driver.close()
        face = self._worn.get(request.session) or driver.avatar
        self._drivers[request.session] = self._open_driver(face, fps=fps)
        return self._drivers[request.session]

    @staticmethod
    def _frames(driver: LipSync, request: LipSyncRequest) -> Iterator[Frame]:
        if request.action == "begin":
            driver.begin()
        elif request.action == "feed":
            yield from driver.feed(request.samples, phones=request.phones)
        elif request.action == "finish":
            yield from driver.finish()

    def _encode(self, frame: Frame, encoding: PictureFormat) -> Picture:
        image = _sized(frame.image, self._easing.ease.size)
        height, width = image.shape[:2]
        data = image.tobytes() if encoding == "rgb" else _jpeg(image, self._jpeg_quality)
        return Picture(
            data=data,
            format=encoding,
            width=width,
            height=height,
            pts_s=frame.pts_s,
            mouth=float(frame.mouth),
            is_driven=frame.is_driven,
        )

    def health(self) -> str:
        return f"{self._label}, {len(self._drivers)} sessions"

    def close(self) -> None:
        for driver in self._drivers.values():
            driver.close()
        self._drivers.clear()
        self._worn.clear()
        if self._spare is not None:
            self._spare.close()


async def sweep_faces(stage: StageHandle[LipSyncRequest, Picture]) -> None:
    """Has a stage at an address forget, until cancelled, what servers that are gone had it wear."""
    while True:
        await asyncio.sleep(LEASE_S / 3)
        async for _ in stage.run(LipSyncRequest("", "sweep"), Cancel()):
            pass


def picture_format(video: str) -> PictureFormat:
    """The encoding that a client asked for; JPEG unless it wants raw pictures."""
    return "rgb" if video == "rgb" else "jpeg"


def _sized(image: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """The picture at this share of its sides, which stay even."""
    if share == 1.0:
        return image
    import cv2

    height, width = (2 * round(side * share / 2) for side in image.shape[:2])
    smaller = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(smaller, np.uint8)


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    """image: (height, width, 3) RGB."""
    import cv2

    is_encoded, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not is_encoded:
        raise StageError(f"OpenCV could not encode a picture of shape {image.shape}")
    return data.tobytes()
