"""Ranking of what memory may hold about a question: pure arithmetic over candidates.

A conversation is unlike a document. What a turn means stands in part in the turn before it ("Yes, last Friday!"), the question names who said it,
and what belongs together was said in one session:

    score = cosine + the next turn's cosine + words of the turn or the turn before + the next turn's words + the session's words
            + said by whom the question names + near the dates that it names, or newer where it asks of now - asks itself
            + a little for what is recent and important, less for what is not trusted

Weights were chosen on LoCoMo, with the conversation under test left out; see eval/LOG.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import BoolVector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.fusion import FloatVector
from rag.lore.clock import to_micros
from rag.lore.periods import asks_of_now, named_periods, nearness, tells_of_change
from rag.words import STOP_WORDS

_NEXT_DENSE = 0.3
_WORDS, _BEFORE, _NEXT_WORDS, _SESSION = 0.7, 0.6, 0.2, 0.5
_SPEAKER, _WHEN, _ASKS = 0.4, 0.5, -0.1
_SESSION_BEST = 3
"""A session's words count as the mean of its three best turns."""
_RECENT, _HALF_LIFE = 0.02, 30.0
"""What was said now stands before the same said `_HALF_LIFE` days ago by half of it: enough to order equals, too little to hide an old answer."""
_IMPORTANCE, _DISTRUST = 0.05, 0.3
_NEWER, _CHANGE, _LOOKED = 0.1, 0.5, 24
"""From the oldest candidate to the newest, where the question is in the present tense: what held before stands behind what does now.
Of the `_LOOKED` best, once their texts are read, what tells of a change stands before what it changed."""
_DAY = 86_400_000_000  # microseconds

_NO_TURN = -1


@dataclass(frozen=True, slots=True)
class Candidates:
    """What was found in both searches with its neighbours in its session: n items, column by column.

    Args:
        asks: shape (n,), whether the item's text ends in a question mark.
        dense: shape (n,), cosines in [-1, 1] to the question.
        words: the question's terms, as `query_terms` gives them.
        word_scores: shape (len(words), n): BM25 of each term in each item, 0 where it has it not. A column's sum is the item's score.
        times: shape (n,), microseconds since 1970, UTC.
        sessions: shape (n,), equal where two items are of one conversation; -1 where of none.
        positions: shape (n,), the turn's place in its session, neighbours differ by 1; -1 where it has none. A fact has the place of
            the turn that it rests on.
        speakers: shape (n,), places in `names`.
        names: empty for an unknown speaker.
        texts: shape (n,), as the items read; asked for only where the speaker is unknown.
        trust, importance: shape (n,), in [0, 1].
    """

    dense: FloatVector
    words: Sequence[str]
    word_scores: Float32Matrix
    times: Int64Vector
    sessions: Int64Vector
    positions: Int64Vector
    speakers: Int64Vector
    names: Sequence[str]
    asks: BoolVector
    texts: Sequence[str]
    trust: FloatVector
    importance: FloatVector

    def __len__(self) -> int:
        return len(self.dense)


def query_terms(question: str) -> list[str]:
    """Return the terms that a question is searched by, analysed as stored texts are, without stop words, each once, in order."""
    return [term for term in dict.fromkeys(_analyse(question)) if term not in _stop_terms()]


def rank(query: str, candidates: Candidates, *, now: datetime) -> FloatVector:
    """Return each candidate's score, shape (n,); higher is better, comparable within one recall only.

    Cost: about 0.2 ms for 300 candidates.
    """
    if not len(candidates):
        return np.zeros(0, np.float32)
    codes = _codes(candidates.sessions)
    after, before = _neighbours(codes, candidates.positions)
    names = {number: candidates.names[number] for number in set(candidates.speakers.tolist())}
    named = _named(query, names.values())
    own, either = _worded(candidates, before, names=named)
    dense = candidates.dense / max(float(candidates.dense.max()), 1e-6)
    score = dense + _NEXT_DENSE * _at(dense, after)
    score += _WORDS * either + _NEXT_WORDS * _at(own, after) + _SESSION * _session_best(either, codes)
    if named and not named.issuperset(filter(None, names.values())):
        score += _SPEAKER * _spoken(named, names, candidates)
    score += _WHEN * nearness(named_periods(query, now), candidates.times)
    score += _ASKS * candidates.asks.astype(np.float32)
    score += _NEWER * asks_of_now(query) * _newness(candidates.times) + _prior(candidates, now)
    return np.asarray(score, np.float32)


def best_to_read(query: str, top_k: int) -> int:
    """Return of how many of the best `with_changes` must see the texts, so that `top_k` can be taken of them."""
    return max(top_k, _LOOKED) if asks_of_now(query) else top_k


def with_changes(query: str, texts: Sequence[str], scores: Sequence[float]) -> list[float]:
    """Return the scores, best first, higher for what tells of a change where the question asks of now: it stands before what it changed."""
    if not asks_of_now(query):
        return list(scores)
    lifts = (_CHANGE * tells_of_change(text) if place < _LOOKED else 0.0 for place, text in enumerate(texts))
    return [score + lift for score, lift in zip(scores, lifts, strict=True)]


