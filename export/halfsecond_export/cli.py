"""`halfsecond export`: weights to artifacts. A command is a file in `commands/`, a line here."""

from __future__ import annotations

import typer

from halfsecond_export.commands.avatar import avatar
from halfsecond_export.commands.llm import llm
from halfsecond_export.commands.mouth import mouth
from halfsecond_export.commands.phrases import phrases
from halfsecond_export.commands.tts import tts
from halfsecond_export.commands.voice import voice
from halfsecond_export.commands.wav2lip import wav2lip
from halfsecond_export.commands.wav2lip_train import wav2lip_train
from halfsecond_export.commands.whisper import whisper

app = typer.Typer(no_args_is_help=True, help="Turn source weights into artifacts for this machine.")
app.command("whisper")(whisper)
app.command("llm")(llm)
app.command("tts")(tts)
app.command("phrases")(phrases)
app.command("voice")(voice)
app.command("avatar")(avatar)
app.command("mouth")(mouth)
app.command("wav2lip")(wav2lip)
app.command("wav2lip-train")(wav2lip_train)
