"""Kokoro-82M: 36 speakers of English and Chinese, some thirty times the work of hibari.

Speakers can be blended ("af_heart:0.6+bf_emma:0.4"): the mean of their vectors is another voice,
and nobody's. A voiceprint of `halfsecond export voice --engine kokoro` is a vector that was fitted
to somebody's recording.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halfsecond.errors import ConfigError, ModelCorruptError, ModelMissingError
from halfsecond.models.tts.levels import Gains, amplified
from halfsecond.models.tts.phones import PAD, alphabet, phones_from_durations, settle
from halfsecond.models.tts.pieces import spoken_pieces
from halfsecond.models.tts.voice import Phone, SpeechChunk
from halfsecond.sessions import Device, Session, open_session
from halfsecond.voiceprint import SUFFIX, Voiceprint

DEFAULT_SPEAKER = "af_heart"
KOKORO_FILE = "kokoro-v1.0.int8.onnx"
STYLE_ENCODER = "kokoro-82m"
"""What voiceprints call what made them, where their numbers are a style of Kokoro."""

FRAME_S = 0.025
"""The unit of the network's durations (600 samples)."""

_AHEAD_S = 0.05
_STYLE_SIZE = 256
_LANGUAGES = {"a": "en", "b": "en", "z": "zh"}
"""Language by the first letter of a speaker's name; the others have no phonemizer here."""

_MAX_WORDS = 12
"""Longer sentences are spoken comma by comma: Kokoro takes seconds for a long one."""

_REFERENCES = {
    "en": "Hello there, and welcome to the museum. How may I help you today?",
    "zh": "您好，欢迎来到博物馆。请问有什么可以帮您？",
}
"""Spoken when the voice is opened: warms the engine up and sets the gain."""


class KokoroVoice:
    """One speaker of Kokoro-82M, or a blend of several. One thread at a time."""

    def __init__(
        self,
        model: Path,
        style: Path | Mapping[Path, float],
        *,
        voiceprint: Voiceprint | None = None,
        threads: int = 1,
        device: Device = "auto",
    ) -> None:
        """Loads the voice and speaks once, so that the first turn is as fast as the next.

        Args:
            model: Kokoro's ONNX model; phones are given if it has the output "durations".
            style: the speaker's vectors, float32 (510, 1, 256), one per number of phonemes. The
                name of the file is the speaker's, and its first letter tells the language. Several
                are blended, each as much as its number says.
            voiceprint: of whom it speaks as, in the speaker's language.
            device: the model is quantised for the CPU, where "auto" leaves it.

        Raises:
            ConfigError: the speaker's language has no phonemizer here, or those of a blend speak
                several.
            ModelMissingError, ModelCorruptError: a file is not there, or cannot be read.
            UnsupportedModelError: Chinese needs a package that is not installed, or the voiceprint
                is another speaker encoder's.
        """
        parts = {style: 1.0} if isinstance(style, Path) else dict(style)
        self.language = _common_language([part.stem for part in parts])
        self.name = f"kokoro/{_blend_name({part.stem: share for part, share in parts.items()})}"
        self._speakers = _blended_styles(parts)
        is_british = all(part.stem.startswith("b") for part in parts)
        self._session: Session = open_session(
            model, threads=threads, device="cpu" if device == "auto" else device, priority="high"
        )
        names = [output.name for output in self._session.outputs]
        self._has_durations = "durations" in names
        self._outputs = [names[0], "durations"] if self._has_durations else names[:1]
        self._phonemize = _open_phonemizer(self.language, is_british=is_british)
        self._gains = Gains()
        self.voiceprint = voiceprint

    @property
    def voiceprint(self) -> Voiceprint | None:
        """Of whom it speaks as; None: as the speaker. Another may be set between two clauses.

        Nothing is loaded for it; a new one speaks a sentence unheard, to be as loud as all are.
        """
        return self._voiceprint

    @voiceprint.setter
    def voiceprint(self, voiceprint: Voiceprint | None) -> None:
        self._styles = self._speakers if voiceprint is None else style_of(voiceprint)[None]
        self._voiceprint = voiceprint
        self._gain = 1.0
        self._gain = self._gains.of(self._styles, self._reference)

    def speak(self, clause: str, *, speed: float = 1.0) -> Iterator[SpeechChunk]:
        """See `Voice.speak`."""
        return spoken_pieces(
            clause,
            phonemize=self._phonemize,
            synthesize=lambda phonemes: self._synthesize(phonemes, speed=speed),
            speed=speed,
            max_words=_MAX_WORDS,
        )

    def close(self) -> None:
        """Lets the engine go; the voice cannot speak afterwards."""
        self._session.close()

    def _reference(self) -> NDArray[np.float32]:
        return self._synthesize(self._phonemize(_REFERENCES[self.language]), speed=1.0)[0]

    def _synthesize(
        self, phonemes: str, *, speed: float
    ) -> tuple[NDArray[np.float32], tuple[Phone, ...]]:
        symbols = _symbols(phonemes)
        inputs = network_inputs(phonemes, self._styles, speed=speed)
        outputs = list(self._session.run(inputs, self._outputs).values())
        samples = amplified(outputs[0].reshape(-1), self._gain)
        if not self._has_durations:
            return samples, ()
        durations_s = outputs[1].reshape(-1) * FRAME_S
        phones = phones_from_durations(symbols, durations_s, shift_s=-_AHEAD_S)
        return samples, settle(phones, samples)


