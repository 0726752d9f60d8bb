"""The sentences of the passages that could stand in an answer, each with what it is read with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from indexes.vocabulary import Hit
from ingest.injection import addresses_model, tainted_spans
from rag.passages import Passage
from rag.sanitize import is_loaded
from rag.sentences import readable, sentence_spans
from rag.tasks import is_task, task_within
from rag.words import content_words

_HEADING = re.compile(r"^#{1,6}[ \t]+(.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_MAIL_HEADER = re.compile(r"On \w.{4,80}?\bwrote:[\s>]*", re.DOTALL)
_ITEM = re.compile(r"\s*\n[ \t]*(?:[-*+•]|\d{1,3}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?[*_`\[]*")
_ITEM_OR_MORE = re.compile(rf"{_ITEM.pattern}|[ \t]+")
_LIST_ITEMS = 8
"""Most sentences of a list that its introduction brings along."""
_CELLS = " | "
"""Stands in the last heading of a chunk that begins inside a table: the table's header row."""


@dataclass(slots=True)
class Candidate:
    """`passage.text[start:end]` reads as `text`; `context` puts title, heading and the sentence before in front of it.

    `words` are the content words of the sentence, `around` those of its context too. `task`: it asks for something to be written or
    worked out, which answers a question about the same thing only. `superseded`: its document says so of
    itself. `older`: another passage shows a later one of the same series (equal titles but for their numbers). The scores are
    filled in by `rag.extractive`.
    """

    passage: Passage
    start: int
    end: int
    text: str
    context: str
    words: frozenset[str]
    around: frozenset[str]
    task: bool = False
    superseded: bool = False
    older: bool = False
    score: float = 0.0
    cross: float = 0.0


def candidates(passages: Sequence[Passage], *, today: date) -> list[Candidate]:
    """Return every sentence that may be quoted, in reading order.

    Questions, mail headers, what speaks to a model and what a renderer would load are left out; a sentence that introduces a list brings it along.
    """
    newest: dict[str, tuple[int, ...]] = {}
    for passage in passages:
        series, place = _place(passage.hit.title)
        newest[series] = max(newest.get(series, ()), place)
    found = []
    for passage in passages:
        series, place = _place(passage.hit.title)
        superseded, older = _superseded(passage.hit, today), place < newest[series]
        found += [Candidate(passage, *sentence, superseded, older) for sentence in _sentences(passage.hit)]
    return found


def _sentences(hit: Hit) -> Iterator[tuple[int, int, str, str, frozenset[str], frozenset[str], bool]]:
    """Yield (start, end, text, context, words, words around, is a task)."""
    header = next((part for part in hit.headings[-1:] if _CELLS in part), "")
    path = hit.headings[:-1] if header else hit.headings
    tainted = tainted_spans(hit.text)
    before = ""
    spans = sentence_spans(hit.text)
    for number, sentence in enumerate(spans):
        start, end = _without_mail_header(hit.text, *sentence)
        end = task_within(hit.text, start, end)
        text = readable(hit.text, (start, end), header=header)
        if not text or addresses_model(text) or _lies_in(start, tainted) or is_loaded(hit.text[start:end]):
            before = ""
            continue
        above = _HEADING.findall(hit.text[:start])
        heading = above[-1] if above else (path[-1] if path else "")
        if text.endswith(":") and (items := _list_behind(hit.text, spans[number:], tainted)):
            end = items[-1][1]
            text = f"{text} {'; '.join(readable(hit.text, item).rstrip('.;,') for item in items)}"
        if not text.endswith(("?", ":")):  # a colon with nothing behind it promises what is not there
            words = frozenset(content_words(text))
            around = words | frozenset(content_words(f"{hit.title} {heading} {before}"))
            yield start, end, text, f"{hit.title}. {heading}. {before} {text}", words, around, is_task(text)
        before = text


def _lies_in(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(first <= place < last for first, last in spans)


def _list_behind(
    text: str, spans: Sequence[tuple[int, int]], tainted: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    """Return the first items of the list that the first span introduces, up to what speaks to a model."""
    items: list[tuple[int, int]] = []
    for (_, before), (start, end) in pairwise(spans[: _LIST_ITEMS + 1]):
        if _lies_in(start, tainted) or not (_ITEM_OR_MORE if items else _ITEM).fullmatch(text, before, start):
            break
        items.append((start, end))
    return items


def _without_mail_header(text: str, start: int, end: int) -> tuple[int, int]:
    """Leave out "On Friday, Ann wrote:" in front of what Ann wrote."""
    header = _MAIL_HEADER.match(text, start, end)
    return (header.end(), end) if header else (start, end)


def _place(title: str) -> tuple[str, tuple[int, ...]]:
    """A title's series and place in it: `Price list 2025` stands before `Price list 2026`."""
    return _NUMBER.sub("#", title.casefold()), tuple(int(number[:18]) for number in _NUMBER.findall(title))


def _superseded(hit: Hit, today: date) -> bool:
    since = hit.metadata.get("superseded")
    return since is True or (isinstance(since, str) and since <= today.isoformat())
