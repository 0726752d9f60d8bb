"""The engines that are compared, each asked one query at a time on one thread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from eval.bench.filtered.world import Asked, Rights, World
from indexes.access import BoolVector
from indexes.faiss import FaissBackend, FaissIndex
from indexes.product_codes import faiss_module
from indexes.vectors import VectorOptions

Rows = npt.NDArray[np.int64]

TOP_K = 10
_BEAMS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 512, 1024)


class Engine(Protocol):
    """Something that finds the nearest readable rows. Settings are tried in turn; the fastest that is good enough counts."""

    name: str
    build_s: float
    bytes_per_vector: float

    def ladders(self, share: float) -> list[list[Mapping[str, Any]]]:
        """Settings to try, each ladder from fast to thorough."""

    def prepare(self, rights: Rights, asked: Asked) -> Any:
        """What one person's queries have in common, made once for each of them."""

    def search(self, prepared: Any, query: npt.NDArray[np.float32], setting: Mapping[str, Any]) -> Rows: ...


class Loremill:
    """Our index, laid out by each of the two ways of giving rights; its build time is that of one."""

    name = "loremill"

    def __init__(self, world: World, folder: Path) -> None:
        backend = FaissBackend(VectorOptions())
        self._indexes: dict[str, FaissIndex] = {}
        for layout in (Rights.UNCORRELATED, Rights.POSITIVE):
            path = folder / f"loremill-{layout}"
            started = time.perf_counter()
            backend.build([world.rows], world.rows.shape[1], path, classes=world.classes(layout))
            self.build_s = time.perf_counter() - started
            started = time.perf_counter()
            index = backend.open(path)
            self.open_s = time.perf_counter() - started
            index.assign_classes(world.classes(layout))
            self._indexes[layout] = index
        self._indexes[Rights.NEGATIVE] = self._indexes[Rights.POSITIVE]
        self.bytes_per_vector = (_bytes(path) + index.code_bytes) / len(world.rows)

    def index(self, rights: Rights) -> FaissIndex:
        return self._indexes[rights]

    def ladders(self, share: float) -> list[list[Mapping[str, Any]]]:
        return [[{}]]

    def prepare(self, rights: Rights, asked: Asked) -> Any:
        return self._indexes[rights], asked

    def search(self, prepared: Any, query: npt.NDArray[np.float32], setting: Mapping[str, Any]) -> Rows:
        index, asked = prepared
        rows: Rows = index.search(query[None], top_k=TOP_K, access=asked.access, where=asked.where)[0].rows
        return rows


class Exact:
    """The same rows, every readable one scored: what recall is measured against."""

    name = "exact"
    build_s = 0.0

    def __init__(self, loremill: Loremill, dim: int) -> None:
        self._loremill, self.bytes_per_vector = loremill, 4.0 * dim

    def ladders(self, share: float) -> list[list[Mapping[str, Any]]]:
        return [[{}]]

    def prepare(self, rights: Rights, asked: Asked) -> Any:
        return self._loremill.index(rights), asked

    def search(self, prepared: Any, query: npt.NDArray[np.float32], setting: Mapping[str, Any]) -> Rows:
        index, asked = prepared
        rows: Rows = index.exact(query[None], top_k=TOP_K, access=asked.access, where=asked.where)[0].rows
        return rows


