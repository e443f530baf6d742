"""What stands below the answer: all figures, the past, what was heard, and how it was measured."""

from __future__ import annotations

from collections.abc import Sequence

from halfsecond_bench.history import Entry
from halfsecond_bench.pages import verdict
from halfsecond_bench.pages.document import details, paragraph, section, table
from halfsecond_bench.pages.trend import trend
from halfsecond_bench.quantities import COLD_AND_WARM, GROUPS, WAITS, Quantity, shown
from halfsecond_bench.results import Result


def all_figures(result: Result) -> str:
    """Every figure that the result has, in groups."""
    tables = [
        f"<h3>{name}</h3>" + table(("", "p50", "p95", "most", "n", "target"), rows, numbers=5)
        for name, quantities in GROUPS
        if (rows := [row for q in quantities if (row := _row(result, q))])
    ]
    return section("All figures", *tables)


def _row(result: Result, quantity: Quantity) -> list[str] | None:
    """The line of a figure, whether it is a distribution or a number; None where it is absent."""
    targets = [
        f"{name}{'≥' if quantity.is_more_better else '≤'} {shown(quantity.unit, value)}"
        for name, value in (("", quantity.p50_target), ("p95 ", quantity.p95_target))
        if value is not None
    ]
    wanted = ", ".join(targets)
    if values := result.figures.get(quantity.key):
        spread = [shown(quantity.unit, value) for value in (values.p50, values.p95, values.max)]
        return [quantity.label, *spread, str(values.n), wanted]
    if (number := result.numbers.get(quantity.key)) is None:
        return None
    if quantity.key == "wer" and result.transcripts:
        words = verdict.misheard(result)
    elif quantity.of is not None and (n := result.numbers.get(quantity.of)):
        words = verdict.rate_words(number, n)
    else:
        words = shown(quantity.unit, number)
    return [quantity.label, words, "", "", "", wanted]


def cold_and_warm(result: Result) -> str:
    """The first turn after a start beside the later ones; nothing where it was not measured."""
    rows: list[list[str]] = []
    for label, cold_key, warm_key in COLD_AND_WARM:
        cold = result.figures.get(cold_key)
        value = cold.p50 if cold else result.numbers.get(cold_key)
        if value is not None and (warm := result.figures.get(warm_key)):
            n = cold.n if cold else 1
            rows.append([label, f"{value:.0f} ms", str(n), f"{warm.p50:.0f} ms", str(warm.n)])
    return section("Cold and warm", table(("", "cold", "n", "warm p50", "n"), rows, numbers=4))


def over_commits(result: Result, history: Sequence[Entry]) -> str:
    """Trends of what a visitor feels, and the table of all entries."""
    if not history:
        return ""
    like = [entry for entry in history if entry.is_like(result)]
    words = f"{len(like)} result{'' if len(like) == 1 else 's'} of this profile and kind of machine"
    if others := len(history) - len(like):
        words += f"; {others} of others in grey, which are not to be compared with them"
    trends = [
        f"<h3>{q.label.capitalize()}, ms</h3>" + drawn
        for q in WAITS
        if (drawn := trend(history, q.key, like=result, target=q.p50_target))
    ]
    return section(
        "Over commits",
        paragraph(f"{words}. Large dots are p50 with its 95 % interval, small ones p95."),
        *trends,
        details("All entries", _entries(history)),
    )


def _entries(history: Sequence[Entry]) -> str:
    rows: list[list[str]] = []
    for entry in reversed(history):
        cells = [
            entry.commit,
            f"{entry.date:%Y-%m-%d}",
            entry.profile,
            entry.device,
            str(entry.turns),
        ]
        for quantity in WAITS:
            values = entry.figures.get(quantity.key)
            cells.append(f"{values.p50:.0f} / {values.p95:.0f}" if values else "–")
        rows.append(cells)
    headers = ("commit", "date", "profile", "device", "turns", *(q.label for q in WAITS))
    return table(headers, rows, numbers=1 + len(WAITS))


def heard(result: Result) -> str:
    """Turn by turn: what was said, understood and answered, and how long it took."""
    rows: list[list[str]] = []
    for number, said in enumerate(result.transcripts):
        row = result.rows[number] if number < len(result.rows) else {}
        waits = [row.get(q.key) for q in WAITS]
        rows.append(
            [
                said["clip"], said["kind"], said["reference"], said["hypothesis"], said["answer"],
                "yes" if said["is_true"] else "no",
                *("–" if wait is None else f"{wait:.0f}" for wait in waits),
            ]
        )  # fmt: skip
    headers = ("clip", "kind", "said", "heard", "answered", "true", "sound, ms", "lips, ms")
    found = table(headers, rows, numbers=2)
    return section(
        "What was heard and answered", details(f"All {len(rows)} turns", found) if found else ""
    )


def how_measured(result: Result) -> str:
    """Conditions, in words and versions."""
    kinds = [said["kind"] for said in result.transcripts]
    voices = ", ".join(f"{kinds.count(kind)} {kind}" for kind in sorted(set(kinds)))
    threads = ", ".join(f"{stage} {n}" for stage, n in result.threads.items())
    rows = [
        ["machine", result.device],
        ["profile", result.profile],
        ["threads", threads],
        ["questions", f"{len(kinds)} turns: {voices} recordings" if kinds else ""],
        ["versions", ", ".join(f"{name} {number}" for name, number in result.versions.items())],
    ]
    return section(
        "How this was measured",
        paragraph(
            "Recorded questions at real-time pace over the real wire to a server of its own; a "
            "synthetic voice that asks is never the one that answers. Times count from a labelled "
            "last speech sample, not from our own voice activity detector, to what the client "
            "holds. The wait for the end of the turn is included; nothing is answered from a cache."
        ),
        table(("", ""), [row for row in rows if row[1]]),
    )
