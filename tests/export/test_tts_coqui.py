"""Coqui's VITS and YourTTS: their own layers' output, checkpoints, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed: pip install 'halfsecond[export]'"
)

from fakes.coqui_reference import KEPT_SAMPLES, REFERENCE, VOICES, draws, weight  # noqa: E402
from fakes.coqui_voices import state_of, voice  # noqa: E402
from halfsecond.errors import (  # noqa: E402
    ConfigError,
    ModelCorruptError,
    ModelMissingError,
    UnsupportedModelError,
)
from halfsecond.models.tts.vits import VitsVoice  # noqa: E402
from halfsecond.voiceprint import Voiceprint  # noqa: E402
from halfsecond_export.engines.comparing import run_network  # noqa: E402
from halfsecond_export.tts.coqui import open_coqui  # noqa: E402
from halfsecond_export.tts.exporting import Request, export  # noqa: E402


@pytest.mark.parametrize("name", list(VOICES))
def test_the_source_and_both_halves_say_what_coquis_own_layers_say(
    tmp_path: Path, name: str
) -> None:
    source = open_coqui(voice(tmp_path, name))
    with np.load(REFERENCE) as stored:
        durations, expected = stored[f"{name}: durations"], stored[name]
    given = draws(name, int(durations.sum()), VOICES[name]["hidden_channels"])
    taken = source.reference.sound(given)[:KEPT_SAMPLES]
    np.testing.assert_allclose(taken, expected, atol=1e-5)
    front = run_network(source.front.SerializeToString(), given)
    assert front is not None
    np.testing.assert_array_equal(front["durations"].reshape(-1), durations)
    latent = front["mean"] + given["noise"] * front["spread"]
    feeds = {"latent": latent} | ({"speaker": front["speaker"]} if "speaker" in front else {})
    back = run_network(source.back.SerializeToString(), feeds)
    assert back is not None
    np.testing.assert_allclose(back["audio"].reshape(-1)[:KEPT_SAMPLES], expected, atol=1e-5)


def test_yourtts_speaks_as_whom_it_is_given_and_in_the_language_that_is_chosen(
    tmp_path: Path,
) -> None:
    source = open_coqui(voice(tmp_path / "source", "yourtts"))
    assert source.family == "YourTTS" and source.config.languages == ("en", "fr-fr", "pt-br")
    assert source.config.is_lowercase and source.config.replaced["-"] == " "
    request = Request(
        source=source,
        out=tmp_path / "out",
        rebuild="",
        sentences=("hello there, who are you?",),
        precisions=("fp32",),
    )
    artifact = export(request)["fp32"]
    assert not artifact.is_rejected, artifact.missed
    assert artifact.details["voiceprint_size"] == 12
    ann, bob = (Voiceprint(weight(n, (12,)) * 10, "coqui-resnet") for n in ("ann", "bob"))
    speaker = VitsVoice(tmp_path / "out" / "fp32", voiceprint=ann)
    network = speaker._network

    def said() -> Any:
        return np.concatenate([c.samples for c in speaker.speak("who are you?")])

    first = said()
    speaker.voiceprint = bob
    second = said()
    speaker.voiceprint = Voiceprint(ann.values * 3, "coqui-resnet")
    np.testing.assert_allclose(said(), first, atol=1e-4)
    assert speaker._network is network
    assert len(second) != len(first) or np.abs(second - first).max() > 0.01
    french = VitsVoice(tmp_path / "out" / "fp32", voiceprint=ann, language="fr")
    assert french.language == "fr"
    third = np.concatenate([c.samples for c in french.speak("who are you?")])
    assert len(third) != len(first) or np.abs(third - first).max() > 0.01
    with pytest.raises(ConfigError, match=r"was given none; name the file in tts\.voiceprint"):
        VitsVoice(tmp_path / "out" / "fp32")
    with pytest.raises(ConfigError, match=r"has 7 numbers of .* and yourtts wants 12"):
        speaker.voiceprint = Voiceprint(np.ones(7, np.float32), "coqui-resnet")


def test_speakers_have_the_names_of_the_file_beside_the_config(tmp_path: Path) -> None:
    directory = voice(tmp_path, "speakers")
    assert open_coqui(directory).config.speakers == ("0", "1", "2")
    names = {"bob": 1, "ann": 0, "cyd": 2}
    torch.save(names, directory / "speakers.pth")
    config = json.loads((directory / "config.json").read_text("utf-8"))
    config["model_args"]["speakers_file"] = "/somewhere/else/speakers.pth"
    (directory / "config.json").write_text(json.dumps(config), "utf-8")
    assert open_coqui(directory).config.speakers == ("ann", "bob", "cyd")
    torch.save({"ann": 0}, directory / "speakers.pth")
    with pytest.raises(ModelCorruptError, match="names 1 by number, the checkpoint knows 3"):
        open_coqui(directory)


class _Code:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


def test_a_checkpoint_with_code_in_it_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = voice(tmp_path, "vits")
    torch.save({"model": state_of("vits"), "hook": _Code()}, directory / "model.pth")
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("the code in the checkpoint was run"))
    with pytest.raises(UnsupportedModelError, match="loading it would run code"):
        open_coqui(directory)


def test_other_checkpoints_are_refused_for_what_they_are(tmp_path: Path) -> None:
    directory = voice(tmp_path, "vits")
    path = directory / "model.pth"
    torch.save({"model": {"encoder.weight": torch.zeros(2)}}, path)
    with pytest.raises(UnsupportedModelError, match=r"no VITS: it holds encoder\.weight"):
        open_coqui(directory)
    torch.save([1, 2], path)
    with pytest.raises(UnsupportedModelError, match="holds a list; expected tensors by name"):
        open_coqui(directory)
    torch.save({"model": state_of("plain durations")}, path)
    with pytest.raises(ModelCorruptError, match=r"do not belong together: .* is missing"):
        open_coqui(directory)
    broken = state_of("vits")
    broken["text_encoder.proj.bias"][0] = float("nan")
    torch.save({"model": broken}, path)
    with pytest.raises(ModelCorruptError, match=r"not finite in text_encoder\.proj\.bias"):
        open_coqui(directory)
    path.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(ModelCorruptError, match="cannot be read as a checkpoint"):
        open_coqui(directory)


def test_what_is_missing_is_told(tmp_path: Path) -> None:
    directory = voice(tmp_path / "yourtts", "yourtts")
    (directory / "language_ids.json").unlink()
    with pytest.raises(ModelMissingError, match=r"3 languages, .* copy language_ids\.json beside"):
        open_coqui(directory)
    (directory / "second.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"several checkpoints; name one of model\.pth, second"):
        open_coqui(directory)
    (directory / "config.json").unlink()
    with pytest.raises(ModelMissingError, match=r"no config\.json beside it"):
        open_coqui(directory / "model.pth")
    with pytest.raises(ModelMissingError, match=r"no checkpoint \(\.pth\) in"):
        open_coqui(tmp_path)
