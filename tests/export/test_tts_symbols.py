"""What a Coqui config says of symbols and sizes, without torch."""

from __future__ import annotations

from typing import Any

import pytest

from halfsecond.errors import ModelCorruptError, UnsupportedModelError
from halfsecond_export.tts.layout import Layout, layout_of
from halfsecond_export.tts.symbols import symbols_of

YOURTTS = {
    "characters_class": "TTS.tts.models.vits.VitsCharacters",
    "pad": "_",
    "eos": "&",
    "bos": "*",
    "blank": None,
    "characters": "ZAbé",
    "punctuations": "!? ",
    "phonemes": "",
}


def symbols(config: dict[str, Any], rows: int) -> Any:
    return symbols_of(config, rows=rows, source="config.json")


def test_the_symbols_of_vits_are_in_the_order_of_the_config() -> None:
    found = symbols({"characters": YOURTTS}, 9)
    assert found.numbers == {"!": 1, "?": 2, " ": 3, "Z": 4, "A": 5, "b": 6, "é": 7}
    assert (found.blank, found.start, found.end) == (8, None, None)


def test_other_voices_sort_their_letters_behind_the_special_symbols() -> None:
    given = {"characters": "cab", "punctuations": "! ", "pad": "_", "eos": "~", "bos": "^"}
    found = symbols({"characters": given | {"blank": "<BLNK>"}}, 9)
    assert found.numbers == {"a": 4, "b": 5, "c": 6, "!": 7, " ": 8}
    assert (found.blank, found.start, found.end) == (3, 2, 1)


def test_a_list_of_symbols_is_taken_as_it_is() -> None:
    given = {"characters_class": "x.BaseVocabulary", "vocab_dict": ["_", "b", "a"], "blank": "_"}
    found = symbols({"characters": given}, 3)
    assert found.numbers == {"b": 1, "a": 2} and found.blank == 0


def test_a_list_that_does_not_fit_the_checkpoint_is_refused() -> None:
    with pytest.raises(ModelCorruptError, match="lists 9 symbols, the checkpoint knows 178"):
        symbols({"characters": YOURTTS}, 178)
    with pytest.raises(UnsupportedModelError, match="lists its symbols as FairseqVocab"):
        symbols({"characters": {"characters_class": "TTS.tts.models.vits.FairseqVocab"}}, 9)


SHAPES = {
    "text_encoder.emb.weight": (178, 192),
    "emb_g.weight": (109, 256),
    "emb_l.weight": (3, 4),
}


def layout(**arguments: Any) -> Layout:
    return layout_of({"model": "vits", "model_args": arguments}, SHAPES, source="config.json")


def test_what_a_config_leaves_out_is_as_coqui_has_it() -> None:
    assert layout() == Layout(symbols=178)
    assert layout().hop_samples == 256


def test_speakers_by_number_and_by_voiceprint_are_told_apart() -> None:
    by_number = layout(use_speaker_embedding=True)
    assert (by_number.speakers, by_number.speaker_size) == (109, 256)
    assert not by_number.has_voiceprint
    yourtts = layout(use_d_vector_file=True, d_vector_dim=512, use_language_embedding=True)
    assert yourtts.has_voiceprint and yourtts.speaker_size == 512
    assert (yourtts.languages, yourtts.language_size) == (3, 4)


def test_other_models_and_parts_that_are_not_exported_are_refused() -> None:
    with pytest.raises(UnsupportedModelError, match="model 'glow_tts'; expected vits"):
        layout_of({"model": "glow_tts"}, SHAPES, source="config.json")
    with pytest.raises(UnsupportedModelError, match="encoder_sample_rate"):
        layout(encoder_sample_rate=22050)
    with pytest.raises(ModelCorruptError, match="a size that is none"):
        layout(hidden_channels="wide")
    with pytest.raises(ModelCorruptError, match=r"no tensor 'emb_g\.weight'"):
        layout_of(
            {"model_args": {"use_speaker_embedding": True}},
            {"text_encoder.emb.weight": (178, 192)},
            source="config.json",
        )
