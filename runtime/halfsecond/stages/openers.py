"""From config sections to loaded models; top-level functions, so that stages stay picklable."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from halfsecond.artifact import is_directory_name
from halfsecond.assets import asset
from halfsecond.config import Config, FaceConfig, LlmConfig, TtsConfig
from halfsecond.errors import ConfigError
from halfsecond.models.lipsync.driver import LipSync
from halfsecond.models.lipsync.expression import Liveliness
from halfsecond.models.llm.answerer import Answerer
from halfsecond.models.llm.facts import FactsPage
from halfsecond.models.llm.persona import UNKNOWN_ANSWER, Layout, Persona
from halfsecond.models.tts.voice import Voice
from halfsecond.stages.lipsync import OpenDriver
from halfsecond.store import Store
from halfsecond.voiceprint import Voiceprint, read_voiceprint

if TYPE_CHECKING:
    from halfsecond.models.lipsync.avatar import Avatar
    from halfsecond.stages.avatars import Avatars
    from halfsecond.uploads.workshop import Workshop

DEMO_PORTRAIT = "astronaut.png"
DEMO_FACTS = "facts.txt"


def open_voice(config: TtsConfig, directory: Path) -> Voice:
    """The voice of `[tts]`."""
    if is_directory_name(config.model):
        return _open_exported_voice(config, directory)
    if config.language:
        raise ConfigError(
            "tts.language is for voices that `halfsecond export tts` wrote, and "
            f"{config.model} is none; leave it out"
        )
    from halfsecond.models.tts import registry

    return registry.open_voice(
        config.model,
        directory,
        speaker=config.voice,
        threads=config.threads,
        device=config.device,
        voiceprint=_voiceprint(config),
    )


def _voiceprint(config: TtsConfig) -> Voiceprint | None:
    return read_voiceprint(Path(config.voiceprint)) if config.voiceprint else None


def _open_exported_voice(config: TtsConfig, directory: Path) -> Voice:
    from halfsecond.models.tts.vits import VitsVoice

    return VitsVoice(
        directory,
        speaker=config.voice,
        language=config.language,
        voiceprint=_voiceprint(config),
        threads=config.threads,
        device=config.device,
    )


def open_drivers(
    config: FaceConfig, models: Path, *, home: Path | None = None, has_phrases: bool = False
) -> OpenDriver:
    """Prepares the face of `[face]`, and returns what makes a driver for each session.

    models: directory of the face detector and landmarks. home: of the store whose avatars clients
    may choose; None: there are none.
    has_phrases: what is said comes again, so that what a network draws for it is kept.

    Raises:
        PortraitError: the picture cannot become a face.
        ModelError: the avatar is missing or not what was exported.
        ConfigError: Wav2Lip without a model file, an avatar that is not there, or a compiled mouth
            without one.
    """
    from halfsecond.stages.avatars import Avatars

    avatars = Avatars(_own_face(config, models, home), home)
    liveliness = Liveliness(
        is_blinking=config.is_blinking,
        is_moving=config.is_moving,
        is_expressive=config.is_expressive,
    )
    if config.driver == "wav2lip":
        from halfsecond.models.lipsync.patch_memory import REMEMBERED_FRAMES

        memory = REMEMBERED_FRAMES if has_phrases else 0
        return _open_wav2lip(config, avatars, liveliness, remembered_frames=memory)
    open_mesh = _open_mesh(config, avatars, liveliness)
    if config.driver == "compiled":
        return _open_compiled(config, avatars, liveliness, home, otherwise=open_mesh)
    return open_mesh


def _open_mesh(config: FaceConfig, avatars: Avatars, liveliness: Liveliness) -> OpenDriver:
    from halfsecond.models.lipsync.mesh import MeshLipSync

    def open_driver(avatar: str | Avatar = "", *, fps: int | None = None) -> LipSync:
        return MeshLipSync(
            avatars.get(avatar),
            fps=fps or config.fps,
            idle_fps=config.idle_fps,
            seed=config.seed,
            liveliness=liveliness,
        )

    return open_driver


def _own_face(config: FaceConfig, models: Path, home: Path | None) -> Avatar:
    from halfsecond.models.face.finder import FaceFinder
    from halfsecond.models.face.portrait import load_portrait
    from halfsecond.models.lipsync.avatar import Avatar
    from halfsecond.models.lipsync.avatar_file import avatar_directory, read_avatar

    if config.avatar:
        return read_avatar(avatar_directory(config.avatar, home or Path()))
    picture = Path(config.portrait) if config.portrait else asset(DEMO_PORTRAIT)
    finder = FaceFinder(models / "face_detector.onnx", models / "face_landmarks.onnx")
    return Avatar.of(load_portrait(picture, finder, size=(config.width, config.height)))


def _open_wav2lip(
    config: FaceConfig, avatars: Avatars, liveliness: Liveliness, *, remembered_frames: int
) -> OpenDriver:
    """The network is shared: all drivers are called from the stage's one thread."""
    if not config.wav2lip:
        raise ConfigError(
            'face.driver = "wav2lip" needs face.wav2lip, the ONNX file of a Wav2Lip generator'
        )
    from halfsecond.models.lipsync.compositor import Compositor
    from halfsecond.models.lipsync.expression import Expression
    from halfsecond.models.lipsync.patch_memory import PatchMemory
    from halfsecond.models.lipsync.wav2lip import Wav2LipSync
    from halfsecond.models.lipsync.wav2lip_network import Wav2LipNetwork

    network = Wav2LipNetwork(
        Path(config.wav2lip),
        threads=config.threads,
        device=config.device,
        memory=PatchMemory(frames=remembered_frames),
    )

    def open_driver(avatar: str | Avatar = "", *, fps: int | None = None) -> LipSync:
        expression = Expression(seed=config.seed, liveliness=liveliness)
        compositor = Compositor(avatars.get(avatar), expression=expression)
        is_visitors = not isinstance(avatar, str)
        drawn_by = network.without_memory() if is_visitors else network
        return Wav2LipSync(drawn_by, compositor, fps=fps or config.fps, idle_fps=config.idle_fps)

    return open_driver


