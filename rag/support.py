"""How far can a whole answer be trusted, given all its passages? A probability by a small fitted formula.

Each sentence gets P(unsupported) from four things that can be counted; the answer is supported if all of its sentences
are. The weights are fitted by `eval/bench/groundedness.py` on RAGTruth's question answering part (Niu et al.,
arXiv:2401.00396).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np

from indexes.arrays import Float32Matrix
from rag.claims import Claim, claim_of
from rag.facts import disagreement, facts
from rag.sentences import readable, sentence_spans
from rag.words import content_words, stem

Embed = Callable[[list[str]], Float32Matrix]  # texts -> float32 rows of unit length

SUPPORTED = 0.75
CONTRADICTED = 0.4
_NEAR = 0.8  # share of a claim's words in one span from which on it is taken to repeat it
# Bias and weights of `features`, without and with `likeness`.
_LEXICAL = (-4.273, (1.341, 1.492, 1.107, -1.049))
_EMBEDDED = (-4.008, (1.435, 1.426, 1.505, -1.089, -0.654))

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


@dataclass(frozen=True, slots=True)
class SentenceSupport:
    """One sentence of an answer; `support` in [0, 1] is the estimated probability that the passages bear it out."""

    text: str
    supported: bool
    support: float


@dataclass(frozen=True, slots=True)
class Support:
    """How far an answer rests on its passages: `score` in [0, 1], low = unsupported; 1.0 where nothing is claimed."""

    score: float
    sentences: tuple[SentenceSupport, ...]


@lru_cache(maxsize=1)
def talk() -> frozenset[str]:
    return frozenset(map(stem, _TALK.split()))


class Known:
    """What the passages say: all their words, pairs and facts, and their sentences, single and in pairs."""

    def __init__(self, passages: Sequence[str]) -> None:
        ordered = [content_words(passage) for passage in passages]
        self.words = frozenset(word for words in ordered for word in words)
        self.pairs = frozenset(
            pair for words in ordered for pair in pairwise(word for word in words if word not in talk())
        )
        self.facts = facts("\n".join(passages))
        sentences = [[Claim(readable(text, span)) for span in sentence_spans(text)] for text in passages]
        neighbours = [Claim(f"{one.text} {two.text}") for row in sentences for one, two in pairwise(row)]
        self.spans = [span for row in sentences for span in row] + neighbours


def features(claim: Claim, known: Known) -> tuple[float, float, float, float]:
    """Return log(1 + words that no passage has), share of new word pairs, foreign facts (0-2), talk of itself (0-1)."""
    words = [word for word in content_words(claim.text) if word not in talk()]
    pairs = list(pairwise(words))
    lacking = sum(word not in known.words for word in words)
    new_pairs = sum(pair not in known.pairs for pair in pairs) / max(1, len(pairs))
    values = {quantity.value for quantity in known.facts.quantities} | {
        float(part) for date in known.facts.dates for part in date
    }
    foreign = any(quantity.value not in values for quantity in claim.facts.quantities)
    strangers = any(stem(name) not in known.facts.words for name in claim.facts.names)
    return math.log1p(lacking), new_pairs, float(foreign) + float(strangers), float(bool(_ABOUT.search(claim.text)))


def contradicted(claim: Claim, known: Known) -> bool:
    """Return whether passages say nearly the same, but each with another number, date, name or negation."""
    spelled = frozenset(word for word in claim.content if word.isalpha())
    near = [span for span in known.spans if len(spelled & span.content) >= _NEAR * len(spelled)] if spelled else []
    return bool(near) and all(
        disagreement(claim.facts, span.facts, known.facts.words - span.facts.words) for span in near
    )


def check_support(answer: str, passages: list[str], *, embed: Embed | None = None) -> Support:
    """Return how far `answer` rests on `passages`, sentence by sentence and as a whole.

    Args:
        answer: Markdown; citation markers and headings are ignored.
        passages: the texts the answer was made from; with none of them nothing is supported.
        embed: texts -> unit-length rows; adds likeness to the formula; measured, it changes little.
    Returns:
        `score`: the product of the sentences' supports, in [0, 1]. A sentence that repeats a passage with another
        number, date, name or negation has at most `CONTRADICTED`.
    Source: measured in `eval/bench/groundedness.py`.
    """
    known = Known(passages)
    claims = [claim for claim in (claim_of(readable(answer, span)) for span in sentence_spans(answer)) if claim.content]
    alike = likeness(claims, known, embed)
    sentences = []
    for at, claim in enumerate(claims):
        support = 1.0 - probability((*features(claim, known), *(() if alike is None else (alike[at],))))
        if not passages or contradicted(claim, known):
            support = min(support, CONTRADICTED if passages else 0.0)
        sentences.append(SentenceSupport(claim.text, support >= SUPPORTED, support))
    return Support(math.prod(sentence.support for sentence in sentences), tuple(sentences))


def probability(counted: Sequence[float]) -> float:
    """Return P(unsupported) of one sentence from its `features`, and its `likeness` where there is one."""
    bias, weights = _LEXICAL if len(counted) == len(_LEXICAL[1]) else _EMBEDDED
    return 1.0 / (1.0 + math.exp(-(bias + sum(weight * value for weight, value in zip(weights, counted, strict=True)))))


def likeness(claims: Sequence[Claim], known: Known, embed: Embed | None) -> list[float] | None:
    """Each claim's highest cosine, in [-1, 1], with a sentence of the passages."""
    if embed is None or not claims or not known.spans:
        return None
    rows = embed([claim.text for claim in claims] + [span.text for span in known.spans])
    return [float(best) for best in np.max(rows[: len(claims)] @ rows[len(claims) :].T, axis=1)]
