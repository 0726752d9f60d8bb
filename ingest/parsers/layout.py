"""From lines with a place and a size to Markdown: paragraphs, headings, lists and tables of a page.

What a PDF's text layer and what OCR see are both such lines.
"""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from ingest.parsers import blocks

BULLET = re.compile(r"^[•◦▪‣●○■\uf0b7\u2043*–-]\s+")
_LONGEST_HEADING = 200
_LEADER = 300
"""Characters at a line's end in which a table of contents shows its dots."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page.

    Args:
        size: of the type, in points or pixels; 0 where it is not known.
        top: height on the page in the same unit, growing upwards.
        cells: the text where it is parted by wide gaps, as in a row of a table.
        rows: how many lines of the page it covers; more than one where a parted word joins two.
    """

    text: str
    size: float
    top: float
    cells: tuple[str, ...] = ()
    rows: int = 1

    @property
    def length(self) -> float:
        """Characters on one of its rows."""
        return len(self.text) / self.rows


def drop_running_lines(pages: list[list[Line]]) -> None:
    """Keep page headers and footers once: the same first or last line on most of the pages."""
    if len(pages) < 4:
        return

    def key(line: Line) -> str:
        return re.sub(r"\d+", "#", line.text)

    edges = Counter(key(line) for page in pages for line in {*page[:1], *page[-1:]})
    running = {text for text, count in edges.items() if count > len(pages) * 0.6}
    seen: set[str] = set()
    for page in pages:
        for position in (0, -1):
            if page and key(page[position]) in running:
                known = key(page[position]) in seen
                seen.add(key(page[position]))
                if known:
                    del page[position]


def body_size(pages: Sequence[Sequence[Line]]) -> float:
    """The size of type that most characters have; 0 without any."""
    sizes = Counter[float]()
    for line in (line for page in pages for line in page):
        sizes[line.size] += len(line.text)
    return sizes.most_common(1)[0][0] if sizes else 0.0


def page_blocks(lines: Sequence[Line], body: float | None = None) -> list[str]:
    """Return a page's blocks of Markdown; `body` is the size of ordinary type, by default the page's own."""
    body = body_size([lines]) if body is None else body
    longest = max((line.length for line in lines), default=0.0)
    gaps = [a.top - b.top for a, b in pairwise(lines) if a.top > b.top]
    usual = statistics.median_low(gaps) if gaps else 0.0
    found: list[str] = []
    before: Line | None = None
    rows = _table_rows(lines)
    levels = _levels(lines, body, usual)
    for index, line in enumerate(lines):
        if index in rows:
            if index - 1 not in rows or len(lines[index - 1].cells) != len(line.cells):
                end = next(
                    i for i in range(index, len(lines) + 1) if i not in rows or len(lines[i].cells) != len(line.cells)
                )
                found.append(blocks.table([row.cells for row in lines[index:end]]))
            before = None
            continue
        level = levels[index]
        bullet = BULLET.match(line.text)
        if level:
            if before and levels[index - 1] == level and _near(before, line, usual):
                found[-1] += f" {line.text}"
            else:
                found.append(blocks.heading(line.text, level))
        elif bullet:
            found.append(blocks.item(line.text[bullet.end() :] or "-"))
        elif before is None or levels[index - 1] or _parted(before, line, usual):
            found.append(blocks.paragraph(line.text))
        else:
            found[-1] = _joined(found[-1], before, line.text, longest)
        before = line
    return found


def _table_rows(lines: Sequence[Line]) -> set[int]:
    """Which lines are rows of a table: at least three in a row with the same number of short cells."""
    rows: set[int] = set()
    for count, run in groupby(range(len(lines)), key=lambda index: len(lines[index].cells)):
        indexes = list(run)
        cells = [cell for index in indexes for cell in lines[index].cells]
        if (
            count >= 2
            and len(indexes) >= 3
            and sum(map(len, cells)) < 40 * len(cells)
            and not any(map(_is_contents, cells))
        ):
            rows.update(indexes)
    return rows


def _is_contents(cell: str) -> bool:
    return re.search(r"\.{4,}", cell) is not None


def _levels(lines: Sequence[Line], body: float, usual: float) -> list[int]:
    """The level of each line as a heading; what runs on for long in larger type is a paragraph all the same."""
    levels = [_level(line, body) for line in lines]
    start = 0
    for end in range(1, len(lines) + 1):
        if end < len(lines) and levels[end] == levels[start] and _near(lines[end - 1], lines[end], usual):
            continue
        if sum(len(line.text) for line in lines[start:end]) > _LONGEST_HEADING:
            levels[start:end] = [0] * (end - start)
        start = end
    return levels


def _near(before: Line, line: Line, usual: float) -> bool:
    return before.top - line.top < 2 * max(usual, line.size)


def _level(line: Line, body: float) -> int:
    """1 or 2 for a line in clearly larger type that could be a heading, else 0."""
    if not body or line.size < body * 1.15 or len(line.text) > 150 or not re.search(r"[^\W\d_]", line.text):
        return 0
    return 1 if line.size >= body * 1.6 else 2


def _parted(before: Line, line: Line, usual: float) -> bool:
    gap = (before.top - line.top) / before.rows
    return bool(usual) and (gap > 1.4 * usual or gap < -usual or abs(before.size - line.size) > 1)


def _joined(text: str, before: Line, line: str, longest: float) -> str:
    """Append a line to a paragraph; the end of a full line is no end, and a hyphen there may be none."""
    if re.search(r"[^\W\d_]-$", text[-2:]) and line[:1].islower():
        return text[:-1] + line
    full = before.length > 0.7 * longest and not re.search(
        r"(?:\.\s?){4,}\d*$", before.text[-_LEADER:]
    )  # nor is a line of contents
    return f"{text}{' ' if full else chr(10)}{line}"