class FaissGraph:
    """FAISS's HNSW, m 16, ef_construction 100, behind an IDSelectorBitmap."""

    name = "faiss hnsw"

    def __init__(self, world: World) -> None:
        faiss = faiss_module()
        self._faiss, self._world = faiss, world
        self._index = faiss.IndexHNSWFlat(world.rows.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
        self._index.hnsw.efConstruction = 100
        started = time.perf_counter()
        self._index.add(world.rows)
        self.build_s = time.perf_counter() - started
        links = self._index.hnsw.neighbors.size() * 4
        self.bytes_per_vector = links / len(world.rows) + 4 * world.rows.shape[1]

    def ladders(self, share: float) -> list[list[Mapping[str, Any]]]:
        return [[{"ef": beam} for beam in _BEAMS]]

    def prepare(self, rights: Rights, asked: Asked) -> Any:
        mask = readable(self._world, rights, asked)
        if mask.all():
            return None, None
        bits = np.packbits(mask, bitorder="little")
        return self._faiss.IDSelectorBitmap(len(mask), self._faiss.swig_ptr(bits)), bits

    def search(self, prepared: Any, query: npt.NDArray[np.float32], setting: Mapping[str, Any]) -> Rows:
        options = self._faiss.SearchParametersHNSW(efSearch=setting["ef"], sel=prepared[0])
        rows: Rows = self._index.search(query[None], TOP_K, params=options)[1][0]
        return rows


class QdrantEdge:
    """Qdrant's engine in this process: m 16, ef_construct 100, MatchAny on an indexed integer."""

    name = "qdrant-edge"

    def __init__(self, world: World, folder: Path) -> None:
        import qdrant_edge as qdrant

        self._qdrant = qdrant
        folder.mkdir()
        graph = qdrant.HnswIndexConfig(m=16, ef_construct=100, full_scan_threshold=10_000)
        config = qdrant.EdgeConfig(
            vectors=qdrant.EdgeVectorParams(size=world.rows.shape[1], distance=qdrant.Distance.Dot),
            hnsw_config=graph,
            optimizers=qdrant.EdgeOptimizersConfig(default_segment_number=1),
            max_search_threads=1,
            wal_enabled=False,
        )
        started = time.perf_counter()
        self._shard = qdrant.EdgeShard.create(str(folder), config)
        for field in ("scattered", "by_topic", "where"):
            self._shard.update(qdrant.UpdateOperation.create_field_index(field, qdrant.PayloadSchemaType.Integer))
        where = world.where.astype(int)
        for first in range(0, len(world.rows), 5000):
            points = [
                qdrant.Point(
                    row,
                    world.rows[row].tolist(),
                    {
                        "scattered": int(world.scattered[row]),
                        "by_topic": int(world.by_topic[row]),
                        "where": int(where[row]),
                    },
                )
                for row in range(first, min(first + 5000, len(world.rows)))
            ]
            self._shard.update(qdrant.UpdateOperation.upsert_points(points))
        self._shard.optimize()
        self._shard.flush()
        self.build_s = time.perf_counter() - started
        self.bytes_per_vector = _bytes(folder) / len(world.rows)

    def ladders(self, share: float) -> list[list[Mapping[str, Any]]]:
        plain: list[Mapping[str, Any]] = [{"ef": beam, "acorn": False} for beam in _BEAMS]
        acorn: list[Mapping[str, Any]] = [{"ef": beam, "acorn": True} for beam in _BEAMS]
        return [plain] if share == 1.0 else [plain, acorn]

    def prepare(self, rights: Rights, asked: Asked) -> Any:
        qdrant = self._qdrant
        field = "scattered" if rights is Rights.UNCORRELATED else "by_topic"
        must = [qdrant.FieldCondition(key=field, match=qdrant.MatchAny(any=sorted(asked.access.classes)))]
        if asked.where is not None:
            must.append(qdrant.FieldCondition(key="where", match=qdrant.MatchAny(any=[1])))
        return qdrant.Filter(must=must)

    def search(self, prepared: Any, query: npt.NDArray[np.float32], setting: Mapping[str, Any]) -> Rows:
        qdrant = self._qdrant
        acorn = qdrant.AcornSearchParams(enable=True, max_selectivity=1.0) if setting["acorn"] else None
        found = self._shard.search(
            qdrant.SearchRequest(
                qdrant.Query.Nearest(query.tolist()),
                TOP_K,
                filter=prepared,
                params=qdrant.SearchParams(hnsw_ef=setting["ef"], acorn=acorn),
            )
        )
        return np.array([point.id for point in found], np.int64)


def readable(world: World, rights: Rights, asked: Asked) -> BoolVector:
    """Return the mask of the rows that pass both filters."""
    mask = asked.access.mask(world.classes(rights))
    return mask if asked.where is None else mask & asked.where


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
