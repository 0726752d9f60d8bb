"""Qdrant through its client: a server or a cluster where `qdrant_url` is set, qdrant-client's local mode for small data where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from indexes.access import Int32Vector
from indexes.arrays import Float32Matrix
from indexes.errors import DependencyMissing
from indexes.qdrant_engine import BATCH_FLOATS, ClientEngine
from indexes.qdrant_pointer import Pointer
from indexes.qdrant_search import QdrantIndex
from indexes.qdrant_store import (
    ENGINE,
    open_collection,
    unavailable,
    write_collection,
)
from indexes.vectors import Base, VectorOptions

if TYPE_CHECKING:
    from qdrant_client.models import Batch, VectorParams


class QdrantBackend:
    """Builds and opens collections."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        return unavailable(self._options)

    def build(
        self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector, base: Base | None = None
    ) -> None:
        """See `VectorBackend.build`. A server goes on building its graph afterwards; until then it scans."""
        write_collection(path, self._options, dim, _batches(blocks, dim, classes), classes, vectors_config=_schema(dim))

    def open(self, path: Path) -> QdrantIndex:
        dim = Pointer.finished(path, ENGINE).dim
        store, classes = open_collection(path, self._options, vectors_config=_schema(dim))
        return QdrantIndex(ClientEngine(store, dim=dim), dim=dim, built_classes=classes)


def _schema(dim: int) -> VectorParams:
    try:
        from qdrant_client.models import Distance, VectorParams
    except ImportError as error:
        raise DependencyMissing("qdrant-client", extra="qdrant") from error
    return VectorParams(size=dim, distance=Distance.DOT)


def _batches(blocks: Iterable[Float32Matrix], dim: int, classes: Int32Vector) -> Iterator[Batch]:
    from qdrant_client import models

    start, size = 0, max(1, BATCH_FLOATS // dim)
    for block in blocks:
        for at in range(0, len(block), size):
            vectors = block[at : at + size]
            rows = range(start, start + len(vectors))
            payloads = [{"acl": acl} for acl in classes[rows.start : rows.stop].tolist()]
            yield models.Batch(ids=list(rows), vectors=vectors.tolist(), payloads=payloads)
            start = rows.stop
