"""Documents into chunks that follow their structure.

Text is read as Markdown blocks (headings, paragraphs, lists, tables, fenced code). A heading starts a chunk; whole
blocks are packed into chunks of nearly even size; sections too small to be found alone join their next siblings. A
block is torn only if it alone is too long: tables between rows, code between lines, lists between items, prose between
sentences, then words, then letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from math import inf

from indexes.errors import ConfigError
from indexes.vocabulary import Chunk, Document

CountTokens = Callable[[list[str]], list[int]]

CHUNKER = "chunk/1"  # to be raised with every change of what comes out
TINY_TOKENS = 40
FILL = 0.72
COST = {"heading": 1.0, "lead": 0.05, "word": 0.2, "lean": 0.05, "tear": 0.2}
# A tokenizer may count a blob of any length as one unknown word; so many letters weigh at least one token.
_LETTERS_PER_TOKEN = 100

_HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
_WIKI_HEADING = re.compile(r"[ \t]*(=(?: ?=){0,5})(?![ \t]*=)([^=]{1,200})\1[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE_ROW = re.compile(r"[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)+\|?[ \t]*")
_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]+\S")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*[ \t]+|[。！？]+|\n+""")
_LEANING = re.compile(
    r"(?i)(?:it|its|he|his|she|her|they|their|this|that|these|those|such|and|but|or|so|also|then|thus|hence|however|"
    r"therefore|moreover|furthermore|besides|instead|both|another|other|others)\b"
)
_WORD_END = re.compile(r"\s+")


@dataclass(slots=True)
class _Span:
    """A stretch of the text without blanks at its ends, and its weight in tokens once that is known."""

    start: int
    end: int
    kind: str  # heading, text, list, table, code
    block: int  # names the Markdown block that it is, or is a piece of: where its first line starts
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
    """Split a document's text into chunks, in reading order: `chunk_many` of one document."""
    return chunk_many([document], max_tokens=max_tokens, overlap=overlap, count_tokens=count_tokens)[0]


def chunk_many(
    documents: Sequence[Document], *, max_tokens: int, overlap: int, count_tokens: CountTokens
) -> list[list[Chunk]]:
    """Split each document's text into chunks, in reading order.

    Args:
        documents: their texts are read as Markdown. All are held at once, so hand over some hundreds, not a corpus.
        max_tokens: most tokens in a chunk, at least 1. Only a single letter that counts more may exceed it.
        overlap: most tokens that a chunk repeats from the end of the one before it in its section; less than
            `max_tokens`.
        count_tokens: tokens of each text; called with many texts at once. The sum over the parts of a text must not be
            less than the count of the whole.
    Returns:
        For each document its chunks, with `document.text[c.start:c.end] == c.text`; without overlap they are disjoint,
        and every character that is not blank lies in one of them. A text whose parts count at most `max_tokens` is one
        chunk; a blank text is none. `headings` is the path to the chunk's first line; in a later part of a long table
        its last entry is the header row.
    Raises:
        ConfigError: `max_tokens` or `overlap` is out of range.
    Cost: linear in the texts; each letter is counted once, over-long sentences and words once more.
    """
    if max_tokens < 1 or not 0 <= overlap < max_tokens:
        raise ConfigError(f"chunks of {max_tokens} tokens with an overlap of {overlap}: need 0 <= overlap < max_tokens")
    room = max_tokens - overlap
    pieces = [list(_pieces(document.text, room)) for document in documents]
    weighed = _weighed([document.text for document in documents], pieces, room, count_tokens)
    return [
        _assembled(document, spans, max_tokens, overlap, count_tokens)
        for document, spans in zip(documents, weighed, strict=True)
    ]


