"""Qdrant through its client: a server or a cluster where `qdrant_url` is set, qdrant-client's local mode for small data where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from indexes.access import Int32Vector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.errors import DependencyMissing
from indexes.qdrant_pointer import Pointer
from indexes.qdrant_search import QdrantIndex, Request
from indexes.qdrant_store import (
    ENGINE,
    Store,
    open_collection,
    point_filter,
    remove_collection,
    unavailable,
    write_collection,
)
from indexes.vectors import RowScores, VectorOptions

if TYPE_CHECKING:
    from qdrant_client.models import Batch, VectorParams

_BATCH_FLOATS = 200_000
"""In one upsert or retrieval: some megabytes of JSON, far below the server's limit of 32."""
_BATCH_QUERIES = 64


class QdrantBackend:
    """Builds and opens collections."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        return unavailable()

    def build(self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector) -> None:
        """See `VectorBackend.build`. A server goes on building its graph afterwards; until then it scans."""
        write_collection(path, self._options, dim, _batches(blocks, dim, classes), classes, vectors_config=_schema(dim))

    def open(self, path: Path) -> QdrantIndex:
        dim = Pointer.finished(path, ENGINE).dim
        store, classes = open_collection(path, self._options, vectors_config=_schema(dim))
        return QdrantIndex(_ClientEngine(store, dim), dim=dim, built_classes=classes)

    def remove(self, path: Path) -> None:
        """See `Detached.remove`."""
        remove_collection(path, self._options)


def _schema(dim: int) -> VectorParams:
    try:
        from qdrant_client.models import Distance, VectorParams
    except ImportError as error:
        raise DependencyMissing("qdrant-client", extra="qdrant") from error
    return VectorParams(size=dim, distance=Distance.DOT)


def _batches(blocks: Iterable[Float32Matrix], dim: int, classes: Int32Vector) -> Iterator[Batch]:
    from qdrant_client import models

    start, size = 0, max(1, _BATCH_FLOATS // dim)
    for block in blocks:
        for at in range(0, len(block), size):
            vectors = block[at : at + size]
            rows = range(start, start + len(vectors))
            payloads = [{"acl": acl} for acl in classes[rows.start : rows.stop].tolist()]
            yield models.Batch(ids=list(rows), vectors=vectors.tolist(), payloads=payloads)
            start = rows.stop


class _ClientEngine:
    """Asks a collection."""

    def __init__(self, store: Store, dim: int) -> None:
        self._store = store
        self._dim = dim

    def search(self, requests: list[Request]) -> list[RowScores]:
        from qdrant_client import models

        filters = {id(request.admitted): point_filter(request.admitted) for request in requests}
        queries = [
            models.QueryRequest(
                query=request.query.tolist(),
                filter=filters[id(request.admitted)],
                limit=request.limit,
                params=models.SearchParams(exact=not request.ef, hnsw_ef=request.ef or None),
            )
            for request in requests
        ]
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

    def vectors(self, rows: Int64Vector) -> Float32Matrix:
        wanted, back = np.unique(rows, return_inverse=True)
        vectors = np.empty((len(wanted), self._dim), np.float32)
        size = max(1, _BATCH_FLOATS // self._dim)
        for at in range(0, len(wanted), size):
            ids = wanted[at : at + size].tolist()
            records = self._store.call(
                self._store.client.retrieve, self._store.name, ids, with_payload=False, with_vectors=True
            )
            found = {record.id: record.vector for record in records}
            vectors[at : at + size] = np.array([found[row] for row in ids], np.float32)
        return vectors[back]
