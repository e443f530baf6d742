"""English as symbols of other voices: espeak's phonemes, and letters."""

from __future__ import annotations

import pytest

from halfsecond.errors import ConfigError, UnsupportedModelError
from halfsecond.models.tts.english import english_words
from halfsecond.models.tts.espeak_phonemes import espeak_american, espeak_british
from halfsecond.models.tts.vits_config import VitsConfig
from halfsecond.models.tts.vits_symbols import SymbolTable, chosen_language, open_phonemizer

SMALL = VitsConfig(
    name="small",
    writing="espeak",
    language="en-us",
    sample_rate_hz=16_000,
    hop_samples=64,
    latent_channels=8,
    context_frames=8,
    symbols={"h": (20,), "e": (21, 22), "\u0303": (30,), "ɔ": (31,), ".": (10,)},
    start=(1, 0),
    between=(0,),
    end=(2,),
    is_decomposed=True,
)


@pytest.mark.parametrize(
    ("ours", "espeak"),
    [
        ("həlˈO ðˈɛɹ.", "həlˈoʊ ðˈɛɹ."),
        ("mˈɔɹnɪŋ", "mˈɔːɹnɪŋ"),
        ("bˈYz tˈAk fˈIv kˈWz", "bˈɔɪz tˈeɪk fˈaɪv kˈaʊz"),
        ("ʤˈʌʤ ʧˈɜɹʧ", "dʒˈʌdʒ tʃˈɜːtʃ"),
        ("bˈɛTəɹ hˈæpi", "bˈɛɾɚ hˈæpi"),
        ("flˈis ɡˈus stˈɑɹt", "flˈiːs ɡˈuːs stˈɑːɹt"),
        ("lˈɪTᵊl bˈʌtᵊn", "lˈɪɾəl bˈʌtən"),
        ("wˈAt — nˈW…", "wˈeɪt , nˈaʊ."),
    ],
)
def test_american_phonemes_are_written_as_espeak_writes_them(ours: str, espeak: str) -> None:
    assert espeak_american(ours) == espeak


def test_british_phonemes_keep_their_length_marks() -> None:
    assert espeak_british("həlˈQ ðˈɛː. bˈɜːd fˈɑːðə") == "həlˈəʊ ðˈeə. bˈɜːd fˈɑːðə"


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("It costs $3.50.", "It costs three dollars and fifty cents."),
        ("We open at 9:30 am.", "thirty"),
        (
            "1,250 people in 1984",
            "one thousand two hundred and fifty people in nineteen eighty-four",
        ),
        ("the 3rd of March", "the third of March"),
        ("3.14", "three point one four"),
        ("20 °C", "twenty degrees Celsius"),
    ],
)
def test_letters_say_numbers_in_words(written: str, words: str) -> None:
    found = english_words(written)
    assert words in found and not any(letter.isdigit() for letter in found), found


def test_every_symbol_is_followed_by_what_stands_between() -> None:
    spelled = SymbolTable(SMALL).spell("he?.")
    assert spelled.ids == (1, 0, 20, 0, 21, 22, 0, 10, 0, 2)
    assert spelled.symbols == ("", "h", "e", ".", "")
    assert spelled.owners == (0, 0, 1, 1, 2, 2, 2, 3, 3, 4)


def test_accents_are_symbols_of_their_own_where_the_voice_has_them_so() -> None:
    assert SymbolTable(SMALL).spell("\u0254\u0303").ids == (1, 0, 31, 0, 30, 0, 2)
    assert SymbolTable(SMALL).unknown("hõh") == "o"


def test_phonemes_of_other_languages_are_refused_with_the_reason() -> None:
    with pytest.raises(UnsupportedModelError, match="phonemes of 'de' as espeak writes them"):
        open_phonemizer(SMALL, "de")


def test_a_language_is_found_by_its_name_or_its_first_part() -> None:
    import msgspec

    voice = msgspec.structs.replace(SMALL, languages=("en", "fr-fr", "pt-br"))
    assert chosen_language(voice, "") == "en"
    assert chosen_language(voice, "PT-BR") == "pt-br"
    assert chosen_language(voice, "fr") == "fr-fr"
    with pytest.raises(ConfigError, match="does not speak 'de'; it speaks en, fr-fr, pt-br"):
        chosen_language(voice, "de")
