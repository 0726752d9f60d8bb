"""DOCX through python-docx: headings by style, lists by numbering, tables cell by cell.

Not through unstructured: it takes 4-7 s to import and 560 MB, knows no ordered lists, and calls lines titles by their
wording. Not through pandoc: it lost the text of paragraphs that hold drawings.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ingest.parsers import Parsed, blocks

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_DOC_PR = "{http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing}docPr"
_BREAKS = {f"{_W}tab": "\t", f"{_W}br": "\n", f"{_W}cr": "\n", f"{_W}noBreakHyphen": "-"}


def parse_docx(data: bytes) -> Parsed:
    """Body text in order, page headers before it, footnotes and page footers after it; no deleted or hidden text.

    Title: the paragraph in style Title, the document's property, or the first heading.
    """
    import docx

    document = docx.Document(io.BytesIO(data))
    reader = _Reader(document)
    body = list(reader.container(document.element.body))
    margins = [_margin(reader, document, kind) for kind in ("header", "footer")]
    own = reader.title or (document.core_properties.title or "").strip()
    own = "" if own.lower() in {"word document", "document", "untitled"} else own
    text = blocks.join([*margins[0], *body, *reader.footnotes(), *margins[1]])
    metadata = {"author": document.core_properties.author} if document.core_properties.author else {}
    return Parsed(own or reader.first_heading, text, metadata)


def _margin(reader: _Reader, document: Any, kind: str) -> list[str]:
    """Each distinct text in the page headers or footers, once: versions and dates often stand only there."""
    found: dict[str, None] = {}
    for section in document.sections:
        for part in (getattr(section, name) for name in (kind, f"first_page_{kind}", f"even_page_{kind}")):
            if not part.is_linked_to_previous:
                text = blocks.join(reader.container(part._element))
                if re.search(r"[^\W\d_]{3}", re.sub(r"(?i)\bpage\b|\bof\b", "", text)):
                    found[text] = None
    return list(found)


class _Reader:
    def __init__(self, document: Any) -> None:
        self.document = document
        self.title = ""
        self.first_heading = ""
        self.counters: Counter[tuple[str, int]] = Counter()
        self.ordered = _ordered_levels(document)
        self.styles = {style.style_id: style for style in document.styles}
        # A document whose title is a heading of its own has its sections one level below.
        self.shift = int(any(self._style_names(p)[:1] == ["title"] for p in document.element.body.iter(f"{_W}p")))

    def container(self, element: Any) -> Iterator[str]:
        """The blocks of a body, a cell, a text box, a header."""
        for child in element:
            if child.tag == f"{_W}p":
                yield from self.paragraph(child)
            elif child.tag == f"{_W}tbl":
                yield from self.table(child)
            elif child.tag in {
                f"{_W}{name}" for name in ("sdt", "sdtContent", "ins", "moveTo", "customXml", "smartTag")
            }:
                yield from self.container(child)

    def paragraph(self, element: Any) -> Iterator[str]:
        text = "".join(self.runs(element)).strip()
        level = self.heading_level(element)
        numbered = self.numbering(element)
        if text and level:
            if level == 1 and self.shift and self._style_names(element)[:1] == ["title"]:
                self.title = self.title or blocks.inline(text)
            self.first_heading = self.first_heading or blocks.inline(text)
            yield blocks.heading(text, level)
        elif text and numbered:
            key, depth, ordered = numbered
            self.counters[key, depth] += 1
            for deeper in range(depth + 1, 9):
                self.counters[key, deeper] = 0
            yield blocks.item(text, depth=depth, number=self.counters[key, depth] if ordered else None)
        elif text:
            yield blocks.paragraph(text)
        for box in element.iter(f"{_W}txbxContent"):
            if not any(parent.tag == _FALLBACK for parent in box.iterancestors()):
                yield from self.container(box)

    def runs(self, element: Any) -> Iterator[str]:
        """The text of one paragraph, without that of text boxes in it, deleted or hidden text."""
        for child in element:
            if child.tag == f"{_W}t":
                yield child.text or ""
            elif child.tag in _BREAKS:
                yield _BREAKS[child.tag]
            elif child.tag == f"{_W}footnoteReference":
                yield f"[^{child.get(f'{_W}id')}]"
            elif child.tag == _DOC_PR:
                yield child.get("descr") or ""
            elif child.tag == f"{_W}r" and _is_hidden(child):
                continue
            elif child.tag not in {f"{_W}txbxContent", f"{_W}del", f"{_W}moveFrom", f"{_W}pPr", f"{_W}rPr", _FALLBACK}:
                yield from self.runs(child)

    def heading_level(self, element: Any) -> int:
        """1 to 6 by outline level or style, 0 for body text."""
        outline = element.find(f"{_W}pPr/{_W}outlineLvl")
        if outline is not None and outline.get(f"{_W}val", "9").isdigit() and int(outline.get(f"{_W}val")) < 6:
            return int(outline.get(f"{_W}val")) + 1 + self.shift
        for name in self._style_names(element):
            if name == "title":
                return 1
            match = re.fullmatch(r"heading (\d)", name)
            if match:
                return int(match.group(1)) + self.shift
        return 0

    def numbering(self, element: Any) -> tuple[str, int, bool] | None:
        """The list a paragraph belongs to, its depth from 0 and whether the list is ordered."""
        name = next(iter(self._style_names(element)), "")
        named = re.fullmatch(r"list (bullet|number)(?: (\d))?", name)
        style_depth = int(named.group(2) or 1) - 1 if named else 0
        holders = [element.find(f"{_W}pPr"), *(style.element.find(f"{_W}pPr") for style in self._styles(element))]
        for holder in holders:
            properties = None if holder is None else holder.find(f"{_W}numPr")
            number = None if properties is None else properties.find(f"{_W}numId")
            if properties is not None and number is not None:
                key = number.get(f"{_W}val", "0")
                level = properties.find(f"{_W}ilvl")
                depth = min(int(level.get(f"{_W}val", "0")), 8) if level is not None else 0
                return None if key == "0" else (key, max(depth, style_depth), self.ordered.get((key, depth), False))
        return (name, style_depth, named.group(1) == "number") if named else None

    def _styles(self, element: Any) -> Iterator[Any]:
        """The paragraph's style, then the styles it is based on."""
        reference = element.find(f"{_W}pPr/{_W}pStyle")
        style = self.styles.get(reference.get(f"{_W}val")) if reference is not None else None
        for _ in range(10):
            if style is None:
                return
            yield style
            style = getattr(style, "base_style", None)

    def _style_names(self, element: Any) -> list[str]:
        return [(style.name or "").lower() for style in self._styles(element)]

    def table(self, element: Any) -> Iterator[str]:
        """A pipe table.

        One of a single column, or of one row around other tables, is a frame and becomes its content.
        """
        rows = [list(_children(row, "tc")) for row in _children(element, "tr")]
        framed = len(rows) == 1 and any(cell.find(f".//{_W}tbl") is not None for cell in rows[0])
        if framed or max(map(len, rows), default=0) <= 1:
            for row in rows:
                for cell in row:
                    yield from self.container(cell)
            return
        yield blocks.table(self.grid(rows))

    def grid(self, rows: list[list[Any]]) -> Iterator[list[str]]:
        """Text by row and column; a cell merged downwards is repeated, for each row must be understood alone."""
        above: list[str] = []
        for row in rows:
            line: list[str] = []
            for cell in row:
                merge = cell.find(f"{_W}tcPr/{_W}vMerge")
                span = cell.find(f"{_W}tcPr/{_W}gridSpan")
                text = blocks.inline(" ".join("".join(self.runs(p)) for p in cell.iter(f"{_W}p")))
                if merge is not None and merge.get(f"{_W}val") != "restart" and len(line) < len(above):
                    text = text or above[len(line)]
                width = int(span.get(f"{_W}val", "1")) if span is not None else 1
                line += [text, *[""] * (min(width, 100) - 1)]
            yield line
            above = line

    def footnotes(self) -> Iterator[str]:
        from lxml import etree

        for relation in self.document.part.rels.values():
            if relation.reltype.endswith(("/footnotes", "/endnotes")):
                parser = etree.XMLParser(resolve_entities=False)
                for note in etree.fromstring(relation.target_part.blob, parser):
                    text = blocks.inline("".join(self.runs(note)))
                    if text and note.get(f"{_W}type") is None:
                        yield f"[^{note.get(f'{_W}id')}]: {text}"


