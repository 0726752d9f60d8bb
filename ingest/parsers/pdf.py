"""PDF through pypdfium2: the text layer, or what OCR sees where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from indexes.errors import EmptyDocument, EncryptedDocument, ParseError, TooLarge
from ingest.formats import format_of
from ingest.parsers import Attachment, Parsed, blocks
from ingest.parsers.archive import MAX_MEMBERS, safe_name, unique
from ingest.parsers.layout import BULLET, Line, body_size, drop_running_lines, page_blocks
from ingest.parsers.ocr import INSTALL, LONGEST_SIDE, Budget, is_available, ranges, read_lines

_PLACEHOLDER_TITLES = re.compile(
    r"(?i)^(untitled|microsoft word|powerpoint|document\d*|slide \d|.*\.(docx?|pptx?|xlsx?|indd|dvi|tex|qxd))"
)


_MARK = re.compile("[\ufffe\x02]")
_PARTED = re.compile(r"([^\W\d_]{1,50})[\ufffe\x02]([^\W\d_]{1,50})")
_THIN = 20
"""Characters below which a page's text layer counts as none."""
_FEW = 300
"""Characters up to which a text layer may be a caption over a scanned page."""
_OUTLINES = 100
"""Drawn shapes from which a page without text may show letters as outlines."""
MAX_ATTACHMENTS_BYTES = 500_000_000


def parse_pdf(data: bytes, *, max_ocr_pages: int, ocr_seconds: float) -> Parsed:
    """The text layer, page by page; pages without one, or with little text on a large image, are read by OCR.

    Metadata: `pages`; `ocr` and `ocr_pages` where OCR was used; `pages_not_read` and `unreadable_pages` name what is
    missing. Embedded files are attachments.

    Raises:
        EncryptedDocument: it needs a password.
        EmptyDocument: no page has text, and OCR sees none or is not installed.
    """
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise EncryptedDocument("the PDF needs a password") from error
        raise ParseError(f"the PDF cannot be opened: {error}") from error
    try:
        budget = Budget(max_ocr_pages if is_available() else 0, ocr_seconds)
        pages, failed = _pages(document, budget)
        attachments = _embedded(document)
        if not any(pages) and not attachments:
            if failed and not budget.unread:
                raise ParseError("no page of the PDF can be read")
            raise EmptyDocument(f"the PDF has no text; it looks scanned{'' if is_available() else f', and {INSTALL}'}")
        own = (document.get_metadata_dict().get("Title") or "").strip()
    finally:
        document.close()
    pages = _mend_words(pages)
    drop_running_lines(pages)
    body = body_size([page for number, page in enumerate(pages, start=1) if number not in set(budget.read)])
    text = blocks.join(
        block
        for number, page in enumerate(pages, start=1)
        for block in page_blocks(page, None if number in budget.read else body)
    )
    first = re.search(r"(?m)^#+ (.+)$", text)
    title = own if own and not _PLACEHOLDER_TITLES.match(own) else first.group(1) if first else ""
    metadata: dict[str, Any] = {"pages": len(pages), **budget.metadata()}
    if failed:
        metadata["unreadable_pages"] = ranges(failed)
    return Parsed(title, text, metadata, attachments)


def _pages(document: Any, budget: Budget) -> tuple[list[list[Line]], list[int]]:
    import pypdfium2

    pages: list[list[Line]] = []
    failed: list[int] = []
    for number in range(1, len(document) + 1):
        try:
            page = document[number - 1]
            textpage = page.get_textpage()
            lines = _lines(textpage)
            if _looks_scanned(page, lines) and budget.take(number):
                with budget.page():
                    seen = read_lines(_picture(page))
                lines = max(lines, seen, key=lambda found: sum(len(line.text) for line in found))
            pages.append(lines)
            textpage.close()
            page.close()
        except pypdfium2.PdfiumError:
            pages.append([])
            failed.append(number)
    return pages, failed


def _looks_scanned(page: Any, lines: list[Line]) -> bool:
    """Little or no text where there is much to see: an image on most of the page, or letters drawn as outlines."""
    from pypdfium2 import raw

    characters = sum(len(line.text) for line in lines)
    if characters >= _FEW:
        return False
    width, height = page.get_size()
    covered, outlines = 0.0, 0
    for shape in page.get_objects(max_depth=3):
        if shape.type == raw.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = shape.get_bounds()
            covered += max(0.0, right - left) * max(0.0, top - bottom)
        outlines += shape.type == raw.FPDF_PAGEOBJ_PATH
        if outlines > _OUTLINES:
            break
    share = covered / max(width * height, 1.0)
    return share > 0.5 or (characters < _THIN and (share > 0.05 or outlines > _OUTLINES))


