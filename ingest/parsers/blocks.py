"""The Markdown that the parsers write: one function per block, so that all formats look alike to the chunker."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

_BLANKS = re.compile(r"\s+")


def inline(text: str) -> str:
    """Return the text on one line."""
    return _BLANKS.sub(" ", text).strip()


def heading(text: str, level: int) -> str:
    """Return a heading; levels beyond 1 to 6 are brought inside."""
    return f"{'#' * min(max(level, 1), 6)} {inline(text)}" if inline(text) else ""


def paragraph(text: str) -> str:
    """Return a paragraph whose lines are kept; text that would read as a heading is escaped."""
    lines = (_line.strip() for _line in text.strip().split("\n"))
    return "\n".join("\\" + line if re.match(r"#{1,6}(\s|$)", line) else line for line in lines if line)


def item(text: str, *, depth: int = 0, number: int | None = None) -> str:
    """Return one list item; what follows its first line is indented under it. `depth` counts from 0."""
    marker = "- " if number is None else f"{number}. "
    pad = "  " * depth
    first, *rest = text.strip().split("\n")
    return "\n".join([pad + marker + first, *(pad + " " * len(marker) + line if line else "" for line in rest)])


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return a pipe table with the first row as its header; rows and columns without any text are left out.

    Where rows are of so different a length that the empty cells at their ends would outgrow the text, those are left
    out as well; Markdown allows it.
    """
    cells = [[inline(cell).replace("|", "\\|") for cell in row] for row in rows]
    cells = [row for row in cells if any(row)]
    used = sorted({column for row in cells for column, cell in enumerate(row) if cell})
    if not used:
        return ""
    padded = len(used) * len(cells) <= 1_000_000 + 4 * sum(map(len, cells))
    lines = [_row(row, used, padded=padded) for row in cells]
    return "\n".join([lines[0], "|" + " --- |" * len(used), *lines[1:]])


def _row(row: Sequence[str], used: Sequence[int], *, padded: bool) -> str:
    width = len(row)
    shown = used if padded else used[: bisect_left(used, width)]
    return f"| {' | '.join(row[column] if column < width else '' for column in shown)} |"


def code(text: str) -> str:
    """Return a fenced block; the fence is longer than any inside."""
    fence = "`" * max([3, *(len(run) + 1 for run in re.findall(r"`{3,}", text))])
    return f"{fence}\n{text.strip(chr(10))}\n{fence}" if text.strip() else ""


def join(blocks: Iterable[str]) -> str:
    """Return the blocks with an empty line between them; neighbouring list items stand together."""
    before = False
    parts: list[str] = []
    for block in blocks:
        if not block.strip():
            continue
        listed = re.match(r"\s*(-|\d+\.) ", block) is not None
        if parts:
            parts.append("\n" if listed and before else "\n\n")
        parts.append(block)
        before = listed
    return "".join(parts)
