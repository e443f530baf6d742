"""What every page has: its frame and style, light and dark, and tables that a phone can scroll."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def plain(words: str) -> str:
    """Words as the text of an element; quotes stay, which only attributes must hide."""
    return html.escape(words, quote=False)


def document(title: str, body: str) -> str:
    """The whole file."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{plain(title)}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def section(title: str, *content: str) -> str:
    """A part with its heading; nothing where there is no content."""
    inner = "\n".join(part for part in content if part)
    return f"\n<section><h2>{plain(title)}</h2>\n{inner}</section>" if inner else ""


def paragraph(words: str, *, kind: str = "") -> str:
    """A paragraph of plain words."""
    return f'<p class="{kind}">{plain(words)}</p>' if words else ""


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int = 0) -> str:
    """A table of plain words; the last `numbers` columns are figures."""
    first = len(headers) - numbers

    def cells(values: Sequence[str], tag: str) -> str:
        return "".join(
            f"<{tag}{' class=n' if column >= first else ''}>{plain(value)}</{tag}>"
            for column, value in enumerate(values)
        )

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    head = f"<thead><tr>{cells(headers, 'th')}</tr></thead>" if any(headers) else ""
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>' if body else ""


def details(summary: str, *content: str) -> str:
    """What opens when it is clicked."""
    inner = "".join(content)
    return f"<details><summary>{plain(summary)}</summary>{inner}</details>" if inner else ""


def legend(entries: Iterable[tuple[str, str]]) -> str:
    """(class of the mark, what it is) side by side."""
    keys = "".join(
        f'<span><svg width="12" height="12"><rect class="{kind}" width="12" height="12" rx="2"/>'
        f"</svg>{plain(words)}</span>"
        for kind, words in entries
    )
    return f'<p class="legend">{keys}</p>'


STYLE = """
:root { --ink: #1b1f24; --soft: #5c6570; --paper: #fff; --card: #f5f6f8; --rule: #dfe3e8;
  --pause: #aab2bd; --asr: #3a74b8; --judge: #b07fc9; --llm: #8256ad; --tts: #26906c;
  --held: #d0a215; --delivery: #6f7a86; --lips: #cd7427; --good: #1a7f4b; --bad: #c2352b;
  --open: #8a6a00; --before: #9aa4b0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --soft: #9ba6b2; --paper: #14171b;
  --card: #1e2329; --rule: #333b44; --pause: #66717d; --asr: #4d8ad2; --judge: #b78fd6;
  --llm: #8a5fbb; --tts: #33a57e; --held: #d9ae2b; --delivery: #8b97a4; --lips: #dc8438;
  --good: #4cc38a; --bad: #ff7b70; --open: #e0b43c; --before: #6b7683; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 54rem; margin: 0 auto; padding: 1.5rem 1.1rem 4rem; }
h1 { font-size: clamp(1.6rem, 5.5vw, 2.5rem); line-height: 1.15; margin: .4rem 0 .6rem; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .1rem; }
p { margin: .4rem 0; }
.lead { font-size: 1.15rem; }
.note, .legend { color: var(--soft); font-size: .88rem; }
.legend span { display: inline-flex; gap: .35rem; align-items: center; margin-right: 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(10.2rem, 1fr)); gap: .7rem;
  margin: 1.2rem 0; }
.card { background: var(--card); border-radius: .6rem; padding: .7rem .9rem; }
.card b { display: block; font-size: 1.55rem; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.card span { display: block; font-size: .82rem; color: var(--soft); }
.card .met { color: var(--good); } .card .missed { color: var(--bad); }
.card .undecided { color: var(--open); }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0;
  border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; }
td:first-child { min-width: 6.5rem; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
summary { cursor: pointer; color: var(--soft); margin: .8rem 0; }
.chart { display: block; overflow: visible; margin: .5rem 0; }
.chart text { font-size: 12px; fill: var(--ink); paint-order: stroke; stroke: var(--paper);
  stroke-width: 3px; stroke-linejoin: round; }
.chart .tick, .chart .soft { fill: var(--soft); font-size: 11px; }
.chart .on { fill: #fff; stroke: none; }
.chart .bad { fill: var(--bad); }
.grid { stroke: var(--rule); stroke-width: 1; }
.pause { fill: var(--pause); } .asr { fill: var(--asr); } .llm { fill: var(--llm); }
.judge { fill: var(--judge); }
.tts { fill: var(--tts); } .held { fill: var(--held); } .delivery { fill: var(--delivery); }
.lips { fill: var(--lips); } .faint { opacity: .32; }
.audio { fill: var(--tts); } .frame { fill: var(--lips); } .plain { fill: var(--asr); }
.band { fill: var(--ink); opacity: .22; } .zone { fill: var(--good); opacity: .13; }
.median { stroke: var(--ink); stroke-width: 2; }
.target { stroke: var(--bad); stroke-width: 1.4; stroke-dasharray: 4 3; }
.human { stroke: var(--good); stroke-width: 1.4; stroke-dasharray: 2 3; }
.whisker { stroke: var(--soft); stroke-width: 1.4; }
.mark { stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 3 2; }
.trend { stroke: var(--asr); stroke-width: 1.6; } .other { fill: var(--before); }
.trend.tail { stroke: var(--before); }
"""
