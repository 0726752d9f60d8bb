"""What the vector and the lexical index ask of a collection, through qdrant-client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.arrays import Float32Matrix, Int64Vector
from indexes.errors import BuildCorrupt
from indexes.qdrant_filter import Admitted
from indexes.qdrant_search import Float32Vector, Request, SparseQuery
from indexes.qdrant_store import Store, point_filter
from indexes.vectors import RowScores

if TYPE_CHECKING:
    from qdrant_client.models import QueryRequest, Record

BATCH_FLOATS = 200_000
"""In one upsert or retrieval: some megabytes of JSON, far below the server's limit of 32."""
_BATCH_QUERIES = 64
_BATCH_ROWS = 512


class ClientEngine:
    """Asks a collection. `using` names its vectors where they are sparse, `dim` is their length where they are dense."""

    def __init__(self, store: Store, *, dim: int = 0, using: str | None = None) -> None:
        self._store = store
        self._dim = dim
        self._using = using

    def search(self, requests: list[Request]) -> list[RowScores]:
        filters = {id(request.admitted): point_filter(request.admitted) for request in requests}
        queries = [self._query(request, filters[id(request.admitted)]) for request in requests]
        answers = []
        for at in range(0, len(queries), _BATCH_QUERIES):
            batch = queries[at : at + _BATCH_QUERIES]
            answers += self._store.call(self._store.client.query_batch_points, self._store.name, batch)
        return [
            (
                np.array([point.id for point in answer.points], np.int64),
                np.array([point.score for point in answer.points], np.float32),
            )
            for answer in answers
        ]

    def _query(self, request: Request, passing: Any) -> QueryRequest:
        from qdrant_client import models

        query: Any = request.query
        params = None
        if isinstance(query, SparseQuery):
            query = models.SparseVector(indices=query.terms.tolist(), values=query.weights.tolist())
        else:
            query = query.tolist()
            if self._store.remote:  # local mode always scans, and warns of any wish
                params = models.SearchParams(exact=not request.ef, hnsw_ef=request.ef or None)
        return models.QueryRequest(query=query, using=self._using, filter=passing, limit=request.limit, params=params)

    def vectors(self, rows: Int64Vector) -> Float32Matrix:
        """Return the dense vectors of the rows, in their order."""
        wanted, back = np.unique(rows, return_inverse=True)
        vectors = np.empty((len(wanted), self._dim), np.float32)
        size = max(1, BATCH_FLOATS // self._dim)
        for at in range(0, len(wanted), size):
            records = self._retrieve(wanted[at : at + size])
            vectors[at : at + size] = np.array([record.vector for record in records], np.float32)
        return vectors[back]

    def sparse_vectors(self, rows: Int64Vector) -> list[tuple[Int64Vector, Float32Vector]]:
        """Return the sparse vectors of the rows, in their order: numbers of terms and their weights."""
        vectors = []
        for at in range(0, len(rows), _BATCH_ROWS):
            for record in self._retrieve(rows[at : at + _BATCH_ROWS]):
                held: Any = record.vector
                sparse = held[self._using]
                vectors.append((np.array(sparse.indices, np.int64), np.array(sparse.values, np.float32)))
        return vectors

    def _retrieve(self, rows: Int64Vector) -> list[Record]:
        ids = rows.tolist()
        client, name = self._store.client, self._store.name
        records = self._store.call(client.retrieve, name, ids, with_payload=False, with_vectors=True)
        found = {int(record.id): record for record in records}
        if lost := [row for row in ids if row not in found]:
            raise BuildCorrupt(f"Qdrant has lost {len(lost)} rows of {name}; ingest again with --full")
        return [found[row] for row in ids]

    def count(self, admitted: Admitted, *, term: int) -> int:
        """Count the points that pass and hold the term."""
        from qdrant_client import models

        holding = models.FieldCondition(key="terms", match=models.MatchValue(value=term))
        return self._store.count(admitted, holding)
