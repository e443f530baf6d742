"""Which mouth a phoneme wants, in Kokoro's alphabet (misaki's conventions for English)."""

from __future__ import annotations

from dataclasses import dataclass

from halfsecond.models.lipsync.mouth import MouthPose


@dataclass(frozen=True)
class Viseme:
    """A mouth pose, and how firmly a sound insists on it against its neighbours."""

    pose: MouthPose
    jaw_hold: float = 0.5
    """0 to 1: the jaw's and the upper and lower lip's part."""
    lip_hold: float = 0.5
    """0 to 1: width's and rounding's part."""


def _pose(
    jaw: float,
    width: float = 0.0,
    rounding: float = 0.0,
    *,
    upper: float = 0.0,
    lower: float = 0.0,
) -> MouthPose:
    return MouthPose(jaw=jaw, width=width, upper=upper, lower=lower, round=rounding)


# Openings follow the vowel chart: open vowels drop the jaw, front ones spread, back ones round.
_OPEN = Viseme(_pose(0.90, 0.05, upper=0.25), 1.0, 0.5)
_ASH = Viseme(_pose(0.80, 0.35, upper=0.35, lower=0.10), 1.0, 0.6)
_MID = Viseme(_pose(0.58, 0.20, upper=0.25, lower=0.10), 0.9, 0.5)
_SCHWA = Viseme(_pose(0.40, 0.0, upper=0.10), 0.5, 0.25)
_STRUT = Viseme(_pose(0.66, 0.0, upper=0.15), 0.9, 0.4)
_SPREAD = Viseme(_pose(0.28, 0.75, upper=0.35, lower=0.35), 0.8, 0.9)
_LAX_I = Viseme(_pose(0.34, 0.40, upper=0.25, lower=0.20), 0.7, 0.6)
_AW = Viseme(_pose(0.68, -0.50, 0.55), 1.0, 0.9)
_OH = Viseme(_pose(0.50, -0.70, 0.80, upper=-0.15), 0.9, 1.0)
_OO = Viseme(_pose(0.26, -0.95, 1.0, upper=-0.25), 0.9, 1.0)
_LAX_U = Viseme(_pose(0.32, -0.65, 0.70, upper=-0.15), 0.8, 0.9)
_ER = Viseme(_pose(0.36, -0.40, 0.45), 0.7, 0.7)
_CLOSED = Viseme(_pose(0.0), 1.0, 0.25)
_LABIODENTAL = Viseme(_pose(0.15, 0.10, upper=0.65, lower=-0.60), 1.0, 0.4)
_DENTAL = Viseme(_pose(0.26, 0.10, upper=0.20, lower=0.15), 0.7, 0.3)
_ALVEOLAR = Viseme(_pose(0.22, 0.10, upper=0.15, lower=0.15), 0.45, 0.2)
_SIBILANT = Viseme(_pose(0.13, 0.30, upper=0.25, lower=0.40), 0.85, 0.45)
_HUSH = Viseme(_pose(0.18, -0.55, 0.75, upper=0.20, lower=0.25), 0.85, 0.9)
_VELAR = Viseme(_pose(0.30, 0.0, upper=0.10), 0.4, 0.15)
_GLOTTAL = Viseme(_pose(0.35), 0.15, 0.05)
_GLIDE_W = Viseme(_pose(0.14, -1.0, 1.0, upper=-0.2), 0.9, 1.0)
_GLIDE_Y = Viseme(_pose(0.22, 0.55, upper=0.2, lower=0.2), 0.6, 0.6)
_AR = Viseme(_pose(0.26, -0.45, 0.55, upper=0.1), 0.6, 0.7)
REST = Viseme(MouthPose(), 0.6, 0.3)

_TABLE: dict[str, tuple[Viseme, ...]] = {
    **dict.fromkeys("ɑaɐ", (_OPEN,)),
    **dict.fromkeys("æ", (_ASH,)),
    **dict.fromkeys("ɛe", (_MID,)),
    **dict.fromkeys("əᵊɤ", (_SCHWA,)),
    **dict.fromkeys("ʌ", (_STRUT,)),
    **dict.fromkeys("iy", (_SPREAD,)),
    **dict.fromkeys("ɪᵻɨ", (_LAX_I,)),
    **dict.fromkeys("ɔɒ", (_AW,)),
    **dict.fromkeys("o", (_OH,)),
    **dict.fromkeys("u", (_OO,)),
    **dict.fromkeys("ʊ", (_LAX_U,)),
    **dict.fromkeys("ɜɚɝ", (_ER,)),
    # One letter for each diphthong.
    "A": (_MID, _LAX_I),
    "I": (_OPEN, _LAX_I),
    "W": (_OPEN, _LAX_U),
    "Y": (_AW, _LAX_I),
    "O": (_OH, _LAX_U),
    "Q": (_STRUT, _LAX_U),
    **dict.fromkeys("pbm", (_CLOSED,)),
    **dict.fromkeys("fv", (_LABIODENTAL,)),
    **dict.fromkeys("θð", (_DENTAL,)),
    **dict.fromkeys("tdnlɾT", (_ALVEOLAR,)),
    **dict.fromkeys("sz", (_SIBILANT,)),
    **dict.fromkeys("ʃʒʧʤɕʂ", (_HUSH,)),
    **dict.fromkeys("kɡgŋx", (_VELAR,)),
    **dict.fromkeys("hɦʔ", (_GLOTTAL,)),
    "w": (_GLIDE_W,),
    "j": (_GLIDE_Y,),
    **dict.fromkeys("ɹrɻ", (_AR,)),
}

BILABIALS = frozenset("pbm")
"""Sounds that cannot be spoken with the lips apart."""
PAUSES = frozenset(" .,;:!?—…\"“”()'-\n")
"""What a voice may time that is no sound; the mouth comes to rest."""
LENGTH_MARKS = frozenset("ːˈˌʲʰ→↓↗↘")
"""Marks that carry no mouth of their own: the sound before them goes on."""


def visemes(symbol: str) -> tuple[Viseme, ...]:
    """The mouths of one phoneme, one after the other; diphthongs have two.

    An unknown symbol is taken for a schwa: it was spoken, so the mouth moves a little.
    """
    if symbol in PAUSES:
        return (REST,)
    return _TABLE.get(symbol, (_SCHWA,))