def _picture(page: Any) -> Any:
    scale = min(200 / 72, LONGEST_SIDE / max(*page.get_size(), 1.0))
    return page.render(scale=scale).to_pil().convert("RGB")


def _embedded(document: Any) -> tuple[Attachment, ...]:
    """The files inside, where their sum stays within MAX_ATTACHMENTS_BYTES."""
    import pypdfium2

    found: list[Attachment] = []
    size = 0
    for index in range(document.count_attachments()):
        try:
            entry = document.get_attachment(index)
            name, data = safe_name(entry.get_name()), bytes(entry.get_data())
        except pypdfium2.PdfiumError:
            continue
        size += len(data)
        if size > MAX_ATTACHMENTS_BYTES or index >= MAX_MEMBERS:
            raise TooLarge(f"its embedded files pass the limit of {MAX_MEMBERS:,} or {MAX_ATTACHMENTS_BYTES:,} bytes")
        if data:
            found.append(Attachment(name, data, format_of(name)))
    return unique(found)


def _lines(textpage: Any) -> list[Line]:
    from pypdfium2 import raw

    text, located = _text(textpage)
    lines: list[Line] = []
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
                cells = () if BULLET.match(stripped) else tuple(_cells(textpage, stripped, index, size))
            lines.append(Line(stripped, size, top, cells))
        position += len(raw_line)
    return lines


def _text(textpage: Any) -> tuple[str, bool]:
    """The page's text, and whether each of its characters has the place of the same number on the page."""
    from pypdfium2 import raw

    text, count = textpage.get_text_range(), textpage.count_chars()
    if count == len(text):
        return text, True
    # What is left out are control characters of broken fonts; read one by one they keep the others in their places.
    codes = [raw.FPDFText_GetUnicode(textpage, index) for index in range(count)]
    if any(0xD800 <= code <= 0xDFFF or code > 0x10FFFF for code in codes):
        return text, False
    return "".join(map(chr, codes)), True


def _cells(textpage: Any, line: str, index: int, size: float) -> Iterator[str]:
    """Cut a line where a blank is wider than a word space can be, even in justified text."""
    from ctypes import byref, c_double

    from pypdfium2 import raw

    left, right, before, unused = c_double(), c_double(), c_double(), c_double()
    start = 0
    for blank in re.finditer(r" +", line):  # the plain call: this is half of the time that a PDF takes
        raw.FPDFText_GetCharBox(
            textpage, index + blank.start() - 1, byref(unused), byref(before), byref(unused), byref(unused)
        )
        raw.FPDFText_GetCharBox(textpage, index + blank.end(), byref(left), byref(right), byref(unused), byref(unused))
        if left.value - before.value > max(1.0 * size, 4.0):
            yield line[start : blank.start()]
            start = blank.end()
    yield line[start:]


def _mend_words(pages: list[list[Line]]) -> list[list[Line]]:
    """PDFium joins a word that was parted at a line's end, with a mark where the hyphen stood: was it part of the word?

    It was where the document writes the word so elsewhere, or where both halves are words of their own that it uses,
    and not the two as one.
    """
    lines = [line for page in pages for line in page]
    if not any(_MARK.search(line.text) for line in lines):
        return pages
    words = {word for line in lines for word in re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", line.text.lower())}

    def whole(match: re.Match[str]) -> str:
        first, second = match.group(1), match.group(2)
        before, behind = first.lower(), second.lower()
        compound = f"{before}-{behind}" in words or (
            f"{before}{behind}" not in words
            and before in words
            and behind in words
            and len(behind) > 3 < len(before) + 1
        )
        return f"{first}-{second}" if compound or not second.islower() else first + second

    def mend(text: str) -> str:
        return _MARK.sub("-", _PARTED.sub(whole, text)) if _MARK.search(text) else text

    def mended(line: Line) -> Line:
        rows = 1 + len(_MARK.findall(line.text))
        return replace(line, text=mend(line.text), cells=tuple(map(mend, line.cells)), rows=rows)

    return [[mended(line) for line in page] for page in pages]


def _scale(textpage: Any, index: int) -> float:
    """How much the page's matrix enlarges the nominal font size, which many writers leave at 1."""
    from pypdfium2 import raw

    matrix = raw.FS_MATRIX()
    if not raw.FPDFText_GetMatrix(textpage.raw, index, matrix):
        return 1.0
    return float((matrix.c**2 + matrix.d**2) ** 0.5) or 1.0
