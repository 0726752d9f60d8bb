"""The extractive answerer: chooses the sentences of the passages that answer, or none.

Candidates are screened by words and by embedding, the best are read together with the question by a cross-encoder, and the
first of them must cover the question's words before anything is answered. What is in force stands before what is superseded,
unless the question looks back. A sentence that speaks to a model instead of the reader is never chosen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import combinations

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from rag.candidates import Candidate, candidates
from rag.passages import Passage
from rag.question import Question, frames, read_question
from rag.tasks import asks_how
from rag.words import content_words

MAX_SENTENCES = 3
_SCREENED = 20
_READ = 8
_COVERED = 2
_COSINE, _SHARE, _SHARE_AROUND, _PASSAGE, _CROSS = 0.7, 0.5, 0.5, 1.0, 0.1
_ASKED, _CODES, _YEAR, _SUPERSEDED, _OLDER = 0.3, 0.3, 0.2, -0.4, -0.1
_APART, _ALIKE = 0.2, 1.0
_CLOSE = 0.3
"""A further sentence is given if it scores at most this much less than the first. All chosen on the sample company, checked on SQuAD: see
eval/LOG.md."""

_ANSWERABLE = (0.25, 19.7, 3.5, 3.9, -22.75)
"""Logistic regression over the best cross-encoder logit, the covered share of the question, whether the kind of thing asked for and
whether every code is there, and its intercept; below 0 the answer abstains."""

Embed = Callable[[list[str]], Float32Matrix]
Read = Callable[[str, list[str]], npt.NDArray[np.float32]]
Cover = Callable[[str, list[str]], tuple[list[str], Float32Matrix]]


@dataclass(frozen=True, slots=True)
class Readers:
    """The models that judge sentences: `embed` texts -> unit rows; `read` as `CrossEncoder.scores`; `cover` as `LateInteraction.coverage`."""

    embed: Embed
    read: Read
    cover: Cover


@dataclass(frozen=True, slots=True)
class Quote:
    """`passage.text[start:end]`, as `text` reads in an answer; `support` is 1, for it is its own evidence."""

    text: str
    passage: Passage
    start: int
    end: int
    support: float = 1.0


def extract(
    question: str,
    passages: Sequence[Passage],
    *,
    readers: Readers,
    today: date,
    limit: int = MAX_SENTENCES,
) -> list[Quote]:
    """Return the sentences that answer one question, best first; none where the evidence is too little.

    Args:
        passages: best first; only they are looked at.
        today: what is superseded from a later day on is still in force.
        limit: most sentences, at least 1; fewer where the next is much worse.
    Cost: embeds at most 21 short texts, reads at most 8, compares 2 word by word.
    """
    asked = read_question(question)
    weights = _weights(question, passages)
    best = _ranked(asked, to_the_point(question, candidates(passages, today=today)), weights, readers)
    if not best or _answerable(asked, best, weights, readers) < 0:
        return []
    chosen = _chosen(asked, _distinct(best), limit)
    return [Quote(candidate.text, candidate.passage, candidate.start, candidate.end) for candidate in chosen]


def to_the_point(question: str, found: Sequence[Candidate]) -> list[Candidate]:
    """Leave out tasks that share no word with the question: whoever set them, they do not answer it."""
    asked, how = frozenset(content_words(question)), asks_how(question)
    return [one for one in found if not one.task or asked & (one.around if how else one.words)]


def _ranked(
    question: Question, found: Sequence[Candidate], weights: dict[str, float], readers: Readers
) -> list[Candidate]:
    """Return the candidates that were read, best first."""
    if not found:
        return []
    for candidate in found:
        candidate.score = _before_reading(question, candidate, weights)
    screened = sorted(found, key=lambda candidate: -candidate.score)[:_SCREENED]
    vectors = readers.embed([question.text, *(f"{one.passage.hit.title}\n{one.text}" for one in screened)])
    for candidate, cosine in zip(screened, vectors[1:] @ vectors[0], strict=True):
        candidate.score += _COSINE * float(cosine)
    best = sorted(screened, key=lambda candidate: -candidate.score)[:_READ]
    for candidate, cross in zip(best, readers.read(question.text, [one.context for one in best]), strict=True):
        candidate.cross = float(cross)
        candidate.score += _CROSS * candidate.cross
    return sorted(best, key=lambda candidate: -candidate.score)


def _before_reading(question: Question, candidate: Candidate, weights: dict[str, float]) -> float:
    hit = candidate.passage.hit
    score = (
        _SHARE * _share(candidate.words, weights)
        + _SHARE_AROUND * _share(candidate.around, weights)
        + _PASSAGE * hit.score
        + _ASKED * question.asked.has(candidate.text)
        + _CODES * _has_codes(question, candidate)
        + _YEAR * any(year in f"{hit.title} {hit.uri}" for year in question.years)
    )
    if not (question.looks_back or question.wants_two or question.years):
        score += _SUPERSEDED * candidate.superseded + _OLDER * candidate.older
    return score


def _answerable(question: Question, best: Sequence[Candidate], weights: dict[str, float], readers: Readers) -> float:
    """Return the log-odds that the best candidates answer the question."""
    cross, covered, asked, codes, intercept = _ANSWERABLE
    first = best[:_COVERED]
    return (
        cross * max(candidate.cross for candidate in best)
        + covered * _covered(question.text, [candidate.context for candidate in first], weights, readers.cover)
        + asked * question.asked.has(first[0].text)
        + codes * any(_has_codes(question, candidate) for candidate in first)
        + intercept
    )


def _covered(question: str, texts: list[str], weights: dict[str, float], cover: Cover) -> float:
    """Return how well the best of the texts covers the question's content words, rare ones weighing more."""
    words, covered = cover(question, texts)
    weight = np.array([0.0 if frames(word) else _weight(word, weights) for word in words], np.float32)
    return float((covered @ weight).max() / weight.sum()) if weight.sum() else 0.0


