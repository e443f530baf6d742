"""The config file: what can be set, its defaults, and what each setting trades.

Every section is a frozen struct; `docs/config.md` is generated from the docstrings here.
"""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Any, Literal, get_type_hints

import msgspec

from halfsecond.artifact import is_directory_name
from halfsecond.errors import ConfigError
from halfsecond.sessions.session import Device

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


BACKCHANNELS = (
    *("mm-hm", "mm-hmm", "mhm", "hmm", "hm", "mm", "mmm", "uh-huh", "uh", "um", "ah", "oh", "huh"),
    *("yeah", "yes", "yep", "okay", "ok", "right", "sure", "i see", "cool", "great", "wow", "good"),
    *("嗯", "嗯嗯", "哦", "对", "好", "好的", "是的"),
)
"""What people say while they listen (Yngve 1970: the back channel), as Whisper writes it."""
STOP_WORDS = (
    *("stop", "wait", "no", "sorry", "excuse me", "hold on", "hello", "hey", "quiet", "enough"),
    *("停", "等等", "不", "不是", "你好"),
)


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A section of the config file; a key that it does not have is an error."""


class ServerConfig(Section, frozen=True, kw_only=True):
    """Where clients connect, and how many."""

    bind: str = "ipc:///tmp/halfsecond/server.ipc"
    """ZeroMQ address. Any but `ipc://` and loopback requires `keys`."""
    keys: str | None = None
    """Directory with the server's CURVE key pair and the allow-list `clients/` of public keys."""
    max_sessions: int = 4
    """A further client is told that the server is busy."""
    session_timeout_s: float = 10.0
    """A client that is silent for this long loses its session, its history and its uploads."""
    stall_timeout_s: float = 5.0
    """A client that takes nothing for this long, while audio waits for it, loses its session."""


class TurnConfig(Section, frozen=True, kw_only=True):
    """When the visitor has finished, and when an answer stops."""

    pause_s: float = 0.09
    """Silence after which the answer is begun in secret, if `is_speculative`."""
    is_speculative: bool = True
    """Whether the chain runs ahead during the silence that ends a turn. Costs watts only."""
    is_eager: bool = True
    """Whether it does so at a fall of loudness already, before `pause_s`. Begins some 70 ms sooner,
    and in vain about once in two seconds of speech."""
    min_speech_s: float = 0.1
    """Speech shorter than this is a click. Longer loses a short "yes"."""
    can_interrupt: bool = True
    """Whether speech stops the answer. Needs a microphone that does not hear the answer."""
    interrupt_s: float = 0.35
    """Speech over an answer pauses it at once; from this length on its words are looked at, and
    words that are no `backchannels` stop it. Shorter looks sooner, and mistakes more coughs."""
    hold_s: float = 0.5
    """An answer that was paused goes on after this long if no words were found."""
    interrupt_anyway_s: float = 2.5
    """Speech this long stops the answer, whatever was understood of it."""
    interrupt_dbfs: float = -50.0
    """Quieter sounds do not pause the answer: people who talk at the other end of the room."""
    backchannels: tuple[str, ...] = BACKCHANNELS
    """What listeners say without wanting the word: the answer goes on."""
    stop_words: tuple[str, ...] = STOP_WORDS
    """Words that stop the answer however short they are."""
    max_utterance_s: float = 28.0
    """Longer speech is answered as it stands (Whisper hears 30 s at most)."""
    reopen_s: float = 1.5
    """Speech that goes on this soon after the last belongs to the same question: the answer that
    has begun is dropped, and the whole question answered. 0 takes every stretch for itself."""


class VadConfig(Section, frozen=True, kw_only=True):
    """Voice activity detection."""

    model: str = "silero-vad"
    """Catalog name (`halfsecond models list`)."""
    onset: float = 0.5
    """Speech probability that begins speech."""
    offset: float = 0.35
    """Speech probability below which a window counts as silence."""