def network_inputs(
    phonemes: str, styles: NDArray[np.float32], *, speed: float = 1.0
) -> dict[str, NDArray[Any]]:
    """What the network takes to say phonemes; what it does not know is left out.

    styles: (n, 256), a row per number of phonemes, or a single one.
    """
    table, symbols = alphabet(), _symbols(phonemes)
    # The style of n phonemes is row n - 1, as in Kokoro's own pipeline.
    style = styles[min(len(symbols) - 3, len(styles) - 1)]
    return {
        "tokens": np.array([[table.get(symbol, 0) for symbol in symbols]], np.int64),
        "style": style[None],
        "speed": np.array([speed], np.float32),
    }


def _symbols(phonemes: str) -> list[str]:
    table = alphabet()
    return [PAD, *(symbol for symbol in phonemes if symbol in table), PAD]


def style_of(voiceprint: Voiceprint) -> NDArray[np.float32]:
    """The (256,) style in a voiceprint that was fitted to Kokoro.

    Raises:
        UnsupportedModelError: it is another speaker encoder's.
        ModelCorruptError: it has another size.
    """
    values = voiceprint.for_encoder(STYLE_ENCODER)
    if values.size != _STYLE_SIZE:
        raise ModelCorruptError(
            f'the voiceprint "{voiceprint.name}" has {values.size} numbers, and a style of Kokoro '
            f"has {_STYLE_SIZE}; make it again with `halfsecond export voice --engine kokoro`"
        )
    return values


def open_kokoro(
    directory: Path,
    speaker: str,
    *,
    threads: int,
    seed: int,  # noqa: ARG001
    device: Device = "auto",
    voiceprint: Voiceprint | None = None,
) -> KokoroVoice:
    """A speaker of Kokoro from `kokoro-v1.0.int8.onnx` and `voices/` in `directory`.

    Kokoro draws its noise inside the network, so the seed changes nothing (see `VoiceOpener`).
    """
    if speaker.endswith(SUFFIX):
        raise ConfigError(
            f"{speaker} is a voiceprint, and tts.voice names one of Kokoro's own speakers; name "
            "the file in tts.voiceprint"
        )
    parts = {
        _style_file(directory, name): share
        for name, share in blend_parts(speaker or DEFAULT_SPEAKER).items()
    }
    return KokoroVoice(
        directory / KOKORO_FILE, parts, voiceprint=voiceprint, threads=threads, device=device
    )


