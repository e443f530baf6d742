"""A conversation as an MP4: H.264 and AAC, played as a client would have played it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from halfsecond.recording import Recorder, Shown, decode_picture
from halfsecond.synthetic_media import FACE_COMMENT, mark_film

AUDIO_RATE_HZ = 48_000
SPEECH_RATE_HZ = 24_000


@dataclass(frozen=True)
class Film:
    """Pictures with the time each is shown from, and one mono track. Times start at 0."""

    pictures: Sequence[tuple[float, Shown]]
    audio: NDArray[np.float32]
    """(n,) mono at 48 kHz."""
    fps: int


def compose(
    recorder: Recorder,
    *,
    start_s: float,
    question: NDArray[np.float32],
    fps: int,
    tail_s: float = 0.6,
) -> Film:
    """The film of what a visitor saw and heard from `start_s` (client's clock) on.

    question: (n,) mono 24 kHz, spoken from `start_s` on. Answers follow at the moment at which
    their first packet came, so that the film shows the wait as it was.
    """
    tracks = [(0.0, question)]
    timed: list[tuple[float, Shown]] = [(s.at_s - start_s, s) for s in recorder.idle]
    for reply in recorder.replies.values():
        begin_s = reply.playback_start_s
        if begin_s is None:
            continue
        tracks.append((begin_s - start_s, reply.samples()))
        timed += [(max(begin_s + s.pts_s, s.at_s) - start_s, s) for s in reply.pictures]
    timed.sort(key=lambda pair: pair[0])
    end_s = max(at_s + len(track) / SPEECH_RATE_HZ for at_s, track in tracks) + tail_s
    return Film([(t, s) for t, s in timed if t <= end_s], _mix(tracks, end_s), fps)


def _mix(tracks: Sequence[tuple[float, NDArray[np.float32]]], end_s: float) -> NDArray[np.float32]:
    mixed = np.zeros(int(end_s * AUDIO_RATE_HZ), np.float32)
    for at_s, samples in tracks:
        doubled = _double(samples)
        start = max(0, int(at_s * AUDIO_RATE_HZ))
        stop = min(len(mixed), start + len(doubled))
        mixed[start:stop] += doubled[: stop - start]
    return np.clip(mixed, -1.0, 1.0)


def _double(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    import soxr

    resampled: NDArray[np.float32] = soxr.resample(samples, SPEECH_RATE_HZ, AUDIO_RATE_HZ)
    return resampled


def write_mp4(path: Path, film: Film) -> None:
    """Writes the film, which says that it is synthetic; the file appears whole or not at all."""
    partial = path.with_suffix(".part.mp4")
    with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        container.metadata["comment"] = FACE_COMMENT
        width, height = film.pictures[0][1].size
        video = container.add_stream("libx264", rate=film.fps, options={"crf": "18"})
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        audio = container.add_stream("aac", rate=AUDIO_RATE_HZ, layout="mono")
        for number, image in enumerate(_frames(film)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, film.fps)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for block in _audio_frames(film.audio):
            container.mux(audio.encode(block))
        container.mux(audio.encode())
    mark_film(partial)
    partial.replace(path)


def _frames(film: Film) -> Iterator[NDArray[np.uint8]]:
    """One picture per frame time: the latest that was shown by then, decoded once."""
    count = int(len(film.audio) / AUDIO_RATE_HZ * film.fps)
    at, image = -1, decode_picture(film.pictures[0][1])
    for number in range(count):
        now_s = (number + 0.5) / film.fps
        latest = at
        while latest + 1 < len(film.pictures) and film.pictures[latest + 1][0] <= now_s:
            latest += 1
        if latest != at:
            at, image = latest, decode_picture(film.pictures[latest][1])
        yield image


def _audio_frames(samples: NDArray[np.float32]) -> Iterator[av.AudioFrame]:
    size = 1024
    for start in range(0, len(samples), size):
        block = np.ascontiguousarray(samples[None, start : start + size])
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = AUDIO_RATE_HZ, start
        frame.time_base = Fraction(1, AUDIO_RATE_HZ)
        yield frame
