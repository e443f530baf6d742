"""Phonemes of many languages from the program espeak-ng, where somebody has installed it.

espeak-ng is under the GPL. It is called as a program of its own, not linked, not bundled and not
among the dependencies.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from halfsecond.errors import ModelError, UnsupportedModelError

PROGRAM = "espeak-ng"
_LONGEST_S = 5.0
"""A clause takes some milliseconds; a program that hangs must not hold a turn."""
_MARKS = re.compile(r"([.,;:!?…]+(?=\s|$))")
_SWITCHES = re.compile(r"\([a-z]{2,3}(?:-[a-z0-9]+)*\)")
"""What it writes where a word is read in another language."""


class EspeakPhonemizer:
    """Text in, phonemes out, with the punctuation between them that the program leaves out."""

    def __init__(self, language: str) -> None:
        """language: as the program calls its voices, such as "de" or "pt-br".

        Raises UnsupportedModelError where the program is not there, or has no such voice.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise UnsupportedModelError(
                f"the voice wants phonemes of {language!r} as espeak writes them; halfsecond "
                f"makes those of English, and others with the program {PROGRAM}, which is not "
                f"here (Debian: apt install {PROGRAM})"
            )
        self._command = [program, "-q", "--ipa", "-v", language, "--stdin"]
        try:
            self("a")
        except ModelError as error:
            raise UnsupportedModelError(
                f"{PROGRAM} has no phonemes of {language!r}: {error}"
            ) from error

    def __call__(self, text: str) -> str:
        """The phonemes; empty where there is nothing to say. Raises ModelError."""
        parts = []
        for part in _MARKS.split(text):
            if _MARKS.fullmatch(part):
                parts.append(part[0] if part[0] != "…" else ".")
            elif part.strip():
                parts.append((" " if parts else "") + self._spoken(part.strip()))
        return "".join(parts)

    def _spoken(self, words: str) -> str:
        try:
            found = subprocess.run(  # noqa: S603  # no shell, and the words go through its input
                self._command,
                input=words.replace("\n", " "),
                capture_output=True,
                check=True,
                encoding="utf-8",
                timeout=_LONGEST_S,
            )
        except subprocess.CalledProcessError as error:
            raise ModelError(f"{PROGRAM} failed: {error.stderr.strip()}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise ModelError(f"{PROGRAM} cannot be run: {error}") from error
        return " ".join(_SWITCHES.sub("", found.stdout).split())
