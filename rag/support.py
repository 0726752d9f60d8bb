"""How far can a whole answer be trusted, given all its passages? A probability by small fitted trees, without a model.

Each sentence gets P(unsupported) from what can be counted of it and of the answer around it (`rag/counted.py`); the
answer is supported if all of its sentences are. The trees are fitted by `eval/bench/groundedness.py` on RAGTruth's
question answering part (Niu et al., arXiv:2401.00396).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from indexes.arrays import Float32Matrix
from rag.claims import claim_of
from rag.counted import FEATURES, Known, contradicted, rows
from rag.sentences import readable, sentence_spans
from rag.trees import Trees

Embed = Callable[[list[str]], Float32Matrix]  # texts -> float32 rows of unit length

SUPPORTED = 0.75
CONTRADICTED = 0.4
WEIGHTS = Path(__file__).with_name("support_trees.json")
SHA256 = "135f414251c56c90dff2ba44c58e89fba5b1fb150b2a040b02c22b0419ee2ec6"


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


def check_support(answer: str, passages: list[str]) -> Support:
    """Return how far `answer` rests on `passages`, sentence by sentence and as a whole.

    Args:
        answer: Markdown; citation markers and headings are ignored.
        passages: the texts the answer was made from; with none of them nothing is supported.
    Returns:
        `score`: the product of the sentences' supports, in [0, 1]. A sentence that repeats a passage with another
        number, date, name or negation has at most `CONTRADICTED`.
    Cost: some ten milliseconds for an answer of eight sentences and three passages of 100 words; no model runs.
    Source: measured in `eval/bench/groundedness.py`.
    """
    known = Known(passages)
    claims = [claim for claim in (claim_of(readable(answer, span)) for span in sentence_spans(answer)) if claim.content]
    sentences = []
    for claim, unsupported in zip(claims, trees().probability(rows(claims, known)), strict=True):
        support = 1.0 - float(unsupported)
        if not passages or contradicted(claim, known):
            support = min(support, CONTRADICTED if passages else 0.0)
        sentences.append(SentenceSupport(claim.text, support >= SUPPORTED, support))
    return Support(math.prod(sentence.support for sentence in sentences), tuple(sentences))


@lru_cache(maxsize=1)
def trees() -> Trees:
    """The packaged trees, read at their first use."""
    return Trees.read(WEIGHTS, sha256=SHA256, features=FEATURES)
