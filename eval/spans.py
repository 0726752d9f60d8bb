"""How well retrieved spans of a text cover the gold excerpts: recall, precision and intersection over union.

Pure functions over half-open spans (start, end) of one text, in characters.
Source: Smith and Troynikov 2024, Evaluating Chunking Strategies for Retrieval (Chroma technical report).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class SpanScores:
    """Of one question, each in [0, 1]."""

    recall: float
    precision: float
    iou: float


def score_spans(gold: Sequence[Span], retrieved: Sequence[Span], *, elsewhere: int = 0) -> SpanScores:
    """Score what was retrieved for one question against its gold excerpts.

    Args:
        gold: the excerpts, at least one that is not empty.
        retrieved: the chunks from the text of the excerpts; what two of them share counts twice as retrieved, once as found.
        elsewhere: characters retrieved from other texts, all of them beside the point.
    Returns:
        recall = |found| / |gold|; precision = |found| / |retrieved|; iou = |found| / (|retrieved| + |gold not found|).
    Raises:
        ValueError: no gold.
    """
    wanted = merge(gold)
    n_gold = length(wanted)
    if not n_gold:
        raise ValueError("a question without gold excerpts has no scores")
    found = length(intersect(wanted, merge(retrieved)))
    n_retrieved = length(retrieved) + elsewhere
    return SpanScores(
        found / n_gold, found / n_retrieved if n_retrieved else 0.0, found / (n_retrieved + n_gold - found)
    )


def length(spans: Iterable[Span]) -> int:
    """Return the characters of all spans together; what two share counts twice."""
    return sum(end - start for start, end in spans)


def merge(spans: Iterable[Span]) -> list[Span]:
    """Return the spans' union as disjoint spans in order, empty ones left out."""
    merged: list[Span] = []
    for start, end in sorted(span for span in spans if span[0] < span[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def intersect(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return what two lists of disjoint spans in order have in common. Cost: linear in both."""
    common: list[Span] = []
    i = j = 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if start < end:
            common.append((start, end))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return common
