"""What can be counted of an answer's sentences against its passages: the rows from which `rag/support.py` judges."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Sequence
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rag.claims import Claim
from rag.facts import disagreement, facts
from rag.sentences import readable, sentence_spans
from rag.words import content_words, stem, word_set, words

_NEAR = 0.8  # share of a claim's words in one span from which on it is taken to repeat it
_END = 2  # so many of a sentence's last words are its end, where inventions are appended

# What an answer says of itself: no passage can hold these words, and they claim nothing.
_TALK = (
    "passage passages based provided given information context mention mentioned according answer question stated "
    "states state therefore unable specific specifically additionally overall conclusion summary following include "
    "including includes however note important text source document documents number various provide provides "
    "providing detail details detailed explicitly directly"
)
_ABOUT = re.compile(
    r"\b(?:based on|according to|passages?|provided|given|information|context|mention\w*|answer|question|state[sd]?"
    r"|therefore|unable)\b",
    re.IGNORECASE,
)

_OWN = (
    *("lacking", "share lacking", "lacking in a row", "lacking at the end"),
    *("new pairs", "new triples", "new pairs of all words", "new triples of all words", "new fours of all words"),
    *("best span", "foreign numbers", "foreign names", "about itself"),
    *("content words", "words", "quantities", "names", "denials", "place", "sentences"),
)
_SHARED = ("lacking", "new pairs", "new pairs of all words", "best span", "about itself")
FEATURES = (*_OWN, *(f"{how} {name}" for how in ("others'", "greatest", "total") for name in _SHARED))
"""The columns of `rows`: a sentence's own counts, then some of them over the whole answer."""


class Known:
    """What the passages say: their words, n-grams and facts, and their sentences, single and in pairs."""

    def __init__(self, passages: Sequence[str]) -> None:
        ordered = [content_words(passage) for passage in passages]
        spoken = [_claiming(words) for words in ordered]
        every = [words(passage) for passage in passages]
        self.words = frozenset(word for row in ordered for word in row)
        self.pairs, self.triples = (frozenset(gram for row in spoken for gram in _grams(row, n)) for n in (2, 3))
        self.runs = {n: frozenset(gram for row in every for gram in _grams(row, n)) for n in (2, 3, 4)}
        self.facts = facts("\n".join(passages))
        self.values = {quantity.value for quantity in self.facts.quantities} | {
            float(part) for date in self.facts.dates for part in date
        }
        sentences = [[Claim(readable(text, span)) for span in sentence_spans(text)] for text in passages]
        neighbours = [Claim(f"{one.text} {two.text}") for row in sentences for one, two in pairwise(row)]
        self.spans = [span for row in sentences for span in row] + neighbours


@lru_cache(maxsize=1)
def talk() -> frozenset[str]:
    """The stems of what an answer says of itself."""
    return frozenset(map(stem, word_set(_TALK)))


def contradicted(claim: Claim, known: Known) -> bool:
    """Return whether passages say nearly the same, but each with another number, date, name or negation.

    Spans with other words besides count only against numbers, dates and times that no passage has: otherwise they are
    as often about something else.
    """
    spelled = _spelled(claim)
    near = [span for span in known.spans if len(spelled & span.content) >= _NEAR * len(spelled)] if spelled else []
    if not _foreign(claim, known):
        near = [span for span in near if _spelled(span) == spelled]
    return bool(near) and all(
        disagreement(claim.facts, span.facts, known.facts.words - span.facts.words) for span in near
    )


def _spelled(claim: Claim) -> frozenset[str]:
    return frozenset(word for word in claim.content if word.isalpha())


def _foreign(claim: Claim, known: Known) -> bool:
    """Return whether the claim has a number, date or time that no passage has."""
    days = {date[1:] for date in known.facts.dates}
    return (
        any(quantity.value not in known.values for quantity in claim.facts.quantities)
        or any(date[1:] not in days for date in claim.facts.dates)
        or bool(claim.facts.times - known.facts.times)
    )


def rows(claims: Sequence[Claim], known: Known) -> npt.NDArray[np.float64]:
    """Return what is counted of an answer's claims, shape (len(claims), len(FEATURES)), finite."""
    if not claims:
        return np.zeros((0, len(FEATURES)))
    own = np.array([_own(claim, at, len(claims), known) for at, claim in enumerate(claims)])
    shared = own[:, [_OWN.index(name) for name in _SHARED]]
    total = shared.sum(axis=0)
    others = (total - shared) / max(1, len(claims) - 1)
    return np.hstack([own, others, np.broadcast_to(shared.max(axis=0), shared.shape), np.tile(total, (len(claims), 1))])


def _own(claim: Claim, at: int, sentences: int, known: Known) -> tuple[float, ...]:
    """One claim's part of a row, in the order of `_OWN`. Counts of words are log(1 + n): the first weigh most."""
    spoken, every = _claiming(content_words(claim.text)), words(claim.text)
    lacks = [word not in known.words for word in spoken]
    quantities, names = claim.facts.quantities, claim.facts.names
    return (
        math.log1p(sum(lacks)),
        sum(lacks) / max(1, len(spoken)),
        _longest_run(lacks),
        float(any(lacks) and spoken[_last(lacks)] in spoken[-_END:]),
        _new(_grams(spoken, 2), known.pairs),
        _new(_grams(spoken, 3), known.triples),
        *(_new(_grams(every, n), known.runs[n]) for n in (2, 3, 4)),
        max((claim.lexical(span) for span in known.spans), default=0.0),
        float(any(quantity.value not in known.values for quantity in quantities)),
        float(any(stem(name) not in known.facts.words for name in names)),
        float(bool(_ABOUT.search(claim.text))),
        math.log1p(len(spoken)),
        math.log1p(len(every)),
        len(quantities),
        len(names),
        len(claim.facts.denied),
        at / max(1, sentences - 1),
        math.log(sentences),
    )


def _claiming(content: Sequence[str]) -> list[str]:
    return [word for word in content if word not in talk()]


def _grams(row: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(row[at : at + n]) for at in range(len(row) - n + 1)]


def _new(grams: Sequence[Hashable], known: frozenset[tuple[str, ...]]) -> float:
    """Return the share of n-grams that no passage has; 0 where there are none."""
    return sum(gram not in known for gram in grams) / max(1, len(grams))


def _last(flags: Sequence[bool]) -> int:
    return len(flags) - 1 - flags[::-1].index(True)


def _longest_run(flags: Sequence[bool]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
