"""The sentences of the passages that could stand in an answer, each with what it is read with."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from indexes.vocabulary import Hit
from rag.injection import addresses_model
from rag.passages import Passage
from rag.sentences import readable, sentence_spans
from rag.words import content_words

_HEADING = re.compile(r"^#{1,6}[ \t]+(.+)$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")
_MAIL_HEADER = re.compile(r"^On \w.{4,60}\bwrote:")
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
    """Yield (start, end, text, context, words, words around). After a sentence that speaks to a model its paragraph is left out."""
    header = next((part for part in hit.headings[-1:] if _CELLS in part), "")
    path = hit.headings[:-1] if header else hit.headings
    before, tainted_until = "", 0
    for start, end in sentence_spans(hit.text):
        text = readable(hit.text, (start, end), header=header)
        if start >= tainted_until and addresses_model(text):
            tainted_until = _paragraph_end(hit.text, end)
        if start < tainted_until:
            before = ""
            continue
        above = _HEADING.findall(hit.text[:start])
        heading = above[-1] if above else (path[-1] if path else "")
        if not text.endswith("?") and not _MAIL_HEADER.search(text):
            words = frozenset(content_words(text))
            around = words | frozenset(content_words(f"{hit.title} {heading} {before}"))
            yield start, end, text, f"{hit.title}. {heading}. {before} {text}", words, around
        before = text


def _paragraph_end(text: str, after: int) -> int:
    blank_line = text.find("\n\n", after)
    return len(text) if blank_line < 0 else blank_line


def _place(title: str) -> tuple[str, tuple[int, ...]]:
    """A title's series and place in it: `Price list 2025` stands before `Price list 2026`."""
    return _NUMBER.sub("#", title.casefold()), tuple(int(number[:18]) for number in _NUMBER.findall(title))


def _superseded(hit: Hit, today: date) -> bool:
    since = hit.metadata.get("superseded")
    return since is True or (isinstance(since, str) and since <= today.isoformat())
