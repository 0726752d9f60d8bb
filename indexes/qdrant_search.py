"""Filtered search over Qdrant's engine, in process or over the wire: candidates from the engine, rights and scores from here.

    rights --> rows wanted --(qdrant_filter)--> filter --> engine --> candidates --> checked, scored exactly, ordered

No candidate leaves unless this index's own rights admit it, whatever the engine says. Where some had to be dropped, or where more could tie
with the last one, the engine is asked for more, so that nothing is missing for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.qdrant_filter import Admitted, Layout, Rights, Wanted
from indexes.vectors import NOTHING, Found, Plan, RowScores, check_classes, check_search

Float32Vector = npt.NDArray[np.float32]

EXACT_ROWS = 20_000
"""Up to so many rows that pass the filter are scanned: cheaper than the graph, and recall is 1."""
_EF = 256
_EF_FILTERED = 2048
"""Beam width beyond, where a filter keeps rows out: for queries whose topic may not be read 256 finds 0.94 of the ten best (eval/LOG.md)."""
_GRAPH_DEPTH = 4096
_MARGIN = 8
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class SparseQuery:
    """Numbers of terms, ascending, and their weights."""

    terms: Int64Vector
    weights: Float32Vector


@dataclass(frozen=True, slots=True)
class Request:
    """One question to the engine. `ef` 0 means no graph: every point that the filter lets pass is looked at."""

    query: Float32Vector | SparseQuery
    admitted: Admitted
    limit: int
    ef: int


class Searches(Protocol):
    """Qdrant, as it is asked for candidates. Points are numbered as the build's rows are."""

    def search(self, requests: list[Request]) -> list[RowScores]:
        """Return the best points of each request, best first; scores may differ from the exact ones in their last bits."""


class Engine(Searches, Protocol):
    """Qdrant, holding dense vectors."""

    def vectors(self, rows: Int64Vector) -> Float32Matrix:
        """Return the stored vectors of the rows, in their order."""


class QdrantIndex:
    """One build's vectors in a Qdrant engine."""

    def __init__(self, engine: Engine, *, dim: int, built_classes: Int32Vector) -> None:
        self.dim = dim
        self._engine = engine
        self._rows = len(built_classes)
        self._layout = Layout(built_classes)
        self._rights: Rights | None = None

    def __len__(self) -> int:
        return self._rows

    def assign_classes(self, classes: Int32Vector) -> None:
        check_classes(classes, len(self))
        self._rights = Rights(classes, self._layout)

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """See `VectorIndex.search`. One request for the whole batch, and another for the queries that need more candidates."""
        rights = self._rights
        check_search(queries, self.dim, None if rights is None else rights.classes, where)
        assert rights is not None
        wanted = rights.wanted(access, where)
        if not wanted.count:
            return [NOTHING] * len(queries)
        scan = wanted.admitted.passing <= EXACT_ROWS
        answers = candidates(self._engine, list(queries), min(top_k, wanted.count), wanted, self._layout, scan=scan)
        plan = Plan("scan" if scan else "graph", wanted.count, wanted.admitted.passing if scan else -1)
        return [Found(rows, scores, plan) for rows, scores in self._score(queries, answers, top_k)]

    def scores(self, query: Float32Matrix, rows: Int64Vector) -> Float32Vector:
        if not len(rows):
            return np.empty(0, np.float32)
        return _inner(self._engine.vectors(rows), query[0])

    def norms(self) -> Float32Vector:
        blocks = [np.arange(at, min(at + 4096, len(self)), dtype=np.int64) for at in range(0, len(self), 4096)]
        lengths = [np.linalg.norm(self._engine.vectors(block), axis=1).astype(np.float32) for block in blocks]
        return np.concatenate(lengths) if lengths else np.empty(0, np.float32)

    def _score(self, queries: Float32Matrix, answers: list[Int64Vector], top_k: int) -> Iterator[RowScores]:
        """Score each query's candidates from their vectors, which are fetched once for the batch, and order them."""
        rows = np.unique(np.concatenate(answers)) if answers else np.empty(0, np.int64)
        vectors = self._engine.vectors(rows)
        for query, found in zip(queries, answers, strict=True):
            scores = _inner(vectors[np.searchsorted(rows, found)], query)
            order = np.lexsort((found, -scores))[:top_k]
            yield found[order], scores[order]


def candidates(
    engine: Searches,
    queries: Sequence[Float32Vector | SparseQuery],
    top_k: int,
    wanted: Wanted,
    layout: Layout,
    *,
    scan: bool,
) -> list[Int64Vector]:
    """Return, for each query, wanted rows among which the best `top_k` are, up to the engine's recall.

    Args:
        wanted: at least one row.
        scan: look at every row that passes the filter; otherwise go through the graph first.
    """
    answers: list[Int64Vector] = [np.empty(0, np.int64)] * len(queries)
    admitted, unsettled = wanted.admitted, list(range(len(queries)))
    limit = (top_k + _MARGIN) * admitted.passing // wanted.count
    while unsettled:
        limit = min(limit, len(wanted.mask))
        ef = 0 if scan else max(limit, _EF if admitted.passing == len(wanted.mask) else _EF_FILTERED)
        found = engine.search([Request(queries[number], admitted, limit, ef) for number in unsettled])
        again, dry = [], False
        for number, (rows, scores) in zip(unsettled, found, strict=True):
            kept = wanted.mask[rows]
            answers[number] = rows[kept]
            short = len(rows) < limit
            if not _settled(scores, kept, top_k, wanted.count, all_seen=short and scan):
                again.append(number)
                dry = dry or short
        if (
            admitted.passing > wanted.count
        ):  # too many had to be dropped: far down its list a graph is not to be trusted
            admitted = layout.admit(wanted.mask, named=None)
            scan = scan or wanted.count <= EXACT_ROWS
        # A graph that ran dry, or so deep a question to it, is no better than a scan.
        unsettled, scan, limit = again, scan or dry or limit > _GRAPH_DEPTH, limit * 4
    return answers


def _settled(scores: Float32Vector, kept: BoolVector, top_k: int, count: int, *, all_seen: bool) -> bool:
    """Can no row that was not returned be among the best `top_k`, by the engine's scores? `scores` descend."""
    found = int(np.count_nonzero(kept))
    if all_seen or found == count:
        return True
    return found >= top_k and bool(scores[-1] < scores[kept][top_k - 1] - _ROUNDING)


def _inner(vectors: Float32Matrix, query: Float32Vector) -> Float32Vector:
    # Row by row: in a matrix product equal rows may differ in the last bit.
    return np.asarray(np.clip(np.einsum("ij,j->i", vectors, query), -1.0, 1.0), dtype=np.float32)