def _assembled(
    document: Document, spans: list[_Span], max_tokens: int, overlap: int, count_tokens: CountTokens
) -> list[Chunk]:
    """One document's spans as chunks."""
    text, room = document.text, max_tokens - overlap
    if not spans:
        return []
    if sum(span.weight for span in spans) <= max_tokens:
        start, end = spans[0].start, spans[-1].end
        return [Chunk(document.document_id, 0, start, end, text[start:end], _first_path(text, spans))]
    groups = _packed(text, _merged(_sections(text, spans), room), room)
    starts = _overlapped(text, groups, overlap, count_tokens)
    return [
        Chunk(document.document_id, ordinal, start, spans[-1].end, text[start : spans[-1].end], path)
        for ordinal, (start, (path, spans)) in enumerate(zip(starts, groups, strict=True))
    ]


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
                yield from _trimmed(text, first, end, "code", first)
                kind = fence = ""
            continue
        opening = _FENCE.match(line)
        now = _kind_of(line, kind, text[slice(*lines[index + 1])] if index + 1 < len(lines) else "")
        if opening or now != kind or now == "heading" or (now == "text" and _ends_sentence(text[max(first, last - 8) : last])):
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
    if _heading(line)[1]:
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


def _trimmed(text: str, start: int, end: int, kind: str, block: int, header: str = "") -> Iterator[_Span]:
    """The stretch without the blanks at its ends, as a span; none if nothing is left."""
    body = text[start:end]
    end = start + len(body.rstrip())
    if end > start:
        yield _Span(end - len(body.strip()), end, kind, block, 0, header)


def _heading(line: str) -> tuple[int, str]:
    """Level and words of a heading, `## Markdown` or `== wiki ==`; no words where the line is none."""
    if match := _HEADING.match(line):
        return len(match.group(1)), line[match.end() :].strip().rstrip("#").strip()
    if (match := _WIKI_HEADING.fullmatch(line)) is not None:
        return match.group(1).count("="), match.group(2).strip()
    return 0, ""


# -- pieces ------------------------------------------------------------------------------------------------------------


def _pieces(text: str, room: int) -> Iterator[_Span]:
    """The text's blocks, those that may be too long for a chunk cut at natural places."""
    for block in _blocks(text):
        # Where a token is at least a letter, as nearly always, so short a block fits.
        whole = block.end - block.start <= room or block.kind == "heading"
        yield from (block,) if whole else _natural_cuts(text, block, room)


def _weighed(
    texts: list[str], pieces: list[list[_Span]], room: int, count_tokens: CountTokens
) -> list[list[_Span]]:
    """The pieces with their weights, each that weighs more than `room` cut further. One call counts all of a step."""
    _count(texts, pieces, count_tokens)
    for cut in (_natural_cuts, _word_cuts, _letter_cuts):
        if all(span.weight <= room for spans in pieces for span in spans):
            break
        pieces = [
            [piece for span in spans for piece in (cut(text, span, room) if span.weight > room else (span,))]
            for text, spans in zip(texts, pieces, strict=True)
        ]
        _count(texts, pieces, count_tokens)
    return pieces


