"""Word documents of 1997 to 2003 (.doc): the text of the piece table, headings and tables by paragraph properties.

Read here and not by LibreOffice: a document must give the same text on every machine, and no macro has a chance.
Source: [MS-DOC], sections 2.4.1 (retrieving text), 2.9.53 (FIB), 2.9.178 (PapxFkp), 2.9.260 (fixed-index styles).
"""

from __future__ import annotations

import io
import re
import struct
from bisect import bisect_right
from collections.abc import Iterator
from itertools import chain, pairwise
from typing import NamedTuple

from indexes.errors import EncryptedDocument, ParseError
from ingest.parsers import Parsed, blocks

_PAGE = 512
_FIELD = re.compile("\x13[^\x13\x14\x15]{0,2000}\x14|\x13[^\x13\x14\x15]{0,2000}(?=\x15)|[\x13\x14\x15]")
_SPECIAL = {0x0B: "\n", 0x0C: "\r", 0x0E: "\r", 0x1E: "-", 0x1F: "", 0xA0: " "}
_IN_TABLE = 0x2416
_ROW_END = 0x2417
_OUTLINE = 0x2640
_LIST = 0x460B
_LONG = frozenset([0xD608, 0xC615])  # their length is not in one byte; nothing behind them is needed


class _Piece(NamedTuple):
    start: int  # in characters of the document
    end: int
    offset: int  # of its first byte in the stream
    width: int  # bytes a character


class _Properties(NamedTuple):
    level: int = 0  # of a heading; 0 for body text
    in_table: bool = False
    row_end: bool = False
    listed: bool = False


def parse_doc(data: bytes) -> Parsed:
    """Body text, then footnotes, page headers, comments, endnotes and text boxes, in the file's order.

    Title: the document's property, or the first heading.

    Raises:
        EncryptedDocument: it needs a password.
        ParseError: it is older than Word 97, or its text cannot be found.
    """
    import olefile

    with olefile.OleFileIO(io.BytesIO(data)) as container:
        stream = container.openstream("WordDocument").read()
        magic, version, flags = struct.unpack_from("<HH6xH", stream)
        if magic != 0xA5EC or version < 0xC1:
            raise ParseError("it is older than Word 97; save it as .docx")
        if flags & 0x0100:
            raise EncryptedDocument("the document needs a password")
        table = container.openstream("1Table" if flags & 0x0200 else "0Table").read()
        own = _text_property(container)
    lengths = sum(struct.unpack_from("<8i", stream, 0x4C))
    pieces = _pieces(table[slice(*_located(stream, 0x01A2))])
    text = "".join(_decoded(stream, piece) for piece in pieces)[: max(lengths, 0)]
    if not text:
        raise ParseError("its text cannot be found")
    runs = _paragraph_properties(stream, table[slice(*_located(stream, 0x0102))])
    found = blocks.join(_blocks(text, pieces, runs))
    first = re.search(r"(?m)^#+ (.+)$", found)
    return Parsed(own or (first.group(1) if first else ""), found)


def _text_property(container: object) -> str:
    try:
        title = container.get_metadata().title  # type: ignore[attr-defined]
    except Exception:  # a broken property set is no reason to lose the text
        return ""
    return title.decode("cp1252", "replace").strip("\0 ") if isinstance(title, bytes) else str(title or "")


def _located(stream: bytes, entry: int) -> tuple[int, int]:
    """Start and end, in the table stream, of what an entry of the file information block points at."""
    start, size = struct.unpack_from("<II", stream, entry)
    return start, start + size


def _pieces(clx: bytes) -> list[_Piece]:
    """The piece table: which run of characters lies where in the stream."""
    position = 0
    while position < len(clx) and clx[position] == 1:  # property modifiers come first
        position += 3 + struct.unpack_from("<H", clx, position + 1)[0]
    if position >= len(clx) or clx[position] != 2:
        raise ParseError("its piece table cannot be found")
    plc = clx[position + 5 : position + 5 + struct.unpack_from("<I", clx, position + 1)[0]]
    count = (len(plc) - 4) // 12
    starts = struct.unpack_from(f"<{count + 1}I", plc)
    found: list[_Piece] = []
    for index, (start, end) in enumerate(pairwise(starts)):
        where = struct.unpack_from("<I", plc, 4 * (count + 1) + 8 * index + 2)[0]
        compressed = bool(where & 0x4000_0000)
        offset = (where & 0x3FFF_FFFF) // (2 if compressed else 1)
        found.append(_Piece(start, max(start, end), offset, 1 if compressed else 2))
    return found


