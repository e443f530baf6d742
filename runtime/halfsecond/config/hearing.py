"""How visitors are heard, and when they have finished."""

from __future__ import annotations

from typing import Literal

from halfsecond.config.section import Section
from halfsecond.sessions.session import Device

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
