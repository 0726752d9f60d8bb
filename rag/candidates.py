"""The sentences of the passages that could stand in an answer, each with what it is read with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from indexes.vocabulary import Hit
from rag.injection import addresses_model, tainted_spans
from rag.passages import Passage
from rag.sentences import readable, sentence_spans
from rag.words import content_words

_HEADING = re.compile(r"^#{1,6}[ \t]+(.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_MAIL_HEADER = re.compile(r"On \w.{4,80}?\bwrote:[\s>]*", re.DOTALL)
_CELLS = " | "
"""Stands in the last heading of a chunk that begins inside a table: the table's header row."""


@dataclass(slots=True)
class Candidate:
    """`passage.text[start:end]` reads as `text`; `context` puts title, heading and the sentence before in front of it.

    `words` are the content words of the sentence, `around` those of its context too. `superseded`: its document says so of
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
    superseded: bool = False
    older: bool = False
    score: float = 0.0
    cross: float = 0.0


def candidates(passages: Sequence[Passage], *, today: date) -> list[Candidate]:
    """Return every sentence that may be quoted, in reading order; questions, mail headers and what speaks to a model are left out."""
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


def _sentences(hit: Hit) -> Iterator[tuple[int, int, str, str, frozenset[str], frozenset[str]]]:
    """Yield (start, end, text, context, words, words around)."""
    header = next((part for part in hit.headings[-1:] if _CELLS in part), "")
    path = hit.headings[:-1] if header else hit.headings
    tainted = tainted_spans(hit.text)
    before = ""
    for sentence in sentence_spans(hit.text):
        start, end = _without_mail_header(hit.text, *sentence)
        text = readable(hit.text, (start, end), header=header)
        if not text or addresses_model(text) or any(first <= start < last for first, last in tainted):
            before = ""
            continue
        above = _HEADING.findall(hit.text[:start])
        heading = above[-1] if above else (path[-1] if path else "")
        if not text.endswith("?"):
            words = frozenset(content_words(text))
            around = words | frozenset(content_words(f"{hit.title} {heading} {before}"))
            yield start, end, text, f"{hit.title}. {heading}. {before} {text}", words, around
        before = text


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
