"""`config check` refuses what `serve` would refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from halfsecond.config import load
from halfsecond.config.check import check_usable
from halfsecond.errors import ConfigError, ModelMissingError


def checked(folder: Path, text: str) -> None:
    path = folder / "kiosk.toml"
    path.write_text(text, encoding="utf-8")
    check_usable(load(path))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[face]\nportrait = "none.jpg"\n', "face.portrait is .*none.jpg, and there is no such"),
        ('[persona]\nfacts_file = "none.txt"\n', "none.txt cannot be read"),
        ('[asr]\nmodel = "whisper-enormous"\n', "whisper-enormous"),
        ('[asr]\nmodel = "hibari"\n', "asr.model is 'hibari', which is a model for tts"),
        ('[server]\nbind = "tcp:/127.0.0.1:5570"\n', "is no address; expected ipc://"),
        ('[server]\nbind = "127.0.0.1:5570"\n', "is no address"),
        ('[server]\nbind = "tcp://0.0.0.0:5570"\n', "halfsecond keys"),
        ('[server]\nkeys = "nowhere"\n', "halfsecond keys"),
        ('[stages]\nlipsync = "remote"\n', "'remote' is no address"),
        ('[llm]\nkind = "openai"\n', "needs llm.base_url"),
        ('[llm]\nkind = "function"\n', "module:callable"),
        ('[face]\ndriver = "wav2lip"\n', "needs face.wav2lip"),
        ("[kiosk]\ntakes_photos = true\n", "uploads.takes_portraits"),
        ('[face]\ndriver = "compiled"\n', "needs face.avatar: .* export mouth NAME"),
    ],
)
def test_what_serve_would_refuse_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(tmp_path, text)


def test_a_config_that_can_be_served_is_not_refused(tmp_path: Path) -> None:
    (tmp_path / "facts.txt").write_text("We close at five.\n")
    checked(
        tmp_path, '[persona]\nfacts_file = "facts.txt"\n[stages]\nlipsync = "tcp://10.0.0.2:5571"\n'
    )


def test_a_folder_is_no_config_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_a_directory_that_is_no_artifact_is_no_wav2lip(tmp_path: Path) -> None:
    (tmp_path / "exported").mkdir()
    with pytest.raises(ModelMissingError, match=r"no artifact in .*exported"):
        checked(tmp_path, '[face]\ndriver = "wav2lip"\nwav2lip = "exported"\n')
