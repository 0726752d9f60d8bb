"""The extractive answerer: chooses the sentences of the passages that answer, or none.

Candidates are scored by words, by embedding and by where they stand; the best are read together with the question by a
cross-encoder. A sentence that speaks to a model instead of the reader is never chosen.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexes.vocabulary import Float32Matrix
from rag.injection import addresses_model
from rag.passages import Passage
from rag.sentences import readable, sentence_spans
from rag.words import content_words

MAX_SENTENCES = 2
_SCREENED = 32
_READ = 12
_COSINE, _COVERAGE, _CONTEXT, _PASSAGE, _CROSS, _TYPED = 0.7, 0.5, 0.5, 1.0, 0.1, 0.2
"""Weights chosen on the sample company's questions, checked on SQuAD; see eval/LOG.md."""

MIN_CROSS = -1.5
MIN_SCORE = 2.05
"""Below both, the evidence is too little and the answer abstains."""

Embed = Callable[[list[str]], Float32Matrix]
Read = Callable[[str, list[str]], npt.NDArray[np.float32]]

_QUANTITY = re.compile(
    r"\bhow (?:many|much|long|often|far|old|big|large|high|fast|tall|wide|deep|heavy)\b"
    r"|\bwhat (?:percentage|share|number|amount|rate|discount|price|limit)\b",
    re.IGNORECASE,
)
_MOMENT = re.compile(r"\bwhen\b|\b(?:what|which) (?:date|day|month|year|century|time)\b", re.IGNORECASE)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty|fifty|hundred|half|once|twice|none|no)\b",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\d|\b(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october|november"
    r"|december|century|noon|midnight|quarter|after|before|until|during|once|when)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Quote:
    """`passage.text[start:end]`, as `text` reads in an answer; `support` is 1, for it is its own evidence."""

    text: str
    passage: Passage
    start: int
    end: int
    support: float = 1.0


@dataclass(slots=True)
class _Candidate:
    passage: Passage
    start: int
    end: int
    text: str
    context: str
    words: frozenset[str]
    around: frozenset[str]
    score: float = 0.0
    cross: float = 0.0


def extract(question: str, passages: Sequence[Passage], *, embed: Embed, read: Read) -> list[Quote]:
    """Return the sentences that answer, best first, at most `MAX_SENTENCES`; none where the evidence is too little.

    Args:
        passages: best first; only they are looked at.
        embed: texts -> unit rows.
        read: question and texts -> how well each answers, as `CrossEncoder.scores`.
    Cost: embeds at most 33 short texts, reads at most 12.
    """
    candidates = [candidate for passage in passages for candidate in _candidates(passage)]
    if not candidates:
        return []
    weights = _weights(question, passages)
    for candidate in candidates:
        candidate.score = (
            _COVERAGE * _share(candidate.words, weights)
            + _CONTEXT * _share(candidate.around, weights)
            + _PASSAGE * candidate.passage.hit.score
        )
    screened = sorted(candidates, key=lambda candidate: -candidate.score)[:_SCREENED]
    vectors = embed([question, *(f"{candidate.passage.hit.title}\n{candidate.text}" for candidate in screened)])
    for candidate, cosine in zip(screened, vectors[1:] @ vectors[0], strict=True):
        candidate.score += _COSINE * float(cosine)
    best = sorted(screened, key=lambda candidate: -candidate.score)[:_READ]
    for candidate, cross in zip(best, read(question, [candidate.context for candidate in best]), strict=True):
        candidate.cross = float(cross)
        candidate.score += _CROSS * candidate.cross + _TYPED * _has_type(question, candidate.text)
    best.sort(key=lambda candidate: -candidate.score)
    if max(candidate.cross for candidate in best) < MIN_CROSS and best[0].score < MIN_SCORE:
        return []
    return [
        Quote(candidate.text, candidate.passage, candidate.start, candidate.end)
        for candidate in _distinct(best)[:MAX_SENTENCES]
    ]


def _candidates(passage: Passage) -> Iterable[_Candidate]:
    hit, before = passage.hit, ""
    for start, end in sentence_spans(hit.text):
        text = readable(hit.text, (start, end))
        headings = re.findall(r"^#{1,6}[ \t]+(.+)$", hit.text[:start], re.MULTILINE)
        heading = headings[-1] if headings else ""
        context = f"{hit.title}. {heading}. {before} {text}"
        if not text.endswith("?") and not addresses_model(text):
            words = frozenset(content_words(text))
            around = words | frozenset(content_words(f"{hit.title} {heading} {before}"))
            yield _Candidate(passage, start, end, text, context, words, around)
        before = "" if addresses_model(text) else text


def _weights(question: str, passages: Sequence[Passage]) -> dict[str, float]:
    """Weigh the question's words by how few of the shown passages have them: nothing unreadable can enter."""
    pool = [frozenset(content_words(f"{passage.hit.title} {passage.hit.text}")) for passage in passages]
    counts = {word: sum(word in words for words in pool) for word in dict.fromkeys(content_words(question))}
    return {word: math.log(1 + (len(pool) - count + 0.5) / (count + 0.5)) for word, count in counts.items()}


def _share(words: frozenset[str], weights: dict[str, float]) -> float:
    total = sum(weights.values())
    return sum(weight for word, weight in weights.items() if word in words) / total if total else 0.0


def _has_type(question: str, text: str) -> bool:
    """Return whether the text has what the question asks for: a number, or a moment."""
    if _QUANTITY.search(question):
        return bool(_NUMBER.search(text))
    return not _MOMENT.search(question) or bool(_TIME.search(text))


def _distinct(candidates: Sequence[_Candidate]) -> list[_Candidate]:
    seen: dict[str, _Candidate] = {}
    for candidate in candidates:
        seen.setdefault(candidate.text.casefold(), candidate)
    return list(seen.values())
