"""Fused search over one build: dense, lexical or hybrid, with the access filter inside each part."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector
from indexes.arrays import Float32Matrix
from indexes.builds import Build
from indexes.fusion import DENSE_WEIGHT, convex
from indexes.recall import RecallSampler
from indexes.vectors import Found, Plan


class SearchMode(StrEnum):
    """How chunks are found."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How many candidates each part brings, and how their scores are weighed."""

    candidates: int = 100
    dense_weight: float = DENSE_WEIGHT


@dataclass(frozen=True, slots=True)
class Ranked:
    """Rows and their scores, best first; and how vectors were searched, None where they were not."""

    rows: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32]
    plan: Plan | None = None


def search_rows(
    build: Build,
    query: str,
    *,
    vector: Float32Matrix | None,
    top_k: int,
    mode: SearchMode,
    access: AccessFilter,
    where: BoolVector | None = None,
    fusion: FusionSettings | None = None,
    recall: RecallSampler | None = None,
) -> Ranked:
    """Return the `top_k` best readable rows, best first.

    Args:
        query: free text.
        vector: the query's embedding, float32, shape (1, dim); None only in lexical mode.
        top_k: rows wanted, at least 1.
        mode: dense scores are cosines, lexical ones BM25, hybrid ones lie in [0, 1].
        access: what the principal may read; handed to each part, never applied afterwards.
        where: rows that pass a metadata filter.
        recall: counts the search of vectors and may check it later.
    Returns:
        Rows by descending score; ties by ascending row, which is ascending chunk id.
    """
    fusion = fusion or FusionSettings()
    if mode is SearchMode.LEXICAL or vector is None:
        return Ranked(*build.lexical.search(query, top_k=top_k, access=access, where=where))
    depth = max(top_k, fusion.candidates)
    if mode is SearchMode.DENSE:
        found = _dense(build, vector, top_k, access, where, recall)
        return Ranked(found.rows, found.scores, found.plan)
    found = _dense(build, vector, depth, access, where, recall)
    lexical_rows, _ = build.lexical.search(query, top_k=depth, access=access, where=where)
    # Both parts score every candidate, so that a chunk which only one of them found is not mistaken for a bad one.
    rows: npt.NDArray[np.int64] = np.union1d(found.rows, lexical_rows).astype(np.int64)
    lexical = build.lexical.scores(query, rows, access=access)
    scores = convex(build.vectors.scores(vector, rows), lexical, dense_weight=fusion.dense_weight)
    order = np.lexsort((rows, -scores))[:top_k]
    return Ranked(rows[order], scores[order], found.plan)


def _dense(
    build: Build,
    vector: Float32Matrix,
    top_k: int,
    access: AccessFilter,
    where: BoolVector | None,
    recall: RecallSampler | None,
) -> Found:
    epoch = build.epoch
    found = build.vectors.search(vector, top_k=top_k, access=access, where=where)[0]
    if recall is not None:
        recall.searched(
            build.vectors,
            vector,
            found,
            top_k=top_k,
            access=access,
            where=where,
            unchanged=lambda: build.carries(epoch),
        )
    return found
