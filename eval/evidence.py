"""Evidence quotes: where they stand in documents, and measures of what was retrieved against them. Pure.

A dataset says what proves an answer in the words of the documents, not by chunk ids. Located once, a quote is a span of a
document, and a retrieved passage is relevant where it overlaps one. So relevance survives any change of chunking, and
chunk sizes can be compared.
"""

from __future__ import annotations

import math
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import NamedTuple

from eval.spans import Span, intersect, length, merge

FOUND = 0.5
"""Share of a quote's characters that retrieved passages must hold between them for it to count as found."""
_WORD = re.compile(r"[^\W_]+")


class Place(NamedTuple):
    """A span of a document's text in characters: where a quote stands, or a retrieved passage."""

    document_id: str
    start: int
    end: int


Quote = tuple[Place, ...]
"""All places in which one quote stands: any of them proves as much. Empty where it stands nowhere, which is never found."""


def locate(quote: str, text: str) -> list[Span]:
    """Return each span of `text` that has the words of `quote` in a row, in order, without overlaps.

    Case, blanks, punctuation and Markdown between the words do not matter. A quote without words is nowhere.

    Cost: O(len(text)).
    """
    needle = " ".join(word for word, _ in _words(quote))
    if not needle:
        return []
    found = _words(text)
    starts = list(accumulate((len(word) + 1 for word, _ in found), initial=0))
    haystack, needle = " ".join(word for word, _ in found) + " ", needle + " "
    spans: list[Span] = []
    at = haystack.find(needle)
    while at != -1:
        first = bisect_right(starts, at) - 1
        last = bisect_right(starts, at + len(needle) - 1) - 1
        if starts[first] != at:  # in the middle of a word
            at = haystack.find(needle, at + 1)
            continue
        spans.append((found[first][1][0], found[last][1][1]))
        at = haystack.find(needle, at + len(needle))
    return spans


def locate_quotes(quotes: Sequence[str], texts: Mapping[str, str]) -> list[Quote]:
    """Return where each quote stands in the documents `texts`, by id."""
    return [
        tuple(Place(name, start, end) for name, text in texts.items() for start, end in locate(quote, text))
        for quote in quotes
    ]


def evidence_ranks(quotes: Sequence[Quote], passages: Sequence[Place]) -> list[int | None]:
    """Return for each quote the rank, from 1, at which the passages so far hold at least `FOUND` of it; None if never.

    A quote cut in two by the chunking is found by its parts together.

    Args:
        passages: best first.
    """
    return [min(filter(None, (_rank(place, passages) for place in quote)), default=None) for quote in quotes]


def evidence_recall(ranks: Sequence[int | None], *, k: int) -> float:
    """Return |quotes found in the first k passages| / |quotes|; 0 where there is no quote. Source: `measures.recall`, over quotes."""
    return len(_within(ranks, k)) / len(ranks) if ranks else 0.0


def evidence_hit(ranks: Sequence[int | None], *, k: int) -> float:
    """Return 1 if a quote is found in the first k passages, else 0."""
    return float(bool(_within(ranks, k)))


def evidence_reciprocal_rank(ranks: Sequence[int | None], *, k: int) -> float:
    """Return 1 / rank at which the first quote is found, 0 beyond k."""
    return 1 / min(_within(ranks, k), default=math.inf)


def evidence_ndcg(ranks: Sequence[int | None], *, k: int) -> float:
    """Return sum over found quotes of 1 / log2(rank + 1), divided by that of one new quote a rank, at most 1.

    The ideal gives each quote a passage of its own, for how many a passage can hold is the chunking's doing; passages that
    hold several can do no better than 1. Source: Järvelin and Kekäläinen 2002, with quotes as the gains.
    """
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(ranks), k) + 1))
    return min(1.0, sum(1 / math.log2(rank + 1) for rank in _within(ranks, k)) / ideal) if ideal else 0.0


def evidence_precision(quotes: Sequence[Quote], passages: Sequence[Place], *, k: int) -> float:
    """Return the share of the first k passages that overlap a quote; the divisor stays k where fewer were returned."""
    places = [place for quote in quotes for place in quote]
    _check(k)
    return sum(any(_overlap(passage, place) for place in places) for passage in passages[:k]) / k


def _rank(place: Place, passages: Sequence[Place]) -> int | None:
    """The first rank at which the union of passages holds enough of `place`."""
    wanted = [(place.start, place.end)]
    seen: list[Span] = []
    for rank, passage in enumerate(passages, start=1):
        if _overlap(passage, place):
            seen = merge([*seen, (passage.start, passage.end)])
            if length(intersect(wanted, seen)) >= FOUND * length(wanted):
                return rank
    return None


def _overlap(one: Place, other: Place) -> bool:
    return one.document_id == other.document_id and max(one.start, other.start) < min(one.end, other.end)


def _within(ranks: Sequence[int | None], k: int) -> list[int]:
    _check(k)
    return [rank for rank in ranks if rank is not None and rank <= k]


def _check(k: int) -> None:
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")


def _words(text: str) -> list[tuple[str, Span]]:
    return [(unicodedata.normalize("NFKC", found[0]).casefold(), found.span()) for found in _WORD.finditer(text)]
