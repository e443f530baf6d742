"""Every driver with every voice and portrait, judged by the same instruments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from halfsecond.config import Config
from halfsecond.models.face.finder import FaceFinder
from halfsecond.models.face.portrait import Portrait, load_portrait
from halfsecond.models.lipsync.avatar import Avatar
from halfsecond.models.lipsync.avatar_file import read_avatar
from halfsecond.models.lipsync.compiled_mouth import FOLDER, CompiledMouth
from halfsecond.models.lipsync.compositor import Compositor
from halfsecond.models.lipsync.driver import LipSync
from halfsecond.models.lipsync.expression import CLOSE_S, Expression
from halfsecond.models.lipsync.mesh import MeshLipSync
from halfsecond.models.lipsync.mood import MoodName
from halfsecond.models.lipsync.wav2lip import MouthNetwork, Wav2LipSync
from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork
from halfsecond_bench.lipsync.figures import MouthFigures, mouth_figures
from halfsecond_bench.lipsync.kept import Keeping, KeptFigures
from halfsecond_bench.lipsync.long_run import Drift, drift
from halfsecond_bench.lipsync.seams import SeamFigures, seams
from halfsecond_bench.lipsync.sheet import Shot, Snapshots, Strip
from halfsecond_bench.lipsync.speech import Speech
from halfsecond_bench.lipsync.take import StillMeter, take
from halfsecond_bench.statistics import Distribution, device, distribution, versions

SPEED_SIZES = ((512, 512), (720, 1280))
WARM_UP_FRAMES = 10

Progress = Callable[[str], None]
"""Told what is being judged."""
OpenDriver = Callable[[Avatar, bool], LipSync]
"""Makes a driver of an avatar; the second says whether anything but the mouth moves."""


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """One driver with one voice and one portrait."""

    driver: str
    portrait: str
    voice: str
    mouth: MouthFigures
    kept: KeptFigures


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """One driver at one size, on one core, with everything moving."""

    driver: str
    width: int
    height: int
    frame_ms: Distribution
    core_ms: Distribution
    """Processor time of the drawing thread: what it would take with the core to itself."""
    fps_p95: float
    """Frames a second that 95 % of the frames would keep up with."""


class LipSyncReport(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lipsync"):
    """The result of `bench lipsync`."""

    device: str
    versions: dict[str, str]
    judged: list[Judged]
    speed: list[Speed]
    seams: dict[str, SeamFigures]
    """By driver, with the first portrait."""
    drift: dict[str, Drift]
    """By driver, over a long run with the first voice."""


@dataclass(frozen=True)
class Trial:
    """What is to be judged."""

    config: Config
    face_models: Path
    portraits: Sequence[Path]
    speeches: Sequence[Speech]
    wav2lip: Path | None = None
    long_s: float = 60.0
    avatar: Path | None = None
    """Directory of one that is judged instead of portraits, with its compiled mouth."""

    def faces(self, size: tuple[int, int]) -> Iterator[tuple[str, Avatar]]:
        """What speaks, by name; portraits at this size, an avatar at its own."""
        if self.avatar is not None:
            avatar = read_avatar(self.avatar)
            yield avatar.name, avatar
            return
        for picture in self.portraits:
            yield picture.stem, Avatar.of(self.portrait(picture, size))

    @property
    def drivers(self) -> dict[str, OpenDriver]:
        """By name."""
        found: dict[str, OpenDriver] = {"mesh": self._open_mesh}
        if self.wav2lip is not None:
            found["wav2lip"] = self._painted(Wav2LipNetwork(self.wav2lip, threads=1))
        if self.avatar is not None and (self.avatar / FOLDER).is_dir():
            found["compiled"] = self._painted(CompiledMouth(self.avatar, threads=1))
        return found

    def _open_mesh(self, avatar: Avatar, is_lively: bool) -> LipSync:
        return MeshLipSync(avatar, fps=self.config.face.fps, is_expressive=is_lively)

    def _painted(self, network: MouthNetwork) -> OpenDriver:
        def open_driver(avatar: Avatar, is_lively: bool) -> LipSync:
            compositor = Compositor(avatar, expression=Expression(is_on=is_lively))
            return Wav2LipSync(network, compositor, fps=self.config.face.fps)

        return open_driver

    def meter(self, portrait: Portrait) -> StillMeter:
        """The instrument, for a head that keeps still."""
        return StillMeter(self._models[1], portrait)

    def portrait(self, picture: Path, size: tuple[int, int]) -> Portrait:
        """The portrait in a file."""
        return load_portrait(picture, FaceFinder(*self._models), size=size)

    @property
    def _models(self) -> tuple[Path, Path]:
        return self.face_models / "face_detector.onnx", self.face_models / "face_landmarks.onnx"


def measure(trial: Trial, *, progress: Progress) -> tuple[LipSyncReport, list[Strip]]:
    """Judges all, and gives the pictures of each driver with each portrait."""
    drivers = trial.drivers
    judged: list[Judged] = []
    strips: list[Strip] = []
    seen_seams: dict[str, SeamFigures] = {}
    drifts: dict[str, Drift] = {}
    for face, avatar in trial.faces(SPEED_SIZES[0]):
        for name, open_driver in drivers.items():
            strip, figures = _judge(trial, face, avatar, (name, open_driver), progress)
            strips.append(strip)
            judged += figures
            if name not in seen_seams:
                progress(f"{name}: changes of state")
                seen_seams[name] = seams(open_driver(avatar, True), trial.speeches[0])
                progress(f"{name}: {trial.long_s:.0f} s in one go")
                still = open_driver(avatar, False)
                drifts[name] = drift(
                    still, trial.meter(avatar.portrait), trial.speeches[0], length_s=trial.long_s
                )
    report = LipSyncReport(
        device=device(),
        versions=versions(),
        judged=judged,
        speed=_speeds(trial, drivers, progress),
        seams=seen_seams,
        drift=drifts,
    )
    return report, strips


def _judge(
    trial: Trial,
    face: str,
    avatar: Avatar,
    driver: tuple[str, OpenDriver],
    progress: Progress,
) -> tuple[Strip, list[Judged]]:
    name, open_driver = driver
    figures: list[Judged] = []
    shots = [Shot("portrait", avatar.portrait.image)]
    for number, speech in enumerate(trial.speeches):
        progress(f"{name}, {face}, {speech.voice}")
        still = open_driver(avatar, False)
        keeping, snapshots = Keeping(avatar.portrait), Snapshots(speech, still.fps)
        watches = (keeping.watch, snapshots.watch)
        seen = take(still, speech, trial.meter(avatar.portrait), watches=watches)
        mouth = mouth_figures(seen, commands_opening=name == "mesh")
        kept = keeping.figures()
        figures.append(
            Judged(driver=name, portrait=face, voice=speech.voice, mouth=mouth, kept=kept)
        )
        if number == 0:
            shots += [Shot("rest", still.idle().image), *snapshots.in_order()]
    shots += looks(open_driver(avatar, True))
    return Strip(f"{name}, {face}", avatar.portrait, shots), figures


def looks(driver: LipSync) -> list[Shot]:
    """The face as it blinks, greets, asks and thinks."""
    life = Expression(seed=0)
    lids = [life.at(frame / driver.fps).blink for frame in range(6 * driver.fps)]
    shut = int(np.argmax(lids))
    frames = [driver.idle().image for _ in range(shut + 1 + round(CLOSE_S * driver.fps))]
    shots = [Shot("blink", frames[shut])]
    moods: tuple[MoodName, ...] = ("greeting", "asking", "thinking")
    for mood in moods:
        driver.feel(mood)
        images = [driver.idle().image for _ in range(driver.fps)]
        shots.append(Shot(mood, images[-1]))
    return shots


def _speeds(trial: Trial, drivers: dict[str, OpenDriver], progress: Progress) -> list[Speed]:
    found = []
    for size in SPEED_SIZES if trial.avatar is None else SPEED_SIZES[:1]:
        _, avatar = next(trial.faces(size))
        width, height = avatar.portrait.size
        for name, open_driver in drivers.items():
            progress(f"{name}: speed at {width}x{height}")
            times = take(open_driver(avatar, True), trial.speeches[0], None)
            frame_ms = distribution(times.frame_ms[WARM_UP_FRAMES:])
            core_ms = distribution(times.core_ms[WARM_UP_FRAMES:])
            found.append(
                Speed(
                    driver=name,
                    width=width,
                    height=height,
                    frame_ms=frame_ms,
                    core_ms=core_ms,
                    fps_p95=round(1000 / core_ms.p95, 1),
                )
            )
    return found
