"""English as symbols of other voices: espeak's phonemes, and letters."""

from __future__ import annotations

from pathlib import Path

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


def test_symbols_that_a_voice_never_heard_are_replaced() -> None:
    import msgspec

    voice = msgspec.structs.replace(SMALL, replaced={";": ".", "(": ""})
    assert SymbolTable(voice).spell("(h;").ids == SymbolTable(SMALL).spell("h.").ids
    assert SymbolTable(voice).unknown("(h;") == ""


def test_accents_are_symbols_of_their_own_where_the_voice_has_them_so() -> None:
    assert SymbolTable(SMALL).spell("\u0254\u0303").ids == (1, 0, 31, 0, 30, 0, 2)
    assert SymbolTable(SMALL).unknown("hõh") == "o"


def test_phonemes_of_other_languages_are_refused_without_the_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UnsupportedModelError, match=r"phonemes of 'de' .* apt install espeak-ng"):
        open_phonemizer(SMALL, "de")


def program(directory: Path, script: str) -> None:
    """What is called espeak-ng: `$4` is the language, the words come in."""
    path = directory / "espeak-ng"
    path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
    path.chmod(0o755)


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def test_the_program_reads_what_lies_between_punctuation(stand_in: Path) -> None:
    program(stand_in, "echo \" ˈ$(cat)\"; echo ' (en)zum(de) ʃlˈʊs'")
    phonemize = open_phonemizer(SMALL, "de")
    assert phonemize("Guten Tag, wie geht es? 3,50 …") == (
        "ˈGuten Tag zum ʃlˈʊs, ˈwie geht es zum ʃlˈʊs? ˈ3,50 zum ʃlˈʊs."
    )
    assert phonemize("...") == "." and phonemize(" ") == ""


def test_words_are_never_arguments_of_the_program(stand_in: Path) -> None:
    program(stand_in, 'test "$*" = "-q --ipa -v de --stdin" && cat')
    assert open_phonemizer(SMALL, "de")("--help") == "--help"


def test_a_language_that_the_program_does_not_know_is_told(stand_in: Path) -> None:
    program(stand_in, 'echo "The specified espeak-ng voice does not exist." >&2; exit 1')
    with pytest.raises(UnsupportedModelError, match=r"no phonemes of 'xx': .* does not exist"):
        open_phonemizer(SMALL, "xx")


def test_a_language_is_found_by_its_name_or_its_first_part() -> None:
    import msgspec

    voice = msgspec.structs.replace(SMALL, languages=("en", "fr-fr", "pt-br"))
    assert chosen_language(voice, "") == "en"
    assert chosen_language(voice, "PT-BR") == "pt-br"
    assert chosen_language(voice, "fr") == "fr-fr"
    with pytest.raises(ConfigError, match="does not speak 'de'; it speaks en, fr-fr, pt-br"):
        chosen_language(voice, "de")
