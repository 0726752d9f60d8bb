"""Fused search over one build: dense, lexical or hybrid, with the access filter inside each part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector
from indexes.arrays import Float32Matrix
from indexes.builds import Build
from indexes.errors import ConfigError
from indexes.forward import K1, B
from indexes.fusion import (
    DENSE_CONTEXT,
    DENSE_WEIGHT,
    LEXICAL_CONTEXT,
    FloatVector,
    convex,
    marginal_relevance,
    with_document_mean,
    with_document_terms,
)
from indexes.recall import RecallSampler
from indexes.siblings import Rows
from indexes.vectors import Found, Plan

MAX_CANDIDATES = 1000
MAX_PASSAGES = 100


class SearchMode(StrEnum):
    """How chunks are found."""

    HYBRID = "hybrid"
    DENSE = "dense"
    LEXICAL = "lexical"


@dataclass(frozen=True, slots=True)
class FusionSettings:
    """How a hybrid search scores; part of a release.

    Args:
        candidates: how many each part brings.
        dense_weight: of the cosines, in [0, 1]; the words have the rest.
        dense_context, lexical_context: how much of a chunk's score is its document's, in [0, 1].
        k1, b: of BM25 over the candidates, at least 0 and in [0, 1]; see `ForwardIndex.term_scores`.
        diversity: how much being unlike the hits before counts, in [0, 1); 0 leaves the order alone.
        rerank: a model that reads the first `rerank_depth` hits with the query: `off`, `packaged`, or any sentence-transformers
            CrossEncoder by name or folder. It needs texts, so `rag.rerank` applies it.
        passages: hits that an answer may rest on; a search's own `top_k` is the caller's.
    Raises:
        ConfigError: a value is out of range.
    """

    candidates: int = 100
    dense_weight: float = DENSE_WEIGHT
    dense_context: float = DENSE_CONTEXT
    lexical_context: float = LEXICAL_CONTEXT
    k1: float = K1
    b: float = B
    diversity: float = 0.0
    rerank: str = "off"
    rerank_depth: int = 20
    passages: int = 12

    def __post_init__(self) -> None:
        if not 1 <= self.candidates <= MAX_CANDIDATES:
            raise ConfigError(f"candidates is {self.candidates}, it must be 1 to {MAX_CANDIDATES}")
        for name in ("dense_weight", "dense_context", "lexical_context", "b"):
            if not 0.0 <= (value := getattr(self, name)) <= 1.0:
                raise ConfigError(f"{name} is {value}, it must lie between 0 and 1")
        if not 0.0 <= self.k1 <= 100.0:
            raise ConfigError(f"k1 is {self.k1}, it must lie between 0 and 100")
        if not 0.0 <= self.diversity < 1.0:
            raise ConfigError(f"diversity is {self.diversity}, it must be at least 0 and less than 1")
        if not self.rerank:
            raise ConfigError("rerank names no model: use off, packaged, or a CrossEncoder by name or folder")
        if not 1 <= self.passages <= MAX_PASSAGES:
            raise ConfigError(f"passages is {self.passages}, it must be 1 to {MAX_PASSAGES}")
        if not 1 <= self.rerank_depth <= MAX_CANDIDATES:
            raise ConfigError(f"rerank_depth is {self.rerank_depth}, it must be 1 to {MAX_CANDIDATES}")

    @classmethod
    def stored(cls, retrieval: Mapping[str, Any]) -> FusionSettings:
        """Return the settings of a release; one of before there was context goes on without."""
        return cls(**{"dense_context": 0.0, "lexical_context": 0.0, **retrieval})


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
        mode: dense scores are cosines, lexical ones BM25, hybrid ones lie in [0, 1], or in [-1, 1] with diversity.
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
    rows: Rows = np.union1d(found.rows, lexical_rows).astype(np.int64)
    scores = _fused(build, query, vector, rows, access=access, fusion=fusion)
    order = np.lexsort((rows, -scores))
    if fusion.diversity and len(rows):
        order = order[: max(top_k, fusion.candidates)]
        chosen, values = marginal_relevance(
            scores[order], build.lexical.similarity(rows[order]), diversity=fusion.diversity, top_k=top_k
        )
        return Ranked(rows[order][chosen], values, found.plan)
    return Ranked(rows[order[:top_k]], scores[order[:top_k]], found.plan)


def _fused(
    build: Build, query: str, vector: Float32Matrix, rows: Rows, *, access: AccessFilter, fusion: FusionSettings
) -> FloatVector:
    """Score the candidates, each in both parts, so that one which only one of them found is not mistaken for a bad one.

    The other chunks of their documents are scored too. They are readable if the candidate is: a document has one ACL.
    """
    scored, groups = build.siblings.around(rows)
    dense = with_document_mean(build.vectors.scores(vector, scored), groups, share=fusion.dense_context)
    terms = build.lexical.term_scores(query, scored, access=access, k1=fusion.k1, b=fusion.b)
    lexical = with_document_terms(terms, groups, share=fusion.lexical_context)
    own = np.searchsorted(scored, rows)
    return convex(dense[own], lexical[own], dense_weight=fusion.dense_weight)


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