def _count(texts: list[str], pieces: list[list[_Span]], count_tokens: CountTokens) -> None:
    """Give each piece without a weight its own."""
    unknown = [(text, span) for text, spans in zip(texts, pieces, strict=True) for span in spans if not span.weight]
    counts = count_tokens([text[span.start : span.end] for text, span in unknown])
    for (_, span), count in zip(unknown, counts, strict=True):
        span.weight = max(count, 1, (span.end - span.start) // _LETTERS_PER_TOKEN)


def _natural_cuts(text: str, span: _Span, room: int) -> Iterator[_Span]:
    """Rows of a table, lines of code, items of a list, sentences of prose."""
    if span.kind in {"table", "code"}:
        header = text[span.start : text.find("\n", span.start, span.end)].strip(" |") if span.kind == "table" else ""
        header = header if len(header) <= 300 else ""
        for number, (start, end) in enumerate(_lines(text[span.start : span.end])):
            yield from _trimmed(
                text, span.start + start, span.start + end, span.kind, span.block, header if number else ""
            )
    else:
        yield from _cut_at(text, span, _SENTENCE_END)


def _word_cuts(text: str, span: _Span, room: int) -> Iterator[_Span]:
    yield from _cut_at(text, span, _WORD_END)


def _letter_cuts(text: str, span: _Span, room: int) -> Iterator[_Span]:
    """Pieces so short that they fit even where each letter is four tokens, as with tokenizers that work on bytes."""
    size = max(1, room // 4)
    for start in range(span.start, span.end, size):
        yield from _trimmed(text, start, min(start + size, span.end), span.kind, span.block, span.header)


def _cut_at(text: str, span: _Span, ends: re.Pattern[str]) -> Iterator[_Span]:
    start = span.start
    for match in ends.finditer(text, span.start, span.end):
        yield from _trimmed(text, start, match.end(), span.kind, span.block, span.header)
        start = match.end()
    yield from _trimmed(text, start, span.end, span.kind, span.block, span.header)


# -- sections ----------------------------------------------------------------------------------------------------------


def _sections(text: str, spans: list[_Span]) -> list[_Section]:
    sections: list[_Section] = []
    stack: list[tuple[int, str]] = []
    before: _Span | None = None
    for span in spans:
        # The pieces of a heading too long for a chunk are one heading.
        level, title = _heading(text[span.start : span.end]) if span.kind == "heading" else (0, "")
        if title:
            stack = [entry for entry in stack if entry[0] < level] + [(level, title)]
            sections.append(_Section(tuple(title for _, title in stack)))
        elif before is None:
            sections.append(_Section(()))
        sections[-1].spans.append(span)
        before = span
    return sections


def _first_path(text: str, spans: list[_Span]) -> tuple[str, ...]:
    return (_heading(text[spans[0].start : spans[0].end])[1],) if spans[0].kind == "heading" else ()


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


def _packed(text: str, sections: list[_Section], room: int) -> list[tuple[tuple[str, ...], list[_Span]]]:
    """Whole units into chunks of at most `room`."""
    groups: list[tuple[tuple[str, ...], list[_Span]]] = []
    for section in sections:
        for spans in _best_cuts(text, _units(section.spans, room), room):
            groups.append((_path(section, spans), spans))
    return groups


def _units(spans: list[_Span], room: int) -> list[list[_Span]]:
    """What no cut goes through: blocks that fit, else their pieces; crumbs are joined, so that a chunk has few units."""
    units: list[list[_Span]] = []
    crumb = room // 32
    for _, block in groupby(spans, key=lambda span: span.block):
        pieces = list(block)
        if sum(piece.weight for piece in pieces) <= room:
            units.append(pieces)
            continue
        weight = room
        for piece in pieces:
            if weight + piece.weight > crumb:
                units.append([])
                weight = 0
            units[-1].append(piece)
            weight += piece.weight
    return units


def _best_cuts(text: str, units: list[list[_Span]], room: int) -> list[list[_Span]]:
    """The cuts of least cost."""
    weights = [sum(span.weight for span in unit) for unit in units]
    target = min(FILL * room, sum(weights))
    costs = [0.0, *(_cut_cost(text, one[-1], other[0]) for one, other in pairwise(units))]
    best = [0.0]
    first = [0]
    for end in range(1, len(units) + 1):
        cost, start, weight = inf, end - 1, 0
        for begin in range(end - 1, -1, -1):
            weight += weights[begin]
            if weight > room:
                break
            here = best[begin] + ((weight - target) / room) ** 2 + costs[begin]
            if here < cost:
                cost, start = here, begin
        best.append(cost)
        first.append(start)
    chunks: list[list[_Span]] = []
    end = len(units)
    while end:
        chunks.append([span for unit in units[first[end] : end] for span in unit])
        end = first[end]
    return chunks[::-1]


def _cut_cost(text: str, before: _Span, after: _Span) -> float:
    """What a cut between two neighbours costs, beside a chunk that is as much too small or too large squared."""
    if before.kind == "heading":
        return COST["heading"]
    torn = COST["tear"] if before.block == after.block else 0.0
    if before.kind != "text":
        return torn
    if _ends_sentence(text[max(before.start, before.end - 8) : before.end]):
        return torn + (COST["lean"] if _LEANING.match(text, after.start) else 0.0)
    return torn + (COST["lead"] if "\n" in text[before.end : after.start] else COST["word"])


def _ends_sentence(text: str) -> bool:
    return text.rstrip("\"'”’)]*_ ")[-1:] in tuple(".!?…。！？")


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
