"""Documents into chunks that follow their structure.

Text is read as Markdown blocks (headings, paragraphs, lists, tables, fenced code). A heading starts a chunk; whole
blocks are packed into chunks of nearly even size; sections too small to be found alone join their next siblings. A
block is torn only if it alone is too long: tables between rows, code between lines, lists between items, prose between
sentences, then words, then letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from indexes.errors import ConfigError
from indexes.vocabulary import Chunk, Document

CountTokens = Callable[[list[str]], list[int]]

CHUNKER = "chunk/1"  # to be raised with every change of what comes out
TINY_TOKENS = 40
# A tokenizer may count a blob of any length as one unknown word; so many letters weigh at least one token.
_LETTERS_PER_TOKEN = 100

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_SENTENCE_END = re.compile(r"""(?<=[.!?…])["'”’)\]]*[ \t]+|[。！？]+|\n+""")
_WORD_END = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class _Span:
    """A stretch of the text without blanks at its ends, and its weight in tokens once that is known."""

    start: int
    end: int
    kind: str  # heading, text, list, table, code
    weight: int = 0
    header: str = ""  # of the table that a piece of a table belongs to


@dataclass(slots=True)
class _Section:
    """A heading with what stands under it, up to the next heading."""

    path: tuple[str, ...]
    spans: list[_Span] = field(default_factory=list)

    @property
    def weight(self) -> int:
        return sum(span.weight for span in self.spans)


