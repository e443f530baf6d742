"""From a voice to artifacts: cut, written, compared with its source, and judged."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from halfsecond.artifact import (
    Artifact,
    Check,
    Precision,
    Profile,
    Tensor,
    describe_file,
    write_artifact,
)
from halfsecond.errors import ConfigError
from halfsecond.models.tts.vits_config import (
    ARTIFACT_KIND,
    BACK_NAME,
    CONFIG_NAME,
    FRONT_NAME,
    VitsConfig,
    check_voiceprint,
    encode_config,
)
from halfsecond.models.tts.vits_network import VitsNetwork
from halfsecond.models.tts.vits_symbols import open_phonemizer
from halfsecond.sessions import open_session
from halfsecond.voiceprint import Voiceprint
from halfsecond_export.engines.fp16_on_cpu import emulate_fp16
from halfsecond_export.engines.network import network_inputs, save_network
from halfsecond_export.engines.passes.fp16 import to_fp16
from halfsecond_export.formats import hashes_of
from halfsecond_export.prepare.request import replaced_directory
from halfsecond_export.tts.parity import (
    SENTENCES,
    Listener,
    Seams,
    Speaker,
    Utterance,
    control_check,
    damaged,
    joined,
    least_context,
    number_checks,
    seam_check,
)
from halfsecond_export.tts.receptive_field import receptive_field
from halfsecond_export.tts.voice_source import VoiceSource

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
# Frames of 256 samples at 22,050 Hz: one, a window of 1 s with its context, and 23 s.
_FRAMES = (1, 128, 2000)
_LIBRARIES = ("onnx", "onnxruntime", "numpy")

Progress = Callable[[float, str], None]
"""Hears the part that is done, 0 to 1, and what comes next."""


@dataclass(frozen=True)
class Request:
    """What to export, to where, and what to compare on.

    out: gets a directory for each precision.
    whisper: directory of a Whisper that writes down what is said; None leaves the words out.
    voiceprint: for a voice that wants one; None takes an arbitrary one.
    """

    source: VoiceSource
    out: Path
    rebuild: str
    sentences: Sequence[str] = SENTENCES
    precisions: Sequence[str] = PRECISIONS
    whisper: Path | None = None
    voiceprint: Voiceprint | None = None
    threads: int = 2


def export(
    request: Request, *, progress: Progress = lambda _done, _text: None
) -> dict[str, Artifact]:
    """Writes the artifacts, and gives their manifests; rejected ones are written too.

    Raises ConfigError for a precision or symbols that are not known, UnsupportedModelError for a
    voice whose phonemes cannot be made here.
    """
    if unknown := sorted(set(request.precisions) - set(PRECISIONS)):
        raise ConfigError(
            f"there is no precision {', '.join(unknown)}; there are {', '.join(PRECISIONS)}"
        )
    with tempfile.TemporaryDirectory(prefix="halfsecond-tts-") as work:
        progress(0.0, "the whole voice, to compare with")
        exporter = _Exporter(request, Path(work), progress)
        try:
            chosen: list[Precision] = [p for p in PRECISIONS if p in request.precisions]
            return {
                precision: exporter.artifact(precision, at / len(chosen))
                for at, precision in enumerate(chosen)
            }
        finally:
            exporter.close()


@dataclass
class _Exporter:
    """A voice, sentences, and what its source says of them."""

    request: Request
    work: Path
    progress: Progress
    config: VitsConfig = field(init=False)
    utterances: list[Utterance] = field(init=False)

    def __post_init__(self) -> None:
        source = self.request.source
        reach = receptive_field(source.back)
        self.reach_frames = -(-reach.frames.numerator // reach.frames.denominator)
        self.config = msgspec.structs.replace(source.config, hop_samples=reach.steps_per_frame)
        self._speaker = self._opened_speaker()
        network = self._network("exact", source.back)
        self.utterances = [
            self._speaker.utterance(text, network, source.reference)
            for text in self.request.sentences
        ]
        longest = sorted(self.utterances, key=lambda each: -each.frames.count)[:2]
        self.progress(0.2, "the context that windows need")
        context = least_context(network, longest, self.config, reach=self.reach_frames)
        self.config = msgspec.structs.replace(
            self.config,
            context_frames=context,
            latent_channels=int(longest[0].frames.latent.shape[1]),
        )
        broken = self._network("damaged", damaged(source.back))
        self._longest, self._damaged = longest[0], broken.sound(longest[0].frames)
        self._listener = None
        if self.request.whisper is not None:
            self._listener = Listener(
                self.request.whisper, self.config.sample_rate_hz, threads=self.request.threads
            )

    def close(self) -> None:
        if self._listener is not None:
            self._listener.close()

    def artifact(self, precision: Precision, done: float) -> Artifact:
        """Writes and judges one precision; its directory appears whole or not at all."""
        self.progress(0.3 + 0.7 * done, f"writing {precision}")
        with replaced_directory(self.request.out / precision) as directory:
            (directory / CONFIG_NAME).write_bytes(encode_config(self.config))
            save_network(self.request.source.front, directory / FRONT_NAME)
            back = self._copied_back()
            save_network(to_fp16(back) if precision == "fp16" else back, directory / BACK_NAME)
            self.progress(0.3 + 0.7 * done + 0.1, f"comparing {precision} with its source")
            artifact = self._manifest(precision, directory, self._compared(precision))
            write_artifact(directory, artifact)
        return artifact

    def _opened_speaker(self) -> Speaker:
        config, sentences = self.config, self.request.sentences
        language = (config.languages or (config.language,))[0]
        speaker = Speaker(
            config, open_phonemizer(config, language), voiceprint=self._voiceprint_values()
        )
        unknown = "".join(each for each in speaker.unknown(sentences) if each.isalpha())
        if unknown:
            raise ConfigError(
                f"the voice does not know the symbols {' '.join(unknown)} of the sentences it is "
                "compared on; give sentences in its own language with --text"
            )
        return speaker

    def _voiceprint_values(self) -> NDArray[np.float32] | None:
        config, voiceprint = self.config, self.request.voiceprint
        if voiceprint is not None:
            check_voiceprint(config, voiceprint)
            return voiceprint.values
        if not config.voiceprint_size:
            return None
        return np.random.default_rng(0).standard_normal(config.voiceprint_size, np.float32)

    def _network(self, name: str, back: Any) -> VitsNetwork:
        """The front with some back, as the runtime runs them."""
        directory = self.work / name
        directory.mkdir(exist_ok=True)
        save_network(self.request.source.front, directory / FRONT_NAME)
        save_network(back, directory / BACK_NAME)
        return VitsNetwork(directory, self.config, threads=self.request.threads)

    def _copied_back(self) -> Any:
        back = self.request.source.back
        return type(back).FromString(back.SerializeToString())

    def _compared(self, precision: Precision) -> tuple[Check, ...]:
        """The checks of one precision, with the rounding that a GPU would do."""
        back = self._copied_back()
        if precision == "fp16":
            back = emulate_fp16(to_fp16(back))
        network = self._network(precision, back)
        seams: list[Seams] = [
            joined(network, each.frames, self.config, context=self.config.context_frames)
            for each in self.utterances
        ]
        pairs = [(u.spoken, s.whole) for u, s in zip(self.utterances, seams, strict=True)]
        control = control_check(self._longest.spoken, self._damaged, precision)
        checks = [*number_checks(pairs, precision), seam_check(seams), control]
        if self._listener is not None:
            checks += self._listener.checks(self.utterances, [each.joined for each in seams])
        return tuple(checks)

    def _manifest(
        self, precision: Precision, directory: Path, checks: tuple[Check, ...]
    ) -> Artifact:
        import onnx

        inputs = network_inputs(onnx.load(str(directory / BACK_NAME)))
        with open_session(directory / BACK_NAME) as session:
            outputs = session.outputs
        source = self.request.source
        files = [path for path in directory.iterdir() if path.is_file()]
        return Artifact(
            kind=ARTIFACT_KIND,
            precision=precision,
            runtime="onnxruntime",
            sources=hashes_of(source.files),
            files={path.name: describe_file(path) for path in sorted(files)},
            libraries={name: version(name) for name in _LIBRARIES},
            rebuild=f"{self.request.rebuild} --precision {precision}",
            inputs=inputs,
            outputs=outputs,
            profiles={t.name: _profile(t) for t in inputs if t.name == "latent"},
            checks=checks,
            details=self._details(),
        )

    def _details(self) -> dict[str, str | int | float]:
        config = self.config
        return {
            "family": self.request.source.family,
            "sample_rate_hz": config.sample_rate_hz,
            "hop_samples": config.hop_samples,
            "latent_channels": config.latent_channels,
            "reach_frames": self.reach_frames,
            "context_frames": config.context_frames,
            "speakers": len(config.speakers) or 1,
            "languages": ", ".join(config.languages or (config.language,)),
            "voiceprint_size": config.voiceprint_size,
            "voiceprint_encoder": config.voiceprint_encoder,
            "words": "compared" if self.request.whisper else "not compared: no Whisper",
        }


def _profile(tensor: Tensor) -> Profile:
    shapes = [
        tuple(size if isinstance(size, int) else frames for size in tensor.shape)
        for frames in _FRAMES
    ]
    return Profile(smallest=shapes[0], typical=shapes[1], largest=shapes[2])
