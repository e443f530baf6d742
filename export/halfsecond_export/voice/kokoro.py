"""A style of Kokoro that sounds like a recording, found by the gradient of how alike they are.

Kokoro comes without the network that made its styles of recordings. But what it says depends on
the style without a jump, and so does what a speaker encoder hears in that: the half of the style
that the decoder takes follows the gradient until a sentence sounds like the person. Durations and
melody stay those of the speaker who is nearest in sound and pitch. Nothing is trained.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from numpy.typing import NDArray

from halfsecond import audio
from halfsecond.errors import ModelMissingError
from halfsecond.models.asr.mel import HOP_SAMPLES, WINDOW_SAMPLES, hann, mel_filters
from halfsecond.models.speaker.encoder import MODEL_FILE, WINDOW_FRAMES, SpeakerEncoder, similarity
from halfsecond.models.speaker.mel import BANDS
from halfsecond.models.tts.english import EnglishPhonemizer
from halfsecond.models.tts.kokoro import KOKORO_FILE, network_inputs
from halfsecond.models.tts.voice import SPEECH_RATE_HZ
from halfsecond.sessions import open_session
from halfsecond_export.voice.kokoro_speakers import TIMBRE, KokoroSpeakers, read_kokoro_speakers
from halfsecond_export.voice.pitch import typical_pitch_hz
from halfsecond_export.voice.torch_graph import TorchGraph

Samples = NDArray[np.float32]

_SOUNDS = "/encoder/MatMul_1_output_0"
_PITCH = "/encoder/F0_proj/Conv_output_0"
_ENERGY = "/encoder/N_proj/Conv_output_0"
"""What Kokoro's text half gives its decoder: (1, 512, n), (1, 1, 2 n) and (1, 1, 2 n)."""
_WINDOW = 66
"""Units of 25 ms that are spoken at each step: one window of the speaker encoder, 1.6 s."""
_EDGE = 8
"""Units at both ends of a sentence that are never heard: there is silence."""
_FIRST_RATE, _LAST_RATE = 0.15, 0.005
"""Of Adam, in spreads of the timbre; falls like a cosine."""
_UNLIKELY = 0.02
"""Cost of a timbre as far from the mean as speakers are. Without it words are lost."""
_SENTENCES = (
    "Welcome, I am happy to show you around the house today.",
    "Please follow the blue line to the garden, where lunch is served at noon.",
    "Every evening we tell a story about the ships that never came home.",
    "You can borrow a map, a lamp and a warm jacket at the front desk.",
)
"""Spoken to listen to the voice; any words do."""
_JUDGED = "The planetarium show begins in the dome on the upper floor."
"""Tells how alike the voices are, and is not among those above."""


@dataclass(frozen=True)
class Fitted:
    """A style, and cosines of the recording's voice with a sentence that was not fitted to it."""

    style: NDArray[np.float32]
    """(256,)"""
    likeness: float
    likeness_before: float
    """Of the speaker that the fit began with."""
    started_from: str


