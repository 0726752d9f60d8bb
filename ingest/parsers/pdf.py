"""PDF through pypdfium2: lines become paragraphs and headings by their distance and font size."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from indexes.errors import EmptyDocument, EncryptedDocument, ParseError
from ingest.parsers import Parsed, blocks

_BULLET = re.compile(r"^[•◦▪‣●○■\uf0b7\u2043*–-]\s+")
_PLACEHOLDER_TITLES = re.compile(
    r"(?i)^(untitled|microsoft word|powerpoint|document\d*|slide \d|.*\.(docx?|pptx?|xlsx?|indd|dvi|tex|qxd))"
)


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float  # font size in points; 0 where it is not known
    top: float  # of the first character, in points from the page's lower edge
    cells: tuple[str, ...] = ()  # the text where it is parted by wide gaps, as in a row of a table


def parse_pdf(data: bytes) -> Parsed:
    """The text layer, page by page.

    Raises:
        EncryptedDocument: it needs a password.
        EmptyDocument: no page has text; most likely a scan.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise EncryptedDocument("the PDF needs a password") from error
        raise ParseError(f"the PDF cannot be opened: {error}") from error
    try:
        pages, failed = _pages(document)
        if not any(pages):
            if failed:
                raise ParseError("no page of the PDF can be read")
            raise EmptyDocument("the PDF has no text; it looks scanned, and reading scans (OCR) is an extra")
        own = (document.get_metadata_dict().get("Title") or "").strip()
    finally:
        document.close()
    _drop_running_lines(pages)
    sizes = Counter[float]()
    for line in (line for page in pages for line in page):
        sizes[line.size] += len(line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    text = blocks.join(block for page in pages for block in _blocks(page, body))
    first = re.search(r"(?m)^#+ (.+)$", text)
    title = own if own and not _PLACEHOLDER_TITLES.match(own) else first.group(1) if first else ""
    metadata: dict[str, Any] = {"pages": len(pages)}
    if failed:
        metadata["unreadable_pages"] = failed
    return Parsed(title, text, metadata)


def _pages(document: Any) -> tuple[list[list[_Line]], list[int]]:
    import pypdfium2

    pages: list[list[_Line]] = []
    failed: list[int] = []
    for number in range(len(document)):
        try:
            page = document[number]
            textpage = page.get_textpage()
            pages.append(_lines(textpage))
            textpage.close()
            page.close()
        except pypdfium2.PdfiumError:
            pages.append([])
            failed.append(number + 1)
    return pages, failed


def _lines(textpage: Any) -> list[_Line]:
    from pypdfium2 import raw

    text = textpage.get_text_range()
    # Where every character of the text has its place on the page, a line's first one tells its size and height.
    located = textpage.count_chars() == len(text)
    lines: list[_Line] = []
    position = 0
    for raw_line in text.splitlines(keepends=True):
        stripped = raw_line.strip()
        if stripped:
            size = top = 0.0
            cells: tuple[str, ...] = ()
            if located:
                index = position + len(raw_line) - len(raw_line.lstrip())
                size = round(raw.FPDFText_GetFontSize(textpage.raw, index) * _scale(textpage, index), 1)
                top = textpage.get_charbox(index, loose=True)[3]
                cells = () if _BULLET.match(stripped) else tuple(_cells(textpage, stripped, index, size))
            lines.append(_Line(stripped.replace("\ufffe", "-").replace("\x02", "-"), size, top, cells))
        position += len(raw_line)
    return lines


def _cells(textpage: Any, line: str, index: int, size: float) -> Iterator[str]:
    """Cut a line where a blank is wider than a word space can be, even in justified text."""
    start = 0
    for blank in re.finditer(r" +", line):
        left = textpage.get_charbox(index + blank.start() - 1)[2]
        right = textpage.get_charbox(index + blank.end())[0]
        if right - left > max(1.0 * size, 4.0):
            yield line[start : blank.start()]
            start = blank.end()
    yield line[start:]


def _scale(textpage: Any, index: int) -> float:
    """How much the page's matrix enlarges the nominal font size, which many writers leave at 1."""
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(textpage.raw, index, matrix):
        return 1.0
    return float((matrix.c**2 + matrix.d**2) ** 0.5) or 1.0


def _drop_running_lines(pages: list[list[_Line]]) -> None:
    """Keep page headers and footers once: the same first or last line on most of the pages."""
    if len(pages) < 4:
        return

    def key(line: _Line) -> str:
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


def _blocks(lines: list[_Line], body: float) -> list[str]:
    """Paragraphs, list items and headings of one page."""
    longest = max((len(line.text) for line in lines), default=0)
    gaps = [a.top - b.top for a, b in pairwise(lines) if a.top > b.top]
    usual = statistics.median_low(gaps) if gaps else 0.0
    found: list[str] = []
    before: _Line | None = None
    rows = _table_rows(lines)
    for index, line in enumerate(lines):
        if index in rows:
            if index - 1 not in rows or len(lines[index - 1].cells) != len(line.cells):
                end = next(
                    i for i in range(index, len(lines) + 1) if i not in rows or len(lines[i].cells) != len(line.cells)
                )
                found.append(blocks.table([row.cells for row in lines[index:end]]))
            before = None
            continue
        level = _level(line, body)
        bullet = _BULLET.match(line.text)
        if level:
            if before and _level(before, body) == level and before.top - line.top < 2 * max(usual, line.size):
                found[-1] += f" {line.text}"
            else:
                found.append(blocks.heading(line.text, level))
        elif bullet:
            found.append(blocks.item(line.text[bullet.end() :] or "-"))
        elif before is None or _level(before, body) or _parted(before, line, usual):
            found.append(blocks.paragraph(line.text))
        else:
            found[-1] = _joined(found[-1], before.text, line.text, longest)
        before = line
    return found


def _table_rows(lines: list[_Line]) -> set[int]:
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


def _level(line: _Line, body: float) -> int:
    """1 or 2 for a line in clearly larger type that could be a heading, else 0."""
    if not body or line.size < body * 1.15 or len(line.text) > 150 or not re.search(r"[^\W\d_]", line.text):
        return 0
    return 1 if line.size >= body * 1.6 else 2


def _parted(before: _Line, line: _Line, usual: float) -> bool:
    gap = before.top - line.top
    return bool(usual) and (gap > 1.4 * usual or gap < -usual or abs(before.size - line.size) > 1)


def _joined(text: str, before: str, line: str, longest: int) -> str:
    """Append a line to a paragraph; the end of a full line is no end, and a hyphen there may be none."""
    if re.search(r"[^\W\d_]-$", text) and line[:1].islower():
        return text[:-1] + line
    full = len(before) > 0.7 * longest and not re.search(r"(\.\s?){4,}\d*$", before)  # nor is a line of contents
    return f"{text}{' ' if full else chr(10)}{line}"