def _worded(candidates: Candidates, before: Int64Vector, *, names: frozenset[str]) -> tuple[FloatVector, FloatVector]:
    """Return how well each turn's own words answer the question, and those of it and the turn before it; the best is 1.

    A speaker's name is left out: it stands at every turn of theirs.
    """
    spoken = {term for name in names for term in _analyse(name)}
    kept = np.array([word not in spoken for word in candidates.words], bool)
    own = np.asarray(candidates.word_scores[kept], np.float32)
    either = np.maximum(own, _BEFORE * _at(own, before))
    return _scaled(own.sum(axis=0)), _scaled(either.sum(axis=0))


def _neighbours(codes: Int64Vector, positions: Int64Vector) -> tuple[Int64Vector, Int64Vector]:
    """Return for each candidate the one that follows it in its session, and the one before it; -1 where it is not there."""
    held = (codes < len(codes)) & (positions >= 0)
    width = int(positions.max(initial=0)) + 3
    keys = codes * width + positions + 1
    places = np.flatnonzero(held)
    places = places[np.argsort(keys[places], kind="stable")]
    ordered = keys[places]

    def find(wanted: Int64Vector) -> Int64Vector:
        if not len(places):
            return np.full(len(keys), _NO_TURN, np.int64)
        at = np.minimum(np.searchsorted(ordered, wanted), len(places) - 1)
        return np.where(held & (ordered[at] == wanted), places[at], _NO_TURN)

    return find(keys + 1), find(keys - 1)


def _at(values: npt.NDArray[np.float32], places: Int64Vector) -> npt.NDArray[np.float32]:
    """Return the values (last axis) at the places, 0 where there is none."""
    return np.where(places == _NO_TURN, np.float32(0), values[..., places])


def _scaled(scores: FloatVector) -> FloatVector:
    best = float(scores.max(initial=0))
    return (scores / best).astype(np.float32) if best > 0 else np.zeros(len(scores), np.float32)


def _codes(sessions: Int64Vector) -> Int64Vector:
    """Return a number below n for each candidate's session; one of no session has a number of its own, n or more."""
    numbers: dict[int, int] = {}
    n = len(sessions)
    codes = (
        numbers.setdefault(one, len(numbers)) if one >= 0 else n + place for place, one in enumerate(sessions.tolist())
    )
    return np.fromiter(codes, np.int64, n)


def _session_best(scores: FloatVector, codes: Int64Vector) -> FloatVector:
    """Return the mean of the three best scores of each candidate's session; one of no session stands for itself."""
    order = np.lexsort((-scores, codes))
    ordered = codes[order]
    place = np.arange(len(codes)) - np.searchsorted(ordered, ordered)
    best = order[place < _SESSION_BEST]
    total = np.bincount(codes[best], weights=scores[best], minlength=int(codes.max()) + 1)[codes]
    alone = codes >= len(codes)
    return np.where(alone, scores, total / _SESSION_BEST).astype(np.float32)


def _named(query: str, names: Iterable[str]) -> frozenset[str]:
    """Return the speakers that the question names, by any word of their name that is no stop word."""
    asked = set(_analyse(query))
    return frozenset(one for one in names if one and asked & set(query_terms(one)))


def _spoken(named: frozenset[str], names: Mapping[int, str], candidates: Candidates) -> FloatVector:
    """Return 1 where one whom the question names speaks, or, for what nobody speaks, is spoken of; else 0."""
    told = {number: name in named for number, name in names.items() if name}
    return np.array(
        [
            told[number] if number in told else any(name in text for name in named)
            for number, text in zip(candidates.speakers.tolist(), candidates.texts, strict=True)
        ],
        np.float32,
    )


def _newness(times: Int64Vector) -> FloatVector:
    """Return 0 for the oldest candidate, 1 for the newest, 0 for all where they are equally old."""
    since = (times - times.min()).astype(np.float64)
    return np.asarray(since / max(float(since.max()), 1.0), np.float32)


def _prior(candidates: Candidates, now: datetime) -> FloatVector:
    """Return what an item is worth whatever is asked."""
    age = np.maximum((to_micros(now) - candidates.times) / _DAY, 0)
    prior = _RECENT * np.exp2(-age / _HALF_LIFE)
    prior += _IMPORTANCE * (candidates.importance - 0.5) - _DISTRUST * (1 - candidates.trust)
    return np.asarray(prior, np.float32)


@lru_cache(maxsize=1024)
def _analyse(text: str) -> tuple[str, ...]:
    return tuple(_analyzer().analyze(text))


@lru_cache(maxsize=1)
def _analyzer() -> Any:
    from indexes.lexical import analyzer

    return analyzer()


@lru_cache(maxsize=1)
def _stop_terms() -> frozenset[str]:
    return frozenset(term for word in STOP_WORDS for term in _analyzer().analyze(word))