class KokoroFit:
    """Kokoro, a speaker encoder, and how one follows from the other. One thread."""

    def __init__(self, kokoro: Path, encoder: Path) -> None:
        """Directories of the catalog's `kokoro` and `speaker-encoder`.

        Raises:
            ModelMissingError: one is not there.
            UnsupportedModelError: it is another network.
        """
        import onnx

        # torch's threads spin while they wait for each other: with two a step took 19 s of CPU on
        # two cores that others used too, with one 2.6 (Intel Xeon, `export voice --engine kokoro`).
        torch.set_num_threads(1)
        path, heard_by = kokoro / KOKORO_FILE, encoder / MODEL_FILE
        for file in (path, heard_by):
            if not file.is_file():
                raise ModelMissingError(f"no {file}; run `halfsecond models fetch kokoro`")
        model = onnx.load(str(path))
        given = (_SOUNDS, _PITCH, _ENERGY, "style")
        self._decoder = TorchGraph(model, given=given, wanted=("audio",))
        self._heard = TorchGraph(onnx.load(str(heard_by)), given=("mels",), wanted=("voices",))
        for name in given[:3]:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        with tempfile.TemporaryDirectory(prefix="halfsecond-") as directory:
            onnx.save(model, str(Path(directory) / KOKORO_FILE))
            self._whole = open_session(Path(directory) / KOKORO_FILE)
        self._encoder = SpeakerEncoder(heard_by)
        self._phonemize = EnglishPhonemizer(is_british=False)
        self._speakers: KokoroSpeakers = read_kokoro_speakers()

    def fit(
        self,
        samples: Samples,
        *,
        language: str,
        steps: int,
        progress: Callable[[float, str], None] = lambda _done, _text: None,
    ) -> Fitted:
        """The style for (n,) mono 16 kHz in which one person speaks, without pauses.

        language: whose speakers durations and melody may come from, "en" or "zh".
        steps: some 60 are enough; each speaks 1.6 s twice, forth and back.
        """
        wanted = self._encoder.embed(samples)
        pitch_hz = typical_pitch_hz(samples)
        first = self._speakers.nearest(wanted, pitch_hz)
        melody = self._speakers.nearest(wanted, pitch_hz, language=language)
        mean, spread = map(torch.from_numpy, self._speakers.timbres())
        manner = torch.from_numpy(self._speakers.styles[melody, TIMBRE:])
        begun = torch.from_numpy(self._speakers.styles[first, :TIMBRE])
        before = torch.cat([begun, manner]).numpy()
        inputs = [self._spoken(text, before) for text in _SENTENCES]
        place = torch.linalg.solve(spread, begun - mean).requires_grad_()
        target = torch.from_numpy(wanted)
        optimizer: Any = torch.optim.Adam([place], lr=_FIRST_RATE)
        schedule: Any = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps, _LAST_RATE)
        rng = np.random.default_rng(0)
        for step in range(steps):
            progress(step / steps, f"fitting the voice: step {step + 1} of {steps}")
            style = torch.cat([mean + spread @ place, manner])
            alike = self._voice(_excerpt(inputs[step % len(inputs)], rng), style) @ target
            cost = 1.0 - alike + _UNLIKELY * torch.mean(place**2)
            optimizer.zero_grad()
            cost.backward()
            optimizer.step()
            schedule.step()
        style = torch.cat([mean + spread @ place, manner]).detach().numpy()
        return Fitted(
            style=style,
            likeness=self._likeness(style, wanted),
            likeness_before=self._likeness(before, wanted),
            started_from=self._speakers.names[first],
        )

    def close(self) -> None:
        """Lets the engines go."""
        self._whole.close()
        self._encoder.close()

    def _spoken(self, text: str, style: Samples) -> dict[str, Any]:
        """What the decoder is given of a sentence."""
        names = (_SOUNDS, _PITCH, _ENERGY)
        outputs = self._whole.run(network_inputs(self._phonemize(text), style[None]), names)
        return {name: torch.from_numpy(np.array(outputs[name])) for name in names}

    def _voice(self, inputs: dict[str, Any], style: Any) -> Any:
        """The (256,) voice of what the decoder says, with its gradient."""
        (sound,) = self._decoder({**inputs, "style": style[None]})
        (voices,) = self._heard({"mels": _mel_power(_resampled(sound))[None, :WINDOW_FRAMES]})
        return voices[0]

    def _likeness(self, style: Samples, wanted: Samples) -> float:
        """On the network as it speaks, 8 bits and all."""
        inputs = network_inputs(self._phonemize(_JUDGED), style[None])
        sound = self._whole.run(inputs, ("audio",))["audio"].reshape(-1)
        heard = audio.resample(sound, from_hz=SPEECH_RATE_HZ, to_hz=audio.RATE_HZ)
        return similarity(self._encoder.embed(heard), wanted)


def _excerpt(inputs: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    length = inputs[_SOUNDS].shape[2]
    start = int(rng.integers(_EDGE, max(_EDGE + 1, length - _WINDOW - _EDGE)))
    cut = {_SOUNDS: slice(start, start + _WINDOW)}
    halves = slice(2 * start, 2 * (start + _WINDOW))
    return {name: value[:, :, cut.get(name, halves)] for name, value in inputs.items()}


def _resampled(sound: Any) -> Any:
    """24 to 16 kHz by leaving out what is above 8 kHz."""
    length = len(sound) // 3 * 2
    spectrum = torch.fft.rfft(sound[: length // 2 * 3])[: length // 2 + 1]
    return torch.fft.irfft(spectrum, length) * (audio.RATE_HZ / SPEECH_RATE_HZ)


def _mel_power(samples: Any) -> Any:
    """See `halfsecond.models.speaker.mel.mel_power`, at the least loudness that is heard as is."""
    quietest = 10.0 ** (-30.0 / 20.0)
    level = torch.sqrt(torch.mean(samples**2))
    louder = samples * torch.clamp(quietest / level, min=1.0)
    padded = torch.nn.functional.pad(louder, (WINDOW_SAMPLES // 2, WINDOW_SAMPLES // 2))
    window = torch.tensor(hann(), dtype=torch.float32)
    frames = padded.unfold(0, WINDOW_SAMPLES, HOP_SAMPLES) * window
    power = torch.abs(torch.fft.rfft(frames)) ** 2
    return power @ torch.tensor(mel_filters(BANDS), dtype=torch.float32).T