def _decoded(stream: bytes, piece: _Piece) -> str:
    data = stream[piece.offset : piece.offset + (piece.end - piece.start) * piece.width]
    text = data.decode("cp1252" if piece.width == 1 else "utf-16-le", "replace")
    return text[: piece.end - piece.start].ljust(piece.end - piece.start, "\0")


def _paragraph_properties(stream: bytes, plc: bytes) -> tuple[list[int], list[_Properties]]:
    """(ends, properties): a paragraph whose last byte lies before ends[i] and after ends[i - 1] has properties[i]."""
    count = max(0, (len(plc) - 4) // 8)
    ends: list[int] = []
    properties: list[_Properties] = []
    for index in range(count):
        number = struct.unpack_from("<I", plc, 4 * (count + 1) + 4 * index)[0] & 0x3F_FFFF
        page = stream[number * _PAGE : (number + 1) * _PAGE]
        runs = page[-1] if len(page) == _PAGE else 0
        if 4 * (runs + 1) + 13 * runs > _PAGE:
            continue
        offsets = struct.unpack_from(f"<{runs + 1}I", page)
        for run in range(runs):
            ends.append(offsets[run + 1])
            properties.append(_papx(page, 2 * page[4 * (runs + 1) + 13 * run]))
    order = sorted(range(len(ends)), key=ends.__getitem__)
    return [ends[i] for i in order], [properties[i] for i in order]


def _papx(page: bytes, position: int) -> _Properties:
    """The style, of which 1 to 9 are always the headings, and the few modifiers that change how a paragraph reads."""
    if not position:
        return _Properties()
    size = page[position] * 2 - 1
    if size < 0:
        position, size = position + 1, page[position + 1] * 2
    content = page[position + 1 : position + 1 + size]
    if len(content) < 2:
        return _Properties()
    style = struct.unpack_from("<H", content)[0]
    level, in_table, row_end, listed, at = (style if 1 <= style <= 9 else 0), False, False, False, 2
    while at + 3 <= len(content):
        code, value = struct.unpack_from("<HB", content, at)
        if code == _IN_TABLE:
            in_table = bool(value)
        elif code == _ROW_END:
            row_end = bool(value)
        elif code == _OUTLINE and value < 9:
            level = value + 1
        elif code == _LIST and at + 4 <= len(content):
            listed = content[at + 2 : at + 4] != b"\0\0"
        elif code in _LONG:
            break
        fixed = (1, 1, 2, 4, 2, 2, 0, 3)[code >> 13]
        at += 2 + (fixed or 1 + value)
    return _Properties(level, in_table, row_end, listed)


def _blocks(text: str, pieces: list[_Piece], runs: tuple[list[int], list[_Properties]]) -> Iterator[str]:
    """One block a paragraph; the cells between two row ends make a row, rows in sequence a table."""
    rows: list[list[str]] = [[]]
    cell = ""
    starts = [piece.start for piece in pieces]
    for match in re.finditer("([^\r\x07]*)([\r\x07]|\\Z)", text):
        words, mark = match.groups()
        piece = pieces[max(0, bisect_right(starts, match.start(2)) - 1)]
        where = bisect_right(runs[0], piece.offset + (match.start(2) - piece.start) * piece.width)
        properties = runs[1][where] if where < len(runs[1]) else _Properties()
        clean = _clean(words)
        if mark == "\x07" or properties.in_table:
            cell += f"{clean}\n" if mark != "\x07" else clean
            if properties.row_end:
                rows.append([])
            elif mark == "\x07":
                rows[-1].append(cell)
            cell = cell if mark != "\x07" else ""
            continue
        yield from _table(rows)
        rows = [[]]
        for paragraph in clean.split("\r"):
            if properties.level:
                yield blocks.heading(paragraph, properties.level)
            else:
                yield blocks.item(paragraph) if properties.listed and paragraph else blocks.paragraph(paragraph)
    yield from _table(rows)


def _table(rows: list[list[str]]) -> Iterator[str]:
    filled = [row for row in rows if any(row)]
    if filled:
        yield blocks.table(filled) if max(map(len, filled)) > 1 else blocks.join(map(blocks.paragraph, chain(*filled)))


def _clean(text: str) -> str:
    """Fields show their result, not their code; anchors of pictures and notes go."""
    for _ in range(3):  # fields stand in fields
        text = _FIELD.sub("", text)
    return re.sub("[\x00-\x08\x0f-\x1d]", "", text.translate(_SPECIAL)).strip(" ")
