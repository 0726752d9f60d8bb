"""Fusing a dense and a lexical ranking: pure functions over scores of the same candidates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float32]

FloatMatrix = npt.NDArray[np.float32]
Groups = npt.NDArray[np.int64]
"""Equal numbers for the chunks of one document, 0 to the number of documents - 1."""

DENSE_WEIGHT = 0.73
DENSE_CONTEXT = 0.6
LEXICAL_CONTEXT = 0.4
"""Chosen together on train splits and development sets, see eval/LOG.md."""

RRF_K = 60
"""Cormack, Clarke and Buettcher 2009."""


def theoretical_min_max(scores: FloatVector, *, minimum: float) -> FloatVector:
    """Scale scores so that the function's least possible value becomes 0 and the best candidate 1.

    Args:
        scores: any length; each at least `minimum`.
        minimum: the least value the scoring function can take: -1 for cosine, 0 for BM25.
    Returns:
        Values in [0, 1]; all 0 where no score passes `minimum`.
    """
    if not len(scores) or (best := float(scores.max())) <= minimum:
        return np.zeros(len(scores), np.float32)
    return ((scores - minimum) / (best - minimum)).astype(np.float32)


def convex(dense: FloatVector, lexical: FloatVector, *, dense_weight: float = DENSE_WEIGHT) -> FloatVector:
    """Return `dense_weight * dense' + (1 - dense_weight) * lexical'` over the theoretically min-max scaled scores.

    Args:
        dense: cosines in [-1, 1] of the candidates.
        lexical: BM25 scores >= 0 of the same candidates, 0 where no term is shared.
        dense_weight: in [0, 1].
    Returns:
        Scores in [0, 1].
    Source: Bruch, Gai and Ingber 2023, An Analysis of Fusion Functions for Hybrid Retrieval, arXiv:2210.11934 (TM2C2).
    """
    fused = dense_weight * theoretical_min_max(dense, minimum=-1.0)
    fused += (1.0 - dense_weight) * theoretical_min_max(lexical, minimum=0.0)
    return np.asarray(fused, dtype=np.float32)


def with_document_mean(scores: FloatVector, groups: Groups, *, share: float) -> FloatVector:
    """Return (1 - share) * score + share * mean score of the chunk's document: what the whole is about counts for its parts.

    Source: Callan 1994, Passage-Level Evidence in Document Retrieval, SIGIR: passages with their document's evidence.
    """
    if not len(scores):
        return scores
    mean = np.bincount(groups, weights=scores) / np.bincount(groups)
    return np.asarray((1.0 - share) * scores + share * mean[groups], dtype=np.float32)


def with_document_terms(term_scores: FloatMatrix, groups: Groups, *, share: float) -> FloatVector:
    """Return (1 - share) * the chunk's score + share * its document's: the sum over terms of the best chunk's score for each.

    So a document that says all that is asked for, in different chunks, stands before one that says a part of it twice.

    Args:
        term_scores: shape (terms, chunks); a column's sum is the chunk's own score.
    """
    own = term_scores.sum(axis=0)
    if not term_scores.size:
        return np.asarray(own, dtype=np.float32)
    order = np.argsort(groups, kind="stable")
    first = np.searchsorted(groups[order], np.arange(int(groups.max()) + 1))
    best = np.maximum.reduceat(term_scores[:, order], first, axis=1).sum(axis=0)
    return np.asarray((1.0 - share) * own + share * best[groups], dtype=np.float32)


def marginal_relevance(
    scores: FloatVector, similarity: FloatMatrix, *, diversity: float, top_k: int
) -> tuple[npt.NDArray[np.int64], FloatVector]:
    """Choose `top_k` by turns, each the best of (1 - diversity) * score - diversity * similarity to the most alike chosen before.

    Returns:
        Positions in the order chosen, and the values for which they were, descending; ties by ascending position.
    Source: Carbonell and Goldstein 1998, The Use of MMR, Diversity-Based Reranking, SIGIR.
    Cost: O(top_k * candidates).
    """
    left = (1.0 - diversity) * scores
    nearest = np.zeros(len(scores), np.float32)
    chosen, values = [], []
    for _ in range(min(top_k, len(scores))):
        value = left - diversity * nearest
        best = int(np.argmax(value))
        chosen.append(best)
        values.append(value[best])
        nearest = np.maximum(nearest, similarity[best])
        left[best] = -np.inf
    return np.array(chosen, np.int64), np.array(values, np.float32)


def reciprocal_rank(*rankings: npt.NDArray[np.int64], k: int = RRF_K) -> dict[int, float]:
    """Return each row's sum of 1 / (k + rank) over the rankings that hold it; ranks count from 1.

    Source: Cormack, Clarke and Buettcher 2009, Reciprocal Rank Fusion outperforms Condorcet.
    """
    fused: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking.tolist(), start=1):
            fused[row] = fused.get(row, 0.0) + 1.0 / (k + rank)
    return fused
