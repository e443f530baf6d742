"""docs/wire.md as tests read it: its sections, tables, dumps and the example program."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "wire.md"


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it, up to the next heading of the same or a higher level."""

    title: str
    text: str

    def table(self) -> list[dict[str, str]]:
        """The rows of its first table, by the titles of the columns; empty without one."""
        lines = [line for line in self.text.split("\n\n") if line.lstrip().startswith("|")]
        if not lines:
            return []
        head, _, *rows = [_cells(line) for line in lines[0].strip().splitlines()]
        return [dict(zip(head, row, strict=True)) for row in rows]


@dataclass(frozen=True)
class Dump:
    """A header as JSON, and its bytes."""

    json: str
    data: bytes


def sections() -> list[Section]:
    """Every section of the page, in order; code blocks are not searched for headings."""
    text = PAGE.read_text(encoding="utf-8")
    code = [(m.start(), m.end()) for m in re.finditer(r"^```.*?^```$", text, re.M | re.S)]
    heads = [
        m
        for m in re.finditer(r"^(#+) (.+)$", text, re.M)
        if not any(start <= m.start() < end for start, end in code)
    ]
    found: list[Section] = []
    for number, head in enumerate(heads):
        level = len(head[1])
        ends = (later.start() for later in heads[number + 1 :] if len(later[1]) <= level)
        found.append(Section(head[2].replace("`", ""), text[head.end() : next(ends, len(text))]))
    return found


def section(title: str) -> Section:
    """The section of that title."""
    (found,) = [s for s in sections() if s.title == title]
    return found


def messages() -> dict[str, list[Section]]:
    """The sections of each type of message ("audio" has one for each way)."""
    found: dict[str, list[Section]] = {}
    for chapter in ("What the client sends", "What the server sends"):
        for title in re.findall(r"^### (`.+)$", section(chapter).text, re.M):
            name = title.split("`")[1]
            found.setdefault(name, []).append(section(title.replace("`", "")))
    return found


def dumps() -> list[Dump]:
    """Every JSON block with the dump that follows it."""
    pairs = re.findall(
        r"```json\n((?:(?!```).)*)```\n\n```text\n((?:(?!```).)*)```",
        PAGE.read_text(encoding="utf-8"),
        re.S,
    )
    return [Dump(json, _bytes(text)) for json, text in pairs]


def example() -> str:
    """The program at the end of the page."""
    (program,) = re.findall(r"```python\n(.*?)```", section("A whole client").text, re.S)
    return str(program)


def _cells(line: str) -> list[str]:
    return [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]


def _bytes(dump: str) -> bytes:
    data = b""
    for line in dump.splitlines():
        offset, digits, text = line.split("  ", 1)[0], line[6:53], line[55:]
        row = bytes.fromhex(digits)
        assert int(offset, 16) == len(data), f"the offset of {line!r} is wrong"
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in row)
        assert text == shown, f"the text beside {line!r} is wrong"
        data += row
    return data