def open_workshop(config: Config, store: Store) -> Workshop | None:
    """Where the files of visitors are looked at; None where none are taken.

    Raises ModelError: a model that they are looked at with is not there.
    """
    uploads = config.uploads
    wanted = ["face"] if uploads.takes_portraits else []
    if uploads.takes_voices:
        wanted += ["silero-vad", "speaker-encoder"]
    if not wanted:
        return None
    from halfsecond.uploads.workshop import Workshop

    return Workshop(
        {name: str(store.path(name)) for name in wanted},
        most_megapixels=uploads.max_megapixels,
        time_limit_s=uploads.time_limit_s,
    )


def _open_compiled(
    config: FaceConfig,
    avatars: Avatars,
    liveliness: Liveliness,
    home: Path | None,
    *,
    otherwise: OpenDriver,
) -> OpenDriver:
    """`otherwise` makes the drivers of faces that have no mouth of their own, as visitors' have."""
    from halfsecond.models.lipsync.compiled_mouth import NO_AVATAR, CompiledMouth
    from halfsecond.models.lipsync.compositor import Compositor
    from halfsecond.models.lipsync.expression import Expression
    from halfsecond.models.lipsync.wav2lip import Wav2LipSync
    from halfsecond.stages.compiled_mouths import CompiledMouths

    if not config.avatar:
        raise ConfigError(NO_AVATAR)
    mouths = CompiledMouths(config, home or Path())

    def open_driver(avatar: str | Avatar = "", *, fps: int | None = None) -> LipSync:
        face = avatars.get(avatar)
        mouth: CompiledMouth | None = None  # a visitor's face has none, whatever it is called
        if face is avatars.get():
            mouth = mouths.own
        elif isinstance(avatar, str):
            mouth = mouths.get(avatar)
        if mouth is None:
            return otherwise(avatar, fps=fps)
        compositor = Compositor(
            face, expression=Expression(seed=config.seed, liveliness=liveliness)
        )
        return Wav2LipSync(mouth, compositor, fps=fps or config.fps, idle_fps=config.idle_fps)

    return open_driver


def open_answerer(config: LlmConfig, directory: Path | None) -> Answerer:
    """The answerer of `[llm]`; `directory` holds the model of a local one."""
    from halfsecond.models.llm import registry

    return registry.open_answerer(
        config.kind,
        model_path=directory,
        device=config.device,
        threads=config.threads,
        base_url=config.base_url,
        model=config.model,
        api_key_env=config.api_key_env,
        function=config.function,
    )


def open_persona(config: Config) -> Persona:
    """The persona of `[persona]`, with the demonstration's facts where the config has none.

    Raises:
        ConfigError: the file of facts cannot be read.
    """
    wanted = config.persona
    facts = wanted.facts or _read_facts(Path(wanted.facts_file or asset(DEMO_FACTS)))
    return Persona(
        system=wanted.system,
        facts=FactsPage.parse(facts),
        unknown_answer=wanted.unknown_answer or UNKNOWN_ANSWER,
        layout=_layout(config),
        history_turns=wanted.history_turns,
    )


def _layout(config: Config) -> Layout:
    """Local models are taken for small ones, which repeat the fact beside the question."""
    if config.persona.layout != "auto":
        return config.persona.layout
    return "lines" if config.llm.kind == "local" else "page"


def _read_facts(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"persona.facts_file {path} cannot be read: {error}") from error
