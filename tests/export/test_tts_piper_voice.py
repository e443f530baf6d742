"""A published Piper voice, cut and heard; in no catalog: HALFSECOND_TEST_PIPER names its file.

Done with en_US-joe-medium; see docs/export.md for the figures.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from halfsecond.models.tts.vits import VitsVoice
from halfsecond_export.tts.exporting import Request, export
from halfsecond_export.tts.parity import SENTENCES, Listener
from halfsecond_export.tts.source import open_voice_source

VOICE = os.environ.get("HALFSECOND_TEST_PIPER", "")

pytestmark = [
    pytest.mark.models,
    pytest.mark.slow,
    pytest.mark.skipif(not VOICE, reason="HALFSECOND_TEST_PIPER names no Piper voice"),
]


def test_a_piper_voice_says_in_windows_what_it_says_whole(
    tmp_path: Path, model_dir: Callable[[str], Path]
) -> None:
    whisper = model_dir("whisper-base")
    request = Request(
        source=open_voice_source(Path(VOICE)), out=tmp_path, rebuild="", whisper=whisper
    )
    for precision, artifact in export(request).items():
        assert not artifact.is_rejected, artifact.missed
        found = {check.what: check.value for check in artifact.checks}
        assert found["source against cut"] > (80 if precision == "fp32" else 35)
        assert found["worst seam of windows"] > 40
        assert found["words of the source misheard"] < 0.15
    voice = VitsVoice(tmp_path / "fp32")
    listener = Listener(whisper, 24_000)
    said = np.concatenate([chunk.samples for chunk in voice.speak(SENTENCES[0])])
    assert {"museum", "opens", "morning", "evening"} <= set(listener.words(said))