def chunk(document: Document, *, max_tokens: int, overlap: int, count_tokens: CountTokens) -> list[Chunk]:
    """Split a document's text into chunks, in reading order.

    Args:
        document: its text is read as Markdown.
        max_tokens: most tokens in a chunk, at least 1. Only a single letter that counts more may exceed it.
        overlap: most tokens that a chunk repeats from the end of the one before it in its section; less than
            `max_tokens`.
        count_tokens: tokens of each text; called with many texts at once. The sum over the parts of a text must not be
            less than the count of the whole.
    Returns:
        Chunks with `document.text[c.start:c.end] == c.text`; without overlap they are disjoint, and every character
        that is not blank lies in one of them. A text of at most `max_tokens` tokens is one chunk; a blank text is
        none. `headings` is the path to the chunk's first line; in a later part of a long table its last entry is the
        header row.
    Raises:
        ConfigError: `max_tokens` or `overlap` is out of range.
    Cost: linear in the text; `count_tokens` is called once on the blocks, and on the pieces of over-long ones.
    """
    if max_tokens < 1 or not 0 <= overlap < max_tokens:
        raise ConfigError(f"chunks of {max_tokens} tokens with an overlap of {overlap}: need 0 <= overlap < max_tokens")
    text = document.text
    found = list(_blocks(text))
    if not found:
        return []
    start, end = found[0].start, found[-1].end
    # Of a single block the count is already that of the whole.
    whole = [text[start:end]] if len(found) > 1 and end - start <= max_tokens * _LETTERS_PER_TOKEN else []
    counts = count_tokens([*whole, *(text[span.start : span.end] for span in found)])
    if (whole or len(found) == 1) and max(counts[0], (end - start) // _LETTERS_PER_TOKEN) <= max_tokens:
        return [Chunk(document.document_id, 0, start, end, text[start:end], _first_path(text, found))]
    room = max_tokens - overlap
    weighed = [_weigh(span, count) for span, count in zip(found, counts[len(whole) :], strict=True)]
    fitting = list(_torn(text, weighed, room, count_tokens))
    groups = _packed(_merged(_sections(text, fitting), room), room)
    starts = _overlapped(text, groups, overlap, count_tokens)
    return [
        Chunk(document.document_id, ordinal, start, spans[-1].end, text[start : spans[-1].end], path)
        for ordinal, (start, (path, spans)) in enumerate(zip(starts, groups, strict=True))
    ]


def _weigh(span: _Span, count: int) -> _Span:
    return replace(span, weight=max(count, 1, (span.end - span.start) // _LETTERS_PER_TOKEN))


# -- blocks ------------------------------------------------------------------------------------------------------------


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each line, its newline left out."""
    start = 0
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, end
        start = end + 1


def _blocks(text: str) -> Iterator[_Span]:
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
                yield from _stripped(text, first, end, "code")
                kind = fence = ""
            continue
        opening = _FENCE.match(line)
        now = _kind_of(line, kind, text[slice(*lines[index + 1])] if index + 1 < len(lines) else "")
        if opening or now != kind or now == "heading":
            if kind:
                yield from _stripped(text, first, last, kind)
            kind, first = now, start
        last = end
        if opening:
            kind, fence = "code", opening.group(1)
    if kind:
        yield from _stripped(text, first, len(text) if fence else last, kind)


def _kind_of(line: str, before: str, after: str) -> str:
    """The kind of block a line belongs to, given the block it follows; "" for a blank line."""
    if not line.strip():
        return ""
    if _HEADING.match(line) and _heading_text(line):
        return "heading"
    if (
        line.lstrip().startswith("|")
        or (before == "table" and "|" in line)
        or ("|" in line and _RULE_ROW.fullmatch(after))
    ):
        return "table"
    if _ITEM.match(line) or (before == "list"):
        return "list"
    return "text"


def _stripped(text: str, start: int, end: int, kind: str) -> Iterator[_Span]:
    body = text[start:end]
    lead = len(body) - len(body.lstrip())
    if lead < len(body):
        yield _Span(start + lead, start + len(body.rstrip()), kind)


def _heading_text(line: str) -> str:
    match = _HEADING.match(line)
    return line[match.end() :].strip().rstrip("#").strip() if match else ""


def _heading(text: str, span: _Span) -> tuple[int, str]:
    line = text[span.start : span.end]
    return len(line) - len(line.lstrip("#")), _heading_text(line)


# -- over-long blocks --------------------------------------------------------------------------------------------------


def _torn(text: str, spans: list[_Span], room: int, count_tokens: CountTokens) -> Iterator[_Span]:
    """The spans, with each that weighs more than `room` replaced by its pieces.

    One call counts all the pieces of a step.
    """
    for cut in (_natural_cuts, _word_cuts, _letter_cuts):
        if all(span.weight <= room for span in spans):
            break
        pieces = [list(cut(text, span, room)) if span.weight > room else [span] for span in spans]
        unknown = [piece for group in pieces for piece in group if not piece.weight]
        counts = iter(count_tokens([text[piece.start : piece.end] for piece in unknown]))
        spans = [piece if piece.weight else _weigh(piece, next(counts)) for group in pieces for piece in group]
    yield from spans


def _natural_cuts(text: str, span: _Span, room: int) -> Iterator[_Span]:
    """Rows of a table, lines of code, items of a list, sentences of prose."""
    if span.kind in {"table", "code"}:
        header = text[span.start : text.find("\n", span.start, span.end)].strip(" |") if span.kind == "table" else ""
        header = header if len(header) <= 300 else ""
        for number, (start, end) in enumerate(_lines(text[span.start : span.end])):
            for piece in _stripped(text, span.start + start, span.start + end, span.kind):
                yield replace(piece, header=header if number else "")
    else:
        yield from _cut_at(text, span, _SENTENCE_END)


def _word_cuts(text: str, span: _Span, room: int) -> Iterator[_Span]:
    yield from _cut_at(text, span, _WORD_END)


def _letter_cuts(text: str, span: _Span, room: int) -> Iterator[_Span]:
    """Pieces so short that they fit even where each letter is four tokens, as with tokenizers that work on bytes."""
    size = max(1, room // 4)
    for start in range(span.start, span.end, size):
        for piece in _stripped(text, start, min(start + size, span.end), span.kind):
            yield replace(piece, header=span.header)


def _cut_at(text: str, span: _Span, ends: re.Pattern[str]) -> Iterator[_Span]:
    start = span.start
    for match in ends.finditer(text, span.start, span.end):
        for piece in _stripped(text, start, match.end(), span.kind):
            yield replace(piece, header=span.header)
        start = match.end()
    for piece in _stripped(text, start, span.end, span.kind):
        yield replace(piece, header=span.header)


# -- sections ----------------------------------------------------------------------------------------------------------


def _sections(text: str, spans: list[_Span]) -> list[_Section]:
    sections: list[_Section] = []
    stack: list[tuple[int, str]] = []
    before: _Span | None = None
    for span in spans:
        # The pieces of a heading too long for a chunk are one heading.
        if span.kind == "heading" and text.startswith("#", span.start) and _heading(text, span)[1]:
            level, title = _heading(text, span)
            stack = [entry for entry in stack if entry[0] < level] + [(level, title)]
            sections.append(_Section(tuple(title for _, title in stack)))
        elif before is None:
            sections.append(_Section(()))
        sections[-1].spans.append(span)
        before = span
    return sections


def _first_path(text: str, spans: list[_Span]) -> tuple[str, ...]:
    return (_heading(text, spans[0])[1],) if spans[0].kind == "heading" else ()


def _merged(sections: list[_Section], room: int) -> list[_Section]:
    """Join sections too small to be found alone with what follows under the same parent.

    A heading that stands directly above another heading goes with that one, however large it is.
    """
    merged: list[_Section] = []
    weights: list[int] = []
    for section in sections:
        weight = section.weight
        if merged:
            before = merged[-1]
            parent = before.path[:-1]
            related = section.path[: len(parent)] == parent
            bare = before.spans[-1].kind == "heading"
            tiny = min(weights[-1], weight) < TINY_TOKENS and weights[-1] + weight <= room
            if related and (bare or tiny):
                before.spans += section.spans
                weights[-1] += weight
                before.path = section.path if bare and len(before.spans) == len(section.spans) + 1 else before.path
                continue
        merged.append(section)
        weights.append(weight)
    return merged


def _packed(sections: list[_Section], room: int) -> list[tuple[tuple[str, ...], list[_Span]]]:
    """Whole spans into chunks of at most `room`, nearly even, so that no crumb remains at a section's end."""
    groups: list[tuple[tuple[str, ...], list[_Span]]] = []
    for section in sections:
        left = section.weight
        current: list[_Span] = []
        weight, goal = 0, left / -(-left // room)
        for span in section.spans:
            alone = (
                bool(current) and current[-1].kind == "heading"
            )  # a heading stays with its text where that is possible
            if current and (weight + span.weight > room or (weight >= goal and not alone)):
                groups.append((_path(section, current), current))
                left -= weight
                current, weight, goal = [], 0, left / -(-left // room)
            current.append(span)
            weight += span.weight
        groups.append((_path(section, current), current))
    return groups


def _path(section: _Section, spans: list[_Span]) -> tuple[str, ...]:
    header = spans[0].header
    return (*section.path, header) if header else section.path


def _overlapped(
    text: str, groups: list[tuple[tuple[str, ...], list[_Span]]], overlap: int, count_tokens: CountTokens
) -> list[int]:
    """Where each chunk starts: up to `overlap` tokens of whole words before its first span, in the same section."""
    starts = [spans[0].start for _, spans in groups]
    if not overlap:
        return starts
    words: list[tuple[int, int, int]] = []  # chunk, start and end of a word before it
    for index in range(1, len(groups)):
        if groups[index][1][0].kind != "heading":
            before = groups[index - 1][1]
            reach = max(before[0].start, starts[index] - overlap * _LETTERS_PER_TOKEN)
            found = [(match.start(), match.end()) for match in re.finditer(r"\S+", text[reach : starts[index]])]
            if found and reach > before[0].start:
                found = found[1:]  # may have been cut in the middle
            words += [(index, reach + start, reach + end) for start, end in reversed(found[-overlap:])]
    counts = count_tokens([text[start:end] for _, start, end in words])
    used = [0] * len(groups)
    for (index, start, end), count in zip(words, counts, strict=True):
        used[index] += max(count, 1, (end - start) // _LETTERS_PER_TOKEN)
        if used[index] <= overlap and start > groups[index - 1][1][0].start:
            starts[index] = start
    return starts
