"""Where personal data stands in a text, and the text without it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

WITHIN_URL = frozenset({"EMAIL_ADDRESS", "IP_ADDRESS"})
"""What is worth naming also where it is part of a URL."""

REACH_BEFORE, REACH_BEHIND = 60, 24
"""Characters around a find in which words can speak for it or against it."""


@dataclass(frozen=True, slots=True)
class PiiSpan:
    """One find: `text[start:end]` is of `type`, as sure as `score` in (0, 1]. The value itself is never kept."""

    type: str
    start: int
    end: int
    score: float


def near(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    """Whether `words` occur shortly before `start` or shortly behind `end`; what lies between does not count."""
    before = words.search(text, max(0, start - REACH_BEFORE), start)
    return bool(before or words.search(text, end, end + REACH_BEHIND))


def settle(found: Iterable[PiiSpan]) -> tuple[PiiSpan, ...]:
    """Return spans that do not overlap and together cover every character that was found, by ascending start.

    A URL that holds an e-mail or an IP address is cut around it. Other finds that overlap become one span over them
    all, of the type with the highest score; of equal scores the longer, then the earlier, then the alphabet decides.

    Cost: O(n log n) in the number of finds.
    """
    ordered = sorted(found, key=_by_place)
    inner = _merge(span for span in ordered if span.type in WITHIN_URL)
    pieces = [piece for url in _merge(s for s in ordered if s.type == "URL") for piece in _around(url, inner)]
    rest = [span for span in ordered if span.type != "URL" and span.type not in WITHIN_URL]
    return tuple(_merge(sorted([*inner, *pieces, *rest], key=_by_place)))


def redact(text: str, spans: Sequence[PiiSpan]) -> tuple[str, tuple[PiiSpan, ...]]:
    """Replace each span by its type in angle brackets, such as `<EMAIL_ADDRESS>`.

    Args:
        text: the text that the spans were found in.
        spans: by ascending start, without overlaps, as `find` returns them.
    Returns:
        The new text, and for each span where its replacement stands in the new text, type and score as before.
    Raises:
        ValueError: the spans overlap, are out of order or leave the text.
    Cost: linear.
    """
    parts: list[str] = []
    moved: list[PiiSpan] = []
    at = length = 0
    for span in spans:
        if not at <= span.start < span.end <= len(text):
            raise ValueError(f"span {span.start}:{span.end} overlaps, is out of order or leaves the text")
        kept, mark = text[at : span.start], f"<{span.type}>"
        parts += (kept, mark)
        moved.append(replace(span, start=length + len(kept), end=length + len(kept) + len(mark)))
        length += len(kept) + len(mark)
        at = span.end
    return "".join([*parts, text[at:]]), tuple(moved)


def _by_place(span: PiiSpan) -> tuple[int, int, str]:
    return span.start, -span.end, span.type


def _merge(ordered: Iterable[PiiSpan]) -> list[PiiSpan]:
    """Join spans that overlap; they come by ascending start."""
    merged: list[PiiSpan] = []
    best = (0.0, 0)
    for span in ordered:
        worth = (span.score, span.end - span.start)
        if merged and span.start < merged[-1].end:
            last = merged[-1]
            wins = worth > best
            best = max(best, worth)
            leader = span if wins else last
            merged[-1] = replace(leader, start=last.start, end=max(last.end, span.end))
        else:
            merged.append(span)
            best = worth
    return merged


def _around(url: PiiSpan, inner: Sequence[PiiSpan]) -> Iterator[PiiSpan]:
    """Yield what is left of `url` around the spans of `inner`, which come by ascending start and do not overlap."""
    at = url.start
    for other in inner[bisect_right(inner, url.start, key=lambda span: span.end) :]:
        if other.start >= url.end:
            break
        if at < other.start:
            yield replace(url, start=at, end=other.start)
        at = other.end
    if at < url.end:
        yield replace(url, start=at)
