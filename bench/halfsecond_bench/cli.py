"""`halfsecond bench`: measure this machine. A command is a file in `commands/` and a line here."""

from __future__ import annotations

import typer

from halfsecond_bench.commands.compare import compare
from halfsecond_bench.commands.echo import echo
from halfsecond_bench.commands.gate import gate
from halfsecond_bench.commands.gpu import gpu
from halfsecond_bench.commands.latency import latency
from halfsecond_bench.commands.lipsync import lipsync
from halfsecond_bench.commands.load import load
from halfsecond_bench.commands.overhead import overhead
from halfsecond_bench.commands.page import page
from halfsecond_bench.commands.recovery import recovery
from halfsecond_bench.commands.report import report
from halfsecond_bench.commands.soak import soak
from halfsecond_bench.commands.stages import stages
from halfsecond_bench.commands.threads import threads
from halfsecond_bench.commands.turns import turns
from halfsecond_bench.commands.voices import voices

app = typer.Typer(no_args_is_help=True, help="Measure how long a visitor waits, and why.")
app.command()(compare)
app.command()(latency)
app.command()(stages)
app.command()(lipsync)
app.command()(load)
app.command()(soak)
app.command()(turns)
app.command()(overhead)
app.command()(voices)
app.command()(threads)
app.command()(echo)
app.command()(gpu)
app.command()(page)
app.command()(recovery)
app.command()(report)
app.command()(gate)
