"""Texts made ready to be shown: characters that no page should hold removed, pieces marked, answers compared."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher

from eval.reports.model import Span

Pieces = list[tuple[str, bool]]
"""A text in pieces, each with whether it is marked; joined they are the text."""

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")

_MOST_WORDS = 600
"""Longer answers are shown without marks: the comparison is quadratic."""


def clean(text: str) -> str:
    """Replace what XML forbids, terminals obey and bidirectional overrides disguise; tabs and line ends stay."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n").replace("\r", "\n"))


def clip(text: str, most: int) -> str:
    """Return the text on one line, of at most `most` characters."""
    line = " ".join(clean(text).split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def marked(text: str, spans: Iterable[Span]) -> Pieces:
    """Cut a text at the borders of its spans. They may overlap and reach beyond its ends."""
    pieces: Pieces = []
    place = 0
    for start, end in sorted(spans):
        start, end = max(start, place), min(end, len(text))
        if start < end:
            pieces += [(text[place:start], False), (text[start:end], True)]
            place = end
    pieces.append((text[place:], False))
    return [(clean(piece), mark) for piece, mark in pieces if piece]


def compared(before: str, after: str) -> tuple[Pieces, Pieces]:
    """Return both texts with the words marked that the other does not have in that place."""
    first, second = re.findall(r"\S+\s*|\s+", before), re.findall(r"\S+\s*|\s+", after)
    if before == after or not first or not second or max(len(first), len(second)) > _MOST_WORDS:
        return marked(before, ()), marked(after, ())
    blocks = SequenceMatcher(None, first, second, autojunk=False).get_matching_blocks()
    return (
        _unmatched(first, [(block.a, block.a + block.size) for block in blocks]),
        _unmatched(second, [(block.b, block.b + block.size) for block in blocks]),
    )


def _unmatched(words: Sequence[str], matching: Iterable[Span]) -> Pieces:
    pieces: Pieces = []
    place = 0
    for start, end in matching:
        pieces += [("".join(words[place:start]), True), ("".join(words[start:end]), False)]
        place = end
    pieces.append(("".join(words[place:]), True))
    return [(clean(piece), mark) for piece, mark in pieces if piece]


def figure(value: float | None, *, sign: bool = False) -> str:
    """Return three decimals, fewer of what is large; a dash where there is nothing."""
    if value is None:
        return "-"
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 10 else 3
    return f"{round(value, digits) + 0.0:{'+' if sign else ''},.{digits}f}"  # no -0.000


def chance(value: float | None) -> str:
    """Return a p value; a small one is not shown as zero."""
    return "<0.001" if value is not None and value < 0.001 else figure(value)