class EchoConfig(Section, frozen=True, kw_only=True):
    """The face's own voice in the microphone."""

    kind: Literal["auto", "aec3", "none"] = "auto"
    """`aec3` subtracts what is played (WebRTC's canceller; `pip install 'halfsecond[aec]'`) and
    adds 8 ms to every wait; `none` is for microphones that do so themselves, or hear no
    loudspeaker. `auto` takes `aec3` where it is installed."""


class EndpointConfig(Section, frozen=True, kw_only=True):
    """How much silence ends a turn. All silences count from the last speech."""

    mode: Literal["smart", "silence"] = "smart"
    """`smart` waits as long as sound and words ask for; `silence` waits `silence_s` after anything:
    for languages and boxes without the model."""
    model: str = "smart-turn"
    """Catalog name of what tells finished turns from pauses by their sound."""
    silence_s: float = 0.5
    """Mode `silence`: the silence that ends a turn. Shorter answers sooner and cuts more people
    off."""
    complete_silence_s: float = 0.16
    """After what sounds and reads complete; some 40 ms pass until it is seen to be as long. Shorter
    gains nothing: the signs are not known sooner, and the first sound of an answer takes longer."""
    unsure_silence_s: float = 0.38
    """When the signs disagree, or none is known yet."""
    incomplete_silence_s: float = 1.5
    """After "where is the" or "um": the longest wait, and what a wrong sign costs a visitor."""
    complete_above: float = 0.85
    """Probability of an end from which a turn counts as complete. Lower answers more visitors
    early, and cuts more of them off."""
    incomplete_below: float = 0.3
    """Probability of an end below which it counts as incomplete. Higher makes more visitors wait
    for `incomplete_silence_s`."""

    @property
    def shortest_silence_s(self) -> float:
        """The least silence after which a turn may end."""
        return self.silence_s if self.mode == "silence" else self.complete_silence_s

    @property
    def longest_silence_s(self) -> float:
        """The silence after which it ends whatever was said."""
        return self.silence_s if self.mode == "silence" else self.incomplete_silence_s


class AsrConfig(Section, frozen=True, kw_only=True):
    """Speech recognition."""

    model: str = "whisper-tiny.en-onnx"
    """Catalog name (`whisper-base-onnx` hears other languages than English too), or the directory
    that `halfsecond export whisper` wrote, with a slash in it; `portable-fp16` or its TensorRT
    engines are for a GPU."""
    device: Device = "auto"
    """`auto` takes a GPU where the model can use it, `cuda` refuses to start without one, `cpu`
    takes none. The catalog's ONNX models are written for the CPU and stay there; models for
    CTranslate2 run on both."""
    threads: int = 1
    """Of one call. More can be slower on few cores: measure with `bench stages`."""
    margin_s: float = 1.25
    """Context beyond the utterance. With 1 s tiny.en loses two words of 122 on an AMD EPYC and none
    on an Intel Xeon, whose INT8 products differ; below 1 s small models fall into repetition."""


class LlmConfig(Section, frozen=True, kw_only=True):
    """Where answers come from."""

    kind: Literal["local", "openai", "function"] = "local"
    """A model on this machine, an OpenAI-compatible address, or a Python function of yours."""
    model: str = "smollm2-135m-onnx"
    """Catalog name or the directory that `halfsecond export llm` wrote, with a slash in it (local);
    or the model's name at `base_url` (openai)."""
    device: Device = "auto"
    """As for `asr`; for a local model. `smollm2-135m-int8` runs on both."""
    threads: int = 1
    """More can be slower where voice and face work beside it: measure with `bench threads`."""
    base_url: str = ""
    """Of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key; the key itself is never in a file."""
    function: str = ""
    """`module:callable` of the integrator's function."""
    temperature: float = 0.0
    """0 always takes the likeliest token; small models stay truthful only there."""
    top_p: float = 1.0
    """Tokens are drawn from the likeliest that together have this probability."""
    repetition_penalty: float = 1.0
    """Above 1 makes tokens that were used less likely. It also makes small models change numbers:
    with 1.1 "six to fifteen" became "sixteen to eighteen"."""
    max_tokens: int = 64
    """Longest answer; some 50 English words."""
    seed: int | None = None
    """Makes drawn tokens repeatable."""


