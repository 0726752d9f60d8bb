"""OpenDocument spreadsheets and presentations (.ods, .odp) from their one XML file; texts (.odt) go through pandoc."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from typing import Any

from ingest.parsers import Parsed, blocks

_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_PRESENTATION = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_BLANKS = frozenset(f"{_TEXT}{name}" for name in ("p", "h", "s", "tab", "line-break"))
_MAX_REPEATED = 100
"""A cell or row that says it stands there more often is formatting without end, not content."""


def parse_ods(data: bytes) -> Parsed:
    """Each sheet under a `##` heading, its cells as they are shown."""
    sheets = list(_root(data).iter(f"{_TABLE}table"))
    parts: list[str] = []
    for sheet in sheets:
        table = blocks.table(_rows(sheet))
        parts += [blocks.heading(_name(sheet), 2), table] if table else []
    return Parsed("", blocks.join(parts), {"sheets": [_name(sheet) for sheet in sheets]})


def parse_odp(data: bytes) -> Parsed:
    """One `##` section a slide: its title, its text in order, its tables, its notes."""
    slides = list(_root(data).iter(f"{_DRAW}page"))
    parts: list[str] = []
    first_title = ""
    for number, slide in enumerate(slides, start=1):
        frames = [shape for shape in slide if shape.get(f"{_PRESENTATION}class") == "title"]
        title = blocks.inline(" ".join(_said(shape) for shape in frames))
        first_title = first_title or title
        body = [block for shape in slide if shape not in frames for block in _shape(shape)]
        parts += [blocks.heading(title or f"Slide {number}", 2), *body] if title or any(body) else []
    return Parsed(first_title, blocks.join(parts), {"slides": len(slides)})


def _root(data: bytes) -> Any:
    from lxml import etree

    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        content = archive.read("content.xml")
    return etree.fromstring(content, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False))


def _name(sheet: Any) -> str:
    return blocks.inline(sheet.get(f"{_TABLE}name") or "")


def _rows(table: Any) -> Iterator[list[str]]:
    for row in table.iter(f"{_TABLE}table-row"):
        cells: list[str] = []
        for cell in row:
            if cell.tag in {f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"}:
                cells += [_said(cell)] * _repeated(cell, "columns")
        for _ in range(_repeated(row, "rows") if any(cells) else 1):
            yield cells


def _repeated(element: Any, what: str) -> int:
    count = element.get(f"{_TABLE}number-{what}-repeated", "1")
    return min(int(count), _MAX_REPEATED) if count.isascii() and count.isdigit() and len(count) < 9 else 1


def _said(element: Any) -> str:
    """The text inside on one line, remarks included; written blanks are elements of their own."""
    from lxml.etree import iterwalk

    parts: list[str] = []
    for event, node in iterwalk(element, events=("start", "end")):
        if event == "end":
            parts.append(node.tail or "" if node is not element else "")
        elif isinstance(node.tag, str):
            parts += [" " if node.tag in _BLANKS else "", node.text or ""]
    return blocks.inline("".join(parts))


def _shape(shape: Any) -> Iterator[str]:
    if shape.tag == f"{_PRESENTATION}notes":
        spoken = _said(shape)
        yield blocks.paragraph(f"Notes: {spoken}") if spoken else ""
        return
    tables = list(shape.iter(f"{_TABLE}table"))
    for table in tables:
        yield blocks.table(_rows(table))
    for paragraph in [] if tables else shape.iter(f"{_TEXT}p"):
        listed = sum(parent.tag == f"{_TEXT}list" for parent in paragraph.iterancestors())
        text = _said(paragraph)
        if text:
            yield blocks.item(text, depth=listed - 1) if listed else blocks.paragraph(text)
