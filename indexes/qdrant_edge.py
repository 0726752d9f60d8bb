"""Qdrant's own engine in this process (qdrant-edge-py): the rows lie in a shard, a folder inside the build.

A shard that keeps a write-ahead log is locked by whoever opens it. Builds never change once they are written, so theirs keep none, and any
number of processes open one at once: each through a folder of its own, which holds a copy of the small file that opening rewrites and a
link to the segments.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.access import Int32Vector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.errors import BuildCorrupt, DependencyMissing, IndexBackendError
from indexes.qdrant_filter import Admitted
from indexes.qdrant_pointer import Pointer, read_classes, write_classes
from indexes.qdrant_search import EXACT_ROWS, QdrantIndex, Request
from indexes.vectors import Base, RowScores, VectorOptions

if TYPE_CHECKING:
    from qdrant_edge import EdgeShard, Filter

_ENGINE = "qdrant-edge"
_BATCH = 2048
_CONFIG = "edge_config.json"


class EdgeBackend:
    """Builds and opens shards."""

    def __init__(self, options: VectorOptions) -> None:
        pass

    def unavailable(self) -> str:
        try:
            import qdrant_edge  # noqa: F401
        except ImportError:
            return str(DependencyMissing("qdrant-edge-py", extra="edge"))
        return ""

    def build(
        self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector, base: Base | None = None
    ) -> None:
        """See `VectorBackend.build`. The graph is built before this returns; up to `EXACT_ROWS` rows there is none."""
        qdrant = _package()
        pointer = Pointer(_ENGINE, path.name + ".shard", dim)
        pointer.write(path)
        folder = path.with_name(pointer.name)
        folder.mkdir()
        optimizers = qdrant.EdgeOptimizersConfig(
            default_segment_number=1, indexing_threshold=max(1, EXACT_ROWS * dim * 4 // 1024)
        )
        vectors = qdrant.EdgeVectorParams(size=dim, distance=qdrant.Distance.Dot)
        try:
            shard = qdrant.EdgeShard.create(
                str(folder), qdrant.EdgeConfig(vectors=vectors, optimizers=optimizers, wal_enabled=False)
            )
            shard.update(qdrant.UpdateOperation.create_field_index("acl", qdrant.PayloadSchemaType.Integer))
            rows = sum(_add(shard, start, batch, classes) for start, batch in _batches(blocks))
            shard.optimize()
            shard.flush()
            shard.close()
            qdrant.EdgeShard.load(str(folder)).close()  # applies its journals: opening it again changes no file
        except Exception as error:  # the engine raises nothing narrower
            raise IndexBackendError(f"the vectors could not be written: {error}") from error
        write_classes(path, classes)
        Pointer(_ENGINE, pointer.name, dim, rows).write(path)

    def open(self, path: Path) -> QdrantIndex:
        pointer = Pointer.finished(path, _ENGINE)
        classes = read_classes(path, pointer)
        engine = _EdgeEngine(path.with_name(pointer.name), pointer.dim)
        if (found := len(engine)) != pointer.rows:
            raise BuildCorrupt(f"{path.name} promises {pointer.rows} rows and holds {found}; ingest again with --full")
        return QdrantIndex(engine, dim=pointer.dim, built_classes=classes)


class _EdgeEngine:
    """A shard, opened for reading."""

    def __init__(self, folder: Path, dim: int) -> None:
        qdrant = _package()
        own = Path(tempfile.mkdtemp(prefix="loremill-shard-"))
        try:
            shutil.copy(folder / _CONFIG, own)
            (own / "segments").symlink_to((folder / "segments").resolve(strict=True))
            self._shard: EdgeShard = qdrant.EdgeShard.load(str(own))
        except Exception as error:  # the engine raises nothing narrower
            shutil.rmtree(own, ignore_errors=True)
            raise BuildCorrupt(f"{folder.name} cannot be opened: {error}; ingest again with --full") from error
        weakref.finalize(self, shutil.rmtree, own, ignore_errors=True)
        self._dim = dim

    def __len__(self) -> int:
        return self._shard.count(_package().CountRequest(exact=True))

    def search(self, requests: list[Request]) -> list[RowScores]:
        qdrant = _package()
        filters = {id(request.admitted): _filter(request.admitted) for request in requests}
        queries = [
            qdrant.QueryRequest(
                query=qdrant.Query.Nearest(np.asarray(request.query).tolist()),
                limit=request.limit,
                filter=filters[id(request.admitted)],
                params=qdrant.SearchParams(exact=not request.ef, hnsw_ef=request.ef or None),
            )
            for request in requests
        ]
        try:
            answers = self._shard.query_batch(qdrant.QueryBatchRequest(queries))
        except Exception as error:  # the engine raises nothing narrower
            raise IndexBackendError(f"the search in the shard failed: {error}") from error
        return [
            (
                np.fromiter((point.id for point in points), np.int64, len(points)),
                np.fromiter((point.score for point in points), np.float32, len(points)),
            )
            for points in answers
        ]

    def vectors(self, rows: Int64Vector) -> Float32Matrix:
        vectors = np.empty((len(rows), self._dim), np.float32)
        if len(rows):
            wanted, back = np.unique(rows, return_inverse=True)
            found = {record.id: record.vector for record in self._shard.retrieve(wanted.tolist(), False, True)}
            vectors = np.array([found[row] for row in wanted.tolist()], np.float32)[back]
        return vectors


def _package() -> Any:
    try:
        import qdrant_edge
    except ImportError as error:
        raise DependencyMissing("qdrant-edge-py", extra="edge") from error
    return qdrant_edge


def _batches(blocks: Iterable[Float32Matrix]) -> Iterator[tuple[int, Float32Matrix]]:
    """The rows a few thousand at a time, each batch with the number of its first row."""
    start = 0
    for block in blocks:
        for at in range(0, len(block), _BATCH):
            batch = block[at : at + _BATCH]
            yield start, batch
            start += len(batch)


def _add(shard: EdgeShard, start: int, vectors: Float32Matrix, classes: Int32Vector) -> int:
    qdrant = _package()
    points = [
        qdrant.Point(start + at, vector, {"acl": acl})
        for at, (vector, acl) in enumerate(zip(vectors.tolist(), classes[start:].tolist(), strict=False))
    ]
    shard.update(qdrant.UpdateOperation.upsert_points(points))
    return len(points)


def _filter(admitted: Admitted) -> Filter:
    qdrant = _package()
    by_class: Filter = qdrant.Filter(
        must=[qdrant.FieldCondition("acl", match=qdrant.MatchAny(list(admitted.classes)))],
        must_not=[qdrant.HasIdCondition(set(admitted.without.tolist()))] if len(admitted.without) else None,
    )
    if not len(admitted.rows):
        return by_class
    named = qdrant.HasIdCondition(set(admitted.rows.tolist()))
    either: Filter = qdrant.Filter(should=[named, by_class] if admitted.classes else [named])
    return either
