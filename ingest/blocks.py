"""Text read as Markdown blocks (headings, paragraphs, lists, tables, fenced code), and blocks cut into pieces.

Everything is a span of the text: nothing is rewritten, and every character that is not blank lies in exactly one span.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_WIKI_HEADING = re.compile(r"[ \t]*(=(?: ?=){0,5})(?![ \t]*=)([^=]{1,200})\1[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE_CELL = re.compile(r":?-+:?")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*[ \t]+|[。！？]+|\n+""")
_WORD_END = re.compile(r"\s+")
_LONGEST_HEADER = 300


@dataclass(slots=True)
class Span:
    """A stretch of the text without blanks at its ends, and its weight in tokens once that is known."""

    start: int
    end: int
    kind: str  # heading, text, list, table, code
    block: int  # names the Markdown block that it is, or is a piece of: where its first line starts
    weight: int = 0
    header: str = ""  # of the table that a piece of a table belongs to


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each line, its newline left out."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def blocks(text: str) -> Iterator[Span]:
    """The Markdown blocks of the text; every character that is not blank lies in exactly one."""
    kind, first, fence = "", 0, ""
    last = 0
    lines = list(_lines(text))
    for index, (start, end) in enumerate(lines):
        line = text[start:end]
        if fence:
            last = end
            mark = _FENCE.match(line)
            if mark and mark.group(1).startswith(fence) and not line[mark.end() :].strip():
                yield from _trimmed(text, first, end, "code", first)
                kind = fence = ""
            continue
        opening = _FENCE.match(line)
        now = _kind_of(line, kind, text[slice(*lines[index + 1])] if index + 1 < len(lines) else "")
        # A line that ends a sentence ends its paragraph: plain text often parts paragraphs by single newlines.
        full = now == "text" and ends_sentence(text[max(first, last - 8) : last])
        if opening or full or now != kind or now == "heading":
            if kind:
                yield from _trimmed(text, first, last, kind, first)
            kind, first = now, start
        last = end
        if opening:
            kind, fence = "code", opening.group(1)
    if kind:
        yield from _trimmed(text, first, len(text) if fence else last, kind, first)


def _kind_of(line: str, before: str, after: str) -> str:
    """The kind of block a line belongs to, given the block it follows; "" for a blank line."""
    if not line.strip():
        return ""
    if heading(line)[1]:
        return "heading"
    if line.lstrip().startswith("|") or (before == "table" and "|" in line) or ("|" in line and _is_rule_row(after)):
        return "table"
    if _ITEM.match(line) or (before == "list"):
        return "list"
    return "text"


def _is_rule_row(line: str) -> bool:
    """Whether the line is the rule below a table's header, such as `--- | :---:`."""
    row = line.strip()
    cells = row.removeprefix("|").removesuffix("|").split("|")
    return len(cells) > 1 and all(_RULE_CELL.fullmatch(cell.strip()) for cell in cells)


def _trimmed(text: str, start: int, end: int, kind: str, block: int, header: str = "") -> Iterator[Span]:
    """The stretch without the blanks at its ends, as a span; none if nothing is left."""
    body = text[start:end]
    end = start + len(body.rstrip())
    if end > start:
        yield Span(end - len(body.strip()), end, kind, block, 0, header)


def heading(line: str) -> tuple[int, str]:
    """Level and words of a heading, `## Markdown` or `== wiki ==`; no words where the line is none."""
    if match := _HEADING.match(line):
        return len(match.group(1)), line[match.end() :].strip().rstrip("#").strip()
    if (match := _WIKI_HEADING.fullmatch(line)) is not None:
        return match.group(1).count("="), match.group(2).strip()
    return 0, ""


def natural_cuts(text: str, span: Span, room: int) -> Iterator[Span]:
    """Rows of a table, lines of code, items of a list, sentences of prose."""
    if span.kind in {"table", "code"}:
        header = text[span.start : text.find("\n", span.start, span.end)].strip(" |") if span.kind == "table" else ""
        header = header if len(header) <= _LONGEST_HEADER else ""
        for number, (start, end) in enumerate(_lines(text[span.start : span.end])):
            yield from _trimmed(
                text, span.start + start, span.start + end, span.kind, span.block, header if number else ""
            )
    else:
        yield from _cut_at(text, span, _SENTENCE_END)


def word_cuts(text: str, span: Span, room: int) -> Iterator[Span]:
    yield from _cut_at(text, span, _WORD_END)


def letter_cuts(text: str, span: Span, room: int) -> Iterator[Span]:
    """Pieces so short that they fit even where each letter is four tokens, as with tokenizers that work on bytes."""
    size = max(1, room // 4)
    for start in range(span.start, span.end, size):
        yield from _trimmed(text, start, min(start + size, span.end), span.kind, span.block, span.header)


def _cut_at(text: str, span: Span, ends: re.Pattern[str]) -> Iterator[Span]:
    start = span.start
    for match in ends.finditer(text, span.start, span.end):
        yield from _trimmed(text, start, match.end(), span.kind, span.block, span.header)
        start = match.end()
    yield from _trimmed(text, start, span.end, span.kind, span.block, span.header)


def ends_sentence(text: str) -> bool:
    """Whether the text ends as a sentence does, quotes and brackets behind the mark passed over."""
    return text.rstrip("\"'”’)]*_ ")[-1:] in tuple(".!?…。！？")