def _chosen(question: Question, ranked: Sequence[Candidate], limit: int) -> list[Candidate]:
    """Return the first candidates that are close to the best, or the best pair where two things are wanted."""
    if question.wants_two and limit > 1 and len(ranked) > 1:
        return list(max(combinations(ranked, 2), key=lambda pair: _as_pair(*pair)))
    return [candidate for candidate in ranked if candidate.score >= ranked[0].score - _CLOSE][:limit]


def _as_pair(one: Candidate, other: Candidate) -> float:
    """Two sentences of two documents that say the like of two states, such as two versions of a rule, are best."""
    apart = one.passage.hit.document_id != other.passage.hit.document_id
    either = len(one.words | other.words)
    return one.score + other.score + apart * (_APART + _ALIKE * len(one.words & other.words) / (either or 1))


def _weights(question: str, passages: Sequence[Passage]) -> dict[str, float]:
    """Weigh the question's words by how few of the shown passages have them: nothing unreadable can enter."""
    pool = [frozenset(content_words(f"{passage.hit.title} {passage.hit.text}")) for passage in passages]
    counts = {word: sum(word in words for words in pool) for word in dict.fromkeys(content_words(question))}
    return {word: math.log(1 + (len(pool) - count + 0.5) / (count + 0.5)) for word, count in counts.items()}


def _weight(word: str, weights: dict[str, float]) -> float:
    return max((weights.get(stem, 1.0) for stem in content_words(word)), default=0.0)


def _share(words: frozenset[str], weights: dict[str, float]) -> float:
    total = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in words) / total if total else 0.0


def _has_codes(question: Question, candidate: Candidate) -> bool:
    context = candidate.context.lower()
    return all(code in context for code in question.codes)


def _distinct(ranked: Sequence[Candidate]) -> list[Candidate]:
    """Leave out what a better candidate says already: the same words, or a stretch of the same text."""
    kept: list[Candidate] = []
    for candidate in ranked:
        if not any(_repeats(candidate, better) for better in kept):
            kept.append(candidate)
    return kept


def _repeats(candidate: Candidate, other: Candidate) -> bool:
    one, two = candidate.passage.hit, other.passage.hit
    overlaps = (
        one.start + candidate.start < two.start + other.end and two.start + other.start < one.start + candidate.end
    )
    return candidate.text.casefold() == other.text.casefold() or (one.document_id == two.document_id and overlaps)