def _children(element: Any, name: str) -> Iterator[Any]:
    """Rows or cells, also those inside content controls."""
    for child in element:
        if child.tag == f"{_W}{name}":
            yield child
        elif child.tag in {f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"}:
            yield from _children(child, name)


def _is_hidden(run: Any) -> bool:
    mark = run.find(f"{_W}rPr/{_W}vanish")
    return mark is not None and mark.get(f"{_W}val", "true") not in {"0", "false", "off"}


def _ordered_levels(document: Any) -> dict[tuple[str, int], bool]:
    """(numId, level) -> whether that level counts."""
    try:
        root = document.part.numbering_part.element
    except (KeyError, NotImplementedError):
        return {}
    formats: dict[str, dict[int, bool]] = {}
    for abstract in root.iter(f"{_W}abstractNum"):
        levels = formats.setdefault(abstract.get(f"{_W}abstractNumId"), {})
        for level in abstract.iter(f"{_W}lvl"):
            kind = level.find(f"{_W}numFmt")
            levels[int(level.get(f"{_W}ilvl"))] = kind is not None and kind.get(f"{_W}val") not in {"bullet", "none"}
    ordered: dict[tuple[str, int], bool] = {}
    for number in root.iter(f"{_W}num"):
        reference = number.find(f"{_W}abstractNumId")
        if reference is not None:
            for depth, counts in formats.get(reference.get(f"{_W}val"), {}).items():
                ordered[number.get(f"{_W}numId"), depth] = counts
    return ordered
