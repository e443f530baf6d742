"""What is known of the networks that halfsecond runs: where to cut them, and for which shapes.

A manifest beside the network goes before a recipe, and options before both.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from halfsecond.artifact import Profile
from halfsecond.errors import ConfigError


@dataclass(frozen=True)
class Recipe:
    """One network. cut_inputs, cut_outputs: names of tensors; empty for the network's own.

    sizes: smallest, typical and largest of sizes that vary, by their names.
    masks: inputs that are 1 wherever something is; noise there is nothing that the network knows.
    """

    about: str
    cut_inputs: tuple[str, ...] = ()
    cut_outputs: tuple[str, ...] = ()
    profiles: dict[str, Profile] = field(default_factory=dict[str, Profile])
    sizes: dict[str, tuple[int, int, int]] = field(default_factory=dict[str, tuple[int, int, int]])
    masks: tuple[str, ...] = ()


def _growing(*shape: int, axis: int, sizes: tuple[int, int, int]) -> Profile:
    """A profile in which one size varies."""
    smallest, typical, largest = ((*shape[:axis], size, *shape[axis + 1 :]) for size in sizes)
    return Profile(smallest=smallest, typical=typical, largest=largest)


# A frame alone, the driver's batch, and room for a larger one.
_LIP_FRAMES = (1, 5, 8)
# Frames of 256 samples at 22,050 Hz: 0.2 s, 3.5 s and 23 s.
_PIPER_FRAMES = (16, 300, 2000)
# Frames of 12.5 ms: 0.2 s, 3.5 s and 25 s.
_HIBARI_FRAMES = (16, 280, 2000)

# A hundredth of a second is a frame of the mel; the encoder halves them. 1 s, 6 s and 30 s.
_MEL_FRAMES, _HEARD_FRAMES = (100, 600, 3000), (50, 300, 1500)
# Tokens that are there already (Whisper ends at 448), new ones, and those that want logits.
_PAST, _NEW, _ROWS = (0, 32, 447), (1, 1, 8), (1, 1, 8)

RECIPES: dict[str, Recipe] = {
    "wav2lip": Recipe(
        about="Wav2Lip's generator, whole",
        profiles={
            "audio_sequences": _growing(0, 1, 80, 16, axis=0, sizes=_LIP_FRAMES),
            "face_sequences": _growing(0, 6, 96, 96, axis=0, sizes=_LIP_FRAMES),
        },
    ),
    "whisper-encoder": Recipe(
        about="encoder of the portable Whisper pair, with the cross-attention's keys and values",
        sizes={"t": _MEL_FRAMES},
    ),
    "whisper-decoder": Recipe(
        about="decoder of the portable Whisper pair, with its past",
        sizes={"f": _HEARD_FRAMES, "n": _NEW, "r": _ROWS, "past": _PAST},
    ),
    "piper-back": Recipe(
        about="flow and decoder of a Piper voice; the front, with NonZero, stays on ONNX Runtime",
        cut_inputs=("/Add_output_0", "/Cast_2_output_0"),
        cut_outputs=("output",),
        profiles={
            "/Add_output_0": _growing(1, 192, 0, axis=2, sizes=_PIPER_FRAMES),
            "/Cast_2_output_0": _growing(1, 1, 0, axis=2, sizes=_PIPER_FRAMES),
        },
        masks=("/Cast_2_output_0",),
    ),
    "hibari-back": Recipe(
        about="the spectrum of the hibari voice from its phonemes' features, de-quantised",
        cut_inputs=("/Gather_32_output_0", "/Gather_33_output_0"),
        cut_outputs=("lh", "theta", "ln", "lr", "phi", "f0"),
        profiles={
            "/Gather_32_output_0": _growing(1, 128, 0, axis=2, sizes=_HIBARI_FRAMES),
            "/Gather_33_output_0": _growing(1, 192, 0, axis=2, sizes=_HIBARI_FRAMES),
        },
    ),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of this name, an empty one for "". Raises ConfigError."""
    if not name:
        return Recipe(about="")
    if name not in RECIPES:
        raise ConfigError(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name]