class PersonaConfig(Section, frozen=True, kw_only=True):
    """Who answers, and what is true."""

    system: str = ""
    """System prompt; empty takes the built-in one, which answers from the facts in a sentence."""
    facts: str = ""
    """A page of facts, one a line. Without any, the demonstration's space museum is taken."""
    facts_file: str = ""
    """A text file of facts instead, relative to the config file."""
    layout: Literal["auto", "lines", "page"] = "auto"
    """Whether the facts that fit stand beside each question ("lines"), or the whole page before all
    of them ("page"). Models below about a billion parameters need "lines"; "auto" takes it for
    local ones."""
    unknown_answer: str = ""
    """What is said when the facts do not hold the answer; empty takes the built-in sentence."""
    history_turns: int = 4
    """Turns that are remembered while the visitor stays."""


class PresetQuestion(Section, frozen=True, kw_only=True):
    """A question with an answer of its own."""

    question: str
    answer: str


class PhrasesConfig(Section, frozen=True, kw_only=True):
    """What is said again and again: its sound is made ahead and kept, so that it comes at once."""

    greeting: str = ""
    """What a client that says `greet` gets to hear."""
    openings: tuple[str, ...] = ()
    """Such as "Let me see.": said, in turn, where a visitor has finished and the answer is not
    there yet. Benchmarks measure without any."""
    presets: tuple[PresetQuestion, ...] = ()
    """`[[phrases.presets]]` tables of `question` and `answer`: a question with these words gets
    this answer without the language model. Clients are told the questions, for buttons."""
    remembered_s: float = 90.0
    """Spoken clauses that are remembered besides, in seconds of speech (0.1 MB each). 0 makes
    every clause anew."""

    @property
    def is_used(self) -> bool:
        """Whether anything is said that is known beforehand."""
        return bool(self.greeting or self.openings or self.presets)


class TtsConfig(Section, frozen=True, kw_only=True):
    """The voice."""

    model: str = "hibari"
    """Catalog name: `hibari` speaks English, `kokoro` English and Chinese; or a directory that
    `halfsecond export tts` or `halfsecond engines build` wrote, with a slash in its name."""
    voice: str = ""
    """One of the model's voices, or a blend of Kokoro's (`af_heart:0.6+bf_emma:0.4`); empty takes
    its default."""
    language: str = ""
    """Of an exported voice that speaks several, such as "pt-br"; empty takes its first."""
    voiceprint: str = ""
    """File with the voiceprint of whom an exported YourTTS speaks as."""
    speed: float = 1.0
    """1 is the voice's own pace."""
    device: Device = "auto"
    """`hibari` and `kokoro` are quantised for the CPU: `auto` leaves them there, and `cuda` runs
    what a GPU can of them. Of an exported voice it is where the back runs, as for `asr`."""
    threads: int = 1
    """Of one call; hibari needs no more than one."""

    @property
    def label(self) -> str:
        """The voice's name for clients, who need not know where it lies."""
        return self.voice or "/".join(Path(self.model).parts[-2:])


