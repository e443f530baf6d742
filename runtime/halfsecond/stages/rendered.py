"""Phrases that were rendered ahead: a file of clauses and their sound, for one voice at one speed.

`halfsecond export phrases` writes it, and the voice's stage speaks from it. It belongs to one set
of `VoiceFacts`: when the model's files, the speaker or the pace change, it is stale and not used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import structlog

from halfsecond.artifact import is_directory_name, read_artifact
from halfsecond.audio import float_to_pcm16, pcm16_to_float
from halfsecond.config import TtsConfig
from halfsecond.models.tts.voice import SPEECH_RATE_HZ, Phone, SpeechChunk
from halfsecond.store import Store
from halfsecond.store.hashes import sha256_of, write_atomically

log = structlog.get_logger(__name__)

FOLDER = "phrases"
SUFFIX = ".phrases"

Spoken = tuple[SpeechChunk, ...]


class VoiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What decides how a clause sounds, besides its words.

    files: SHA-256 of the model's files by name.
    voiceprint: SHA-256 of the file; empty where the voice is one of the model's own.
    software: versions of what turns text into phonemes, and phonemes into sound.
    """

    model: str
    files: dict[str, str]
    voice: str
    language: str
    speed: float
    voiceprint: str
    software: dict[str, str]


def voice_facts(tts: TtsConfig, store: Store) -> VoiceFacts:
    """The facts of the voice of `[tts]`, whose model was found and verified before.

    Raises:
        ModelMissingError, ModelCorruptError: it was not.
    """
    if is_directory_name(tts.model):
        artifact = read_artifact(Path(tts.model).expanduser())
        files = {name: file.sha256 for name, file in artifact.files.items()}
    else:
        manifest = store.manifest(tts.model)
        files = {} if manifest is None else {file.path: file.sha256 for file in manifest.files}
    return VoiceFacts(
        model=tts.model,
        files=files,
        voice=tts.voice,
        language=tts.language,
        speed=tts.speed,
        voiceprint=sha256_of(Path(tts.voiceprint)) if tts.voiceprint else "",
        software=_software(),
    )


def _software() -> dict[str, str]:
    found = {}
    for name in ("halfsecond", "hibari-tts", "misaki", "onnxruntime"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


class RenderedChunk(msgspec.Struct, frozen=True):
    """A `SpeechChunk`: 16-bit PCM, little-endian, and phones as (symbol, start, end)."""

    pcm: bytes
    text: str
    phones: list[tuple[str, float, float]]


class RenderedPhrases(msgspec.Struct, frozen=True, kw_only=True):
    """The file: MessagePack of this."""

    facts: VoiceFacts
    clauses: dict[str, list[RenderedChunk]]

    @property
    def seconds(self) -> float:
        """Speech in it."""
        chunks = (chunk for clause in self.clauses.values() for chunk in clause)
        return sum(len(chunk.pcm) for chunk in chunks) / 2 / SPEECH_RATE_HZ


@dataclass(frozen=True)
class PhraseShelf:
    """Where rendered phrases lie, and which voice wants them."""

    folder: Path
    facts: VoiceFacts

    @classmethod
    def of(cls, tts: TtsConfig, store: Store) -> PhraseShelf:
        """The shelf of the voice of `[tts]`; raises as `voice_facts`."""
        return cls(store.home / "artifacts" / FOLDER, voice_facts(tts, store))

    @property
    def path(self) -> Path:
        """The file of this model and speaker, whatever its pace and versions."""
        facts = self.facts
        named = (facts.model, facts.voice, facts.language, facts.voiceprint[:12])
        parts = [Path(part).name for part in named if part]
        plain = "".join(c if c.isalnum() or c in "-_.+" else "_" for c in "-".join(parts))
        return self.folder / f"{plain}{SUFFIX}"

    def write(self, clauses: Mapping[str, Iterable[SpeechChunk]]) -> RenderedPhrases:
        """Leaves the file, whole or not at all."""
        stored = {text: [_stored(chunk) for chunk in spoken] for text, spoken in clauses.items()}
        rendered = RenderedPhrases(facts=self.facts, clauses=stored)
        write_atomically(self.path, msgspec.msgpack.encode(rendered))
        return rendered

    def read(self, wanted: Iterable[str]) -> dict[str, Spoken]:
        """Those of the wanted clauses that are there, by their text.

        Of another voice's file, a broken one and of clauses that are not in it, one line of the log
        tells; they are rendered as if there were no file.
        """
        if not self.path.is_file():
            return {}
        clauses = [clause.strip() for clause in wanted]
        try:
            rendered = msgspec.msgpack.decode(self.path.read_bytes(), type=RenderedPhrases)
        except (msgspec.DecodeError, OSError) as error:
            return self._ignored(f"the file cannot be read ({error})")
        if rendered.facts != self.facts:
            return self._ignored(f"made with another {_changed(rendered.facts, self.facts)}")
        found = {
            text: tuple(_spoken(chunk) for chunk in rendered.clauses[text])
            for text in clauses
            if text in rendered.clauses
        }
        if len(found) < len(set(clauses)):
            self._ignored(f"{len(set(clauses)) - len(found)} phrases of the config are not in it")
        return found

    def _ignored(self, reason: str) -> dict[str, Spoken]:
        log.warning(
            "rendered phrases are stale",
            file=str(self.path),
            reason=reason,
            remedy="run `halfsecond export phrases` again",
        )
        return {}


def _changed(before: VoiceFacts, now: VoiceFacts) -> str:
    names = before.__struct_fields__
    return ", ".join(name for name in names if getattr(before, name) != getattr(now, name))


def _stored(chunk: SpeechChunk) -> RenderedChunk:
    phones = [(phone.symbol, phone.start_s, phone.end_s) for phone in chunk.phones]
    return RenderedChunk(float_to_pcm16(chunk.samples), chunk.text, phones)


def _spoken(chunk: RenderedChunk) -> SpeechChunk:
    phones = tuple(Phone(symbol, start_s, end_s) for symbol, start_s, end_s in chunk.phones)
    return SpeechChunk(pcm16_to_float(chunk.pcm), chunk.text, phones)
