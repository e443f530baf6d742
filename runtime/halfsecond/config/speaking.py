"""How answers sound and look."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from halfsecond.config.section import Section
from halfsecond.sessions.session import Device


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
    """File of `halfsecond export voice` with the voiceprint of whom `kokoro` (`--engine kokoro`) or
    an exported YourTTS (`--encoder`) speaks as; Kokoro in the language of `voice`."""
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
    driver: Literal["mesh", "wav2lip", "compiled"] = "mesh"
    """`mesh` warps the portrait and needs no lip model; `wav2lip` runs your own checkpoint;
    `compiled` runs what `halfsecond export mouth` learned from it for each avatar."""
    wav2lip: str = ""
    """ONNX file of a Wav2Lip generator, or a directory that `halfsecond export wav2lip` or
    `halfsecond engines build` wrote."""
    device: Device = "auto"
    """Of Wav2Lip's network or the compiled mouth, as for `asr`. The mesh driver and the face models
    use the CPU."""
    model: str = "face"
    """Catalog name of the face detector and landmarks."""
    width: int = 512
    """Of the pictures that are made of a portrait, in pixels; an avatar has its own."""
    height: int = 512
    """Of the pictures that are made of a portrait, in pixels."""
    fps: int = 25
    """Pictures a second while speaking; 25 and 30 are usual. A client may wish for either."""
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