class FaceConfig(Section, frozen=True, kw_only=True):
    """The face and its lips."""

    avatar: str = ""
    """Name of an avatar that `halfsecond export avatar` installed, or its directory, with a slash
    in it: a face with everything ready. A client may choose another installed one."""
    portrait: str = ""
    """Picture file instead, relative to the config file; without either the demonstration's."""
    driver: Literal["mesh", "wav2lip"] = "mesh"
    """`mesh` warps the portrait and needs no lip model; `wav2lip` runs your own checkpoint."""
    wav2lip: str = ""
    """ONNX file of a Wav2Lip generator, or a directory that `halfsecond export wav2lip` or
    `halfsecond engines build` wrote."""
    device: Device = "auto"
    """Of Wav2Lip's network, as for `asr`. The mesh driver and the face models use the CPU."""
    model: str = "face"
    """Catalog name of the face detector and landmarks."""
    width: int = 512
    """Of the pictures that are made of a portrait, in pixels; an avatar has its own."""
    height: int = 512
    """Of the pictures that are made of a portrait, in pixels."""
    fps: int = 25
    """Pictures a second while speaking."""
    threads: int = 1
    """Of Wav2Lip's network; the mesh driver takes one."""
    jpeg_quality: int = 85
    """30 to 100; higher is larger."""
    idle_fps: int = 12
    """Rate of the resting face; 0 sends none."""
    seed: int = 0
    """Blinks and head motion are the same for the same seed."""
    is_blinking: bool = True
    """Whether the face blinks."""
    is_moving: bool = True
    """Whether it breathes, sways and looks about, by little."""
    is_expressive: bool = True
    """Whether it smiles at a greeting, raises its brows at a question, listens and thinks."""


class StagesConfig(Section, frozen=True, kw_only=True):
    """Where each stage runs: "local", or the `ipc://` / `tcp://` address of `serve --stage`."""

    vad: str = "local"
    """Voice activity."""
    endpoint: str = "local"
    """Whether a turn is over, by its sound."""
    asr: str = "local"
    """Speech recognition."""
    llm: str = "local"
    """The answerer."""
    tts: str = "local"
    """The voice."""
    lipsync: str = "local"
    """The face; the one that is worth a machine of its own."""
    keys: str = ""
    """Directory of this machine's CURVE keys (`halfsecond keys`), for stages on other machines."""


class ThermalConfig(Section, frozen=True, kw_only=True):
    """What happens on a machine that grows hot: the face is drawn less often and smaller, before
    the machine slows itself down and the answer stutters. Sound and words stay as they are."""

    is_watched: bool = True
    """Whether it is done at all. Does nothing where the kernel shows no temperatures."""
    margin_c: float = 8.0
    """Degrees below the machine's own limit at which the first step is taken."""


class MemoryConfig(Section, frozen=True, kw_only=True):
    """What happens at the start on a machine whose memory is too small for the models."""

    is_fitted: bool = True
    """Whether smaller models are taken where there are any; the log says which, and why."""
    reserve_mb: int = 200
    """What is left free for others: with a browser on the same box some 600."""


class ModelsConfig(Section, frozen=True, kw_only=True):
    """Where models are."""

    home: str = ""
    """Directory of fetched and built models; empty takes the default one."""


class LogConfig(Section, frozen=True, kw_only=True):
    """What is written, and where figures are read."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is written."""
    format: Literal["console", "json"] = "console"
    """For people on a terminal, or one JSON object a line."""
    has_transcripts: bool = False
    """Whether questions and answers are written to the log."""
    metrics_port: int = 0
    """Port on 127.0.0.1 for Prometheus; 0 opens none."""


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
    greets: bool = False
    """Whether the first touch after a rest is greeted (`phrases.greeting`)."""
    rest_after_s: float = 45.0
    """Without a word for this long the page returns to rest, and what was said is forgotten."""
    transport: Literal["auto", "websocket", "webrtc"] = "auto"
    """`auto` takes the WebSocket, which is quicker and cheaper; `webrtc` falls back to it."""
    sound: Literal["pcm", "opus"] = "pcm"
    """Of the WebSocket: `opus` takes a twentieth of the bytes and some milliseconds more."""


