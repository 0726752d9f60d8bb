"""Where to cut: pieces packed into chunks of like size, with cuts where a reader would make them.

The cuts are those of least total cost: each chunk costs the square of what it is away from the size aimed at, each cut what it breaks. All
figures are shares of the room, so one square of a tenth weighs 0.01.
Source: Knuth and Plass 1981, Breaking Paragraphs into Lines, for the method.
"""

from __future__ import annotations

import re
from itertools import groupby, pairwise
from math import inf

from ingest.blocks import Span, ends_sentence

FILL = 0.72
"""The size aimed at, of the room: below 1, since chunks are found by what they say, and small ones say one thing."""

_AFTER_HEADING = 1.0
_INSIDE_BLOCK = 0.2
_INSIDE_SENTENCE = 0.2
_AFTER_LEAD = 0.05
"""After a line that ends no sentence: what introduces a list or a table goes with it."""
_BEFORE_LEANING = 0.05
"""Before a sentence that leans on the one before: its "it" or "but" means nothing alone."""

_CRUMBS_PER_CHUNK = 32
_LEANING = re.compile(
    r"(?i)(?:it|its|he|his|she|her|they|their|this|that|these|those|such|and|but|or|so|also|then|thus|hence|however|"
    r"therefore|moreover|furthermore|besides|instead|both|another|other|others)\b"
)


def pack(text: str, spans: list[Span], room: int) -> list[list[Span]]:
    """Return the spans of one section as chunks, in reading order.

    Args:
        text: what the spans point into.
        spans: in reading order, each with its weight; none above `room`.
        room: most tokens in a chunk, at least 1.
    Returns:
        Lists of spans of at most `room` tokens together. No block that fits is torn.
    Cost: linear in the spans, at most some 33 tries for each.
    """
    units = _units(spans, room)
    weights = [sum(span.weight for span in unit) for unit in units]
    aim = min(FILL * room, sum(weights))
    cuts = [0.0, *(_cut_cost(text, one[-1], other[0]) for one, other in pairwise(units))]
    least = [0.0]  # cost of the best chunks up to each unit
    first = [0]  # unit with which the last of those chunks begins
    for end in range(1, len(units) + 1):
        cost, start, weight = inf, end - 1, 0
        for begin in range(end - 1, -1, -1):
            weight += weights[begin]
            if weight > room:
                break
            here = least[begin] + cuts[begin] + ((weight - aim) / room) ** 2
            if here < cost:
                cost, start = here, begin
        least.append(cost)
        first.append(start)
    chunks: list[list[Span]] = []
    end = len(units)
    while end:
        chunks.append([span for unit in units[first[end] : end] for span in unit])
        end = first[end]
    return chunks[::-1]


def _units(spans: list[Span], room: int) -> list[list[Span]]:
    """What no cut goes through: blocks that fit, else their pieces; crumbs are joined, so that a chunk has few units."""
    units: list[list[Span]] = []
    crumb = room // _CRUMBS_PER_CHUNK
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


def _cut_cost(text: str, before: Span, after: Span) -> float:
    """What a cut between two neighbours costs, beside a chunk that is as much too small or too large squared."""
    if before.kind == "heading":
        return _AFTER_HEADING
    torn = _INSIDE_BLOCK if before.block == after.block else 0.0
    if before.kind != "text":
        return torn
    if ends_sentence(text[max(before.start, before.end - 8) : before.end]):
        return torn + (_BEFORE_LEANING if _LEANING.match(text, after.start) else 0.0)
    return torn + (_AFTER_LEAD if "\n" in text[before.end : after.start] else _INSIDE_SENTENCE)