def blend_parts(speaker: str) -> dict[str, float]:
    """Names and shares of "af_heart:0.6+bf_emma:0.4"; the shares add up to 1.

    Without numbers all have the same share; a single name is a blend of one.

    Raises:
        ConfigError: a share that is no number above 0, or a name that comes twice.
    """
    shares: dict[str, float] = {}
    for part in speaker.split("+"):
        name, _, number = (text.strip() for text in part.partition(":"))
        try:
            share = float(number) if number else 1.0
        except ValueError:
            share = math.nan
        if not name or name in shares or not 0.0 < share < math.inf:
            raise ConfigError(
                f'the voice "{speaker}" cannot be blended at "{part}"; expected speakers of Kokoro '
                'and how much of each, such as "af_heart:0.6+bf_emma:0.4"'
            )
        shares[name] = share
    total = sum(shares.values())
    return {name: share / total for name, share in shares.items()}


def _style_file(directory: Path, name: str) -> Path:
    style = directory / "voices" / f"{name}.bin"
    if not style.is_file():
        known = [path.stem for path in sorted((directory / "voices").glob("*.bin"))]
        speakers = ", ".join(known_name for known_name in known if known_name[0] in _LANGUAGES)
        if not speakers:
            raise ModelMissingError(f"no speaker in {style.parent}; run `halfsecond models fetch`")
        raise ConfigError(f'Kokoro has no speaker "{name}" here; the speakers are {speakers}')
    return style


def speaker_language(speaker: str) -> str:
    """The BCP 47 tag of what a speaker speaks, by its name ("zf_xiaobei" → "zh").

    Raises:
        ConfigError: a language that has no phonemizer here.
    """
    language = _LANGUAGES.get(speaker[:1])
    if language is None:
        raise ConfigError(
            f'Kokoro\'s speaker "{speaker}" speaks a language that halfsecond cannot read; '
            "take one whose name begins with a or b (English) or z (Chinese)"
        )
    return language


def _open_phonemizer(language: str, *, is_british: bool) -> Callable[[str], str]:
    if language == "zh":
        from halfsecond.models.tts.chinese import ChinesePhonemizer

        return ChinesePhonemizer()
    from halfsecond.models.tts.english import EnglishPhonemizer

    return EnglishPhonemizer(is_british=is_british)


def _common_language(speakers: list[str]) -> str:
    languages = {speaker: speaker_language(speaker) for speaker in speakers}
    if len(set(languages.values())) > 1:
        spoken = ", ".join(f"{speaker} ({language})" for speaker, language in languages.items())
        raise ConfigError(f"a blend speaks one language, and these speak several: {spoken}")
    return languages[speakers[0]]


def _blend_name(shares: Mapping[str, float]) -> str:
    if len(shares) == 1:
        return next(iter(shares))
    return "+".join(f"{name}:{share:.2g}" for name, share in shares.items())


def _blended_styles(parts: Mapping[Path, float]) -> NDArray[np.float32]:
    styles = {path: read_styles(path) for path in parts}
    rows = min(map(len, styles.values()))
    blended = sum(share * styles[path][:rows] for path, share in parts.items())
    return np.asarray(blended, np.float32)


def read_styles(path: Path) -> NDArray[np.float32]:
    """(510, 256): a speaker's vectors, one per number of phonemes.

    Raises ModelMissingError, ModelCorruptError.
    """
    if not path.is_file():
        raise ModelMissingError(f"no speaker at {path}; run `halfsecond models fetch`")
    data = path.read_bytes()
    if not data or len(data) % (4 * _STYLE_SIZE):
        raise ModelCorruptError(
            f"{path} has {len(data)} bytes, no whole number of {_STYLE_SIZE} float32 values; "
            "run `halfsecond models verify`, then `halfsecond models fetch`"
        )
    return np.frombuffer(data, "<f4").reshape(-1, _STYLE_SIZE)