class Config(Section, frozen=True, kw_only=True):
    """The whole file."""

    server: ServerConfig = ServerConfig()
    turn: TurnConfig = TurnConfig()
    vad: VadConfig = VadConfig()
    echo: EchoConfig = EchoConfig()
    endpoint: EndpointConfig = EndpointConfig()
    asr: AsrConfig = AsrConfig()
    llm: LlmConfig = LlmConfig()
    persona: PersonaConfig = PersonaConfig()
    phrases: PhrasesConfig = PhrasesConfig()
    tts: TtsConfig = TtsConfig()
    face: FaceConfig = FaceConfig()
    stages: StagesConfig = StagesConfig()
    thermal: ThermalConfig = ThermalConfig()
    memory: MemoryConfig = MemoryConfig()
    models: ModelsConfig = ModelsConfig()
    log: LogConfig = LogConfig()
    gateway: GatewayConfig = GatewayConfig()
    kiosk: KioskConfig = KioskConfig()
    language: str = "en"


def load(path: Path | None) -> Config:
    """The config of a file, or the defaults; paths in it become absolute.

    Raises:
        ConfigError: no such file, no TOML, an unknown key, or a value of the wrong kind or range.
    """
    if path is None:
        return Config()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"there is no config file {path}") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return _with_absolute_paths(parse(table, source=str(path)), path.resolve().parent)


def parse(table: dict[str, Any], *, source: str = "the config") -> Config:
    """The config that a parsed TOML table describes; raises ConfigError as `load`."""
    _refuse_unknown_keys(table, Config, where="", source=source)
    from halfsecond.config_limits import check_ranges  # which wants `Config` itself

    try:
        config = msgspec.convert(table, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_plain(str(error))}") from error
    check_ranges(config, source)
    return config


def _plain(message: str) -> str:
    return message.replace(" - at `$.", " at `").replace("`$", "`")


def _refuse_unknown_keys(
    table: dict[str, Any], section: type[msgspec.Struct], *, where: str, source: str
) -> None:
    types = get_type_hints(section)
    for key, value in table.items():
        if key not in types:
            known = ", ".join(sorted(types))
            place = f"[{where}] has no key" if where else "there is no section or key"
            raise ConfigError(f"{source}: {place} `{key}`; it can be one of: {known}")
        inner = types[key]
        if (
            isinstance(inner, type)
            and issubclass(inner, msgspec.Struct)
            and isinstance(value, dict)
        ):
            _refuse_unknown_keys(value, inner, where=key, source=source)


def _with_absolute_paths(config: Config, folder: Path) -> Config:
    def absolute(path: str) -> str:
        return str(folder / Path(path).expanduser()) if path else path

    replace = msgspec.structs.replace
    gateway = config.gateway
    gateway_files = ("keys", "certificate", "certificate_key", "token_secret", "log_file")
    asr = config.asr
    if is_directory_name(asr.model):
        asr = replace(asr, model=absolute(asr.model))
    llm = config.llm
    if llm.kind == "local" and is_directory_name(llm.model):
        llm = replace(llm, model=absolute(llm.model))
    tts = replace(config.tts, voiceprint=absolute(config.tts.voiceprint))
    if is_directory_name(tts.model):
        tts = replace(tts, model=absolute(tts.model))
    avatar = config.face.avatar
    if is_directory_name(avatar):
        avatar = absolute(avatar)
    return replace(
        config,
        asr=asr,
        llm=llm,
        tts=tts,
        server=replace(config.server, keys=absolute(config.server.keys or "") or None),
        persona=replace(config.persona, facts_file=absolute(config.persona.facts_file)),
        face=replace(
            config.face,
            avatar=avatar,
            portrait=absolute(config.face.portrait),
            wav2lip=absolute(config.face.wav2lip),
        ),
        stages=replace(config.stages, keys=absolute(config.stages.keys)),
        gateway=replace(gateway, **{key: absolute(getattr(gateway, key)) for key in gateway_files}),
        models=replace(config.models, home=absolute(config.models.home)),
    )
