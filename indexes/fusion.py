"""Fusing a dense and a lexical ranking: pure functions over scores of the same candidates."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatVector = npt.NDArray[np.float32]

DENSE_WEIGHT = 0.7
"""Chosen on SciFact's train split among 0.3-0.7 (nDCG@10 0.734 against 0.716 for RRF), see eval/LOG.md."""

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


def reciprocal_rank(*rankings: npt.NDArray[np.int64], k: int = RRF_K) -> dict[int, float]:
    """Return each row's sum of 1 / (k + rank) over the rankings that hold it; ranks count from 1.

    Source: Cormack, Clarke and Buettcher 2009, Reciprocal Rank Fusion outperforms Condorcet.
    """
    fused: dict[int, float] = {}
    for ranking in rankings:
        for rank, row in enumerate(ranking.tolist(), start=1):
            fused[row] = fused.get(row, 0.0) + 1.0 / (k + rank)
    return fused
