"""Documents into chunks that follow their structure.

Text is read as Markdown blocks (headings, paragraphs, lists, tables, fenced code; `ingest.blocks`). A heading starts a
chunk; whole blocks are packed into chunks of like size (`ingest.packing`); sections too small to be found alone join
their next siblings. A block is torn only if it alone is too long: tables between rows, code between lines, lists
between items, prose between sentences, then words, then letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from indexes.errors import ConfigError
from indexes.vocabulary import Chunk, Document
from ingest.blocks import Span, blocks, heading, letter_cuts, natural_cuts, word_cuts
from ingest.packing import pack

CountTokens = Callable[[list[str]], list[int]]

CHUNKER = "chunk/2"  # to be raised with every change of what comes out
TINY_TOKENS = 40
# A tokenizer may count a blob of any length as one unknown word; so many letters weigh at least one token.
_LETTERS_PER_TOKEN = 100


@dataclass(slots=True)
class _Section:
    """A heading with what stands under it, up to the next heading."""

    path: tuple[str, ...]
    spans: list[Span] = field(default_factory=list)

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
    document: Document, spans: list[Span], max_tokens: int, overlap: int, count_tokens: CountTokens
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


def _pieces(text: str, room: int) -> Iterator[Span]:
    """The text's blocks, those that may be too long for a chunk cut at natural places."""
    for block in blocks(text):
        # Where a token is at least a letter, as nearly always, so short a block fits.
        whole = block.end - block.start <= room or block.kind == "heading"
        yield from (block,) if whole else natural_cuts(text, block, room)


def _weighed(texts: list[str], pieces: list[list[Span]], room: int, count_tokens: CountTokens) -> list[list[Span]]:
    """The pieces with their weights, each that weighs more than `room` cut further. One call counts all of a step."""
    _count(texts, pieces, count_tokens)
    for cut in (natural_cuts, word_cuts, letter_cuts):
        if all(span.weight <= room for spans in pieces for span in spans):
            break
        pieces = [
            [piece for span in spans for piece in (cut(text, span, room) if span.weight > room else (span,))]
            for text, spans in zip(texts, pieces, strict=True)
        ]
        _count(texts, pieces, count_tokens)
    return pieces


def _count(texts: list[str], pieces: list[list[Span]], count_tokens: CountTokens) -> None:
    """Give each piece without a weight its own."""
    unknown = [(text, span) for text, spans in zip(texts, pieces, strict=True) for span in spans if not span.weight]
    counts = count_tokens([text[span.start : span.end] for text, span in unknown])
    for (_, span), count in zip(unknown, counts, strict=True):
        span.weight = max(count, 1, (span.end - span.start) // _LETTERS_PER_TOKEN)


def _sections(text: str, spans: list[Span]) -> list[_Section]:
    sections: list[_Section] = []
    stack: list[tuple[int, str]] = []
    before: Span | None = None
    for span in spans:
        # The pieces of a heading too long for a chunk are one heading.
        level, title = heading(text[span.start : span.end]) if span.kind == "heading" else (0, "")
        if title:
            stack = [entry for entry in stack if entry[0] < level] + [(level, title)]
            sections.append(_Section(tuple(title for _, title in stack)))
        elif before is None:
            sections.append(_Section(()))
        sections[-1].spans.append(span)
        before = span
    return sections


def _first_path(text: str, spans: list[Span]) -> tuple[str, ...]:
    return (heading(text[spans[0].start : spans[0].end])[1],) if spans[0].kind == "heading" else ()


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


def _packed(text: str, sections: list[_Section], room: int) -> list[tuple[tuple[str, ...], list[Span]]]:
    """The sections' spans as chunks of at most `room`, each with its heading path."""
    return [(_path(section, spans), spans) for section in sections for spans in pack(text, section.spans, room)]


def _path(section: _Section, spans: list[Span]) -> tuple[str, ...]:
    header = spans[0].header
    return (*section.path, header) if header else section.path


def _overlapped(
    text: str, groups: list[tuple[tuple[str, ...], list[Span]]], overlap: int, count_tokens: CountTokens
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
