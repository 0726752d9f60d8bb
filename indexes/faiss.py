"""Filtered search on the CPU: exact over few readable rows, over many by FAISS's product codes with exact scores for the best.

    vectors.index/header.json     sizes, and what was learned from
                  rows.f32        the rows, those of one ACL class together; memory-mapped
                  row_of.npy      position -> row
                  codes.npy ...   what `CodedRows` is made of, where there are enough rows for it to pay

An index is immutable, so a reader never meets a writer. One that differs a little from another takes over what that one has learned and coded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.coded_files import CodedBase, Learning, load_array, load_arrays, open_coded, write_coded
from indexes.coded_rows import CodedRows
from indexes.errors import BuildCorrupt, DependencyMissing
from indexes.product_codes import faiss_module, omp_threads
from indexes.readable import ReadableCache, ReadableRows
from indexes.stored_rows import StoredRows
from indexes.vectors import NOTHING, Base, Found, Plan, VectorOptions, check_classes, check_search

CODED_FROM = 20_000
"""Rows from which on an index has codes."""
EXACT_ROWS = 3000
"""Readable rows up to which scoring all of them exactly is as fast as anything else."""


_CODING = 2


class FaissBackend:
    """Writes and opens indexes."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        try:
            faiss_module()
        except DependencyMissing as error:
            return str(error)
        return ""

    def build(
        self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector, base: Base | None = None
    ) -> None:
        """See `VectorBackend.build`. Cost: for a million rows about a minute; with most of them in `base` some seconds."""
        path.mkdir(parents=True)
        row_of = np.argsort(classes, kind="stable").astype(np.int32)
        _write_rows(blocks, path / "rows.f32", dim, _inverse(row_of))
        np.save(path / "row_of.npy", row_of)
        header: dict[str, Any] = {"dim": dim, "rows": len(row_of), "coding": _CODING, "learning": None}
        if len(row_of) >= CODED_FROM:
            rows = np.memmap(path / "rows.f32", dtype="<f4", mode="r", shape=(len(row_of), dim))
            header["learning"] = asdict(write_coded(rows, classes[row_of], path, _coded_base(base, dim, row_of)))
        (path / "header.json").write_text(json.dumps(header), "utf-8")

    def open(self, path: Path) -> FaissIndex:
        if path.is_file():
            return FaissIndex.of_flat_file(path)
        try:
            header = json.loads((path / "header.json").read_text("utf-8"))
            rows = StoredRows.open(path / "rows.f32", header["rows"], header["dim"])
            row_of = load_array(path, "row_of", header["rows"])
            coded = open_coded(rows, row_of, path) if _has_codes(header) else None
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error
        return FaissIndex(rows, row_of, header["dim"], coded)


class FaissIndex:
    """See `VectorIndex`. Recall is 1 up to EXACT_ROWS readable rows, above it what `indexes/coded_rows.py` promises."""

    def __init__(self, rows: StoredRows, row_of: Int32Vector, dim: int, coded: CodedRows | None = None) -> None:
        self.dim = dim
        self._rows, self._row_of, self._coded = rows, row_of, coded
        self._position_of = _inverse(row_of)
        self._rights: tuple[Int32Vector, ReadableCache] | None = None

    @classmethod
    def of_flat_file(cls, path: Path) -> FaissIndex:
        """Open FAISS's own flat file, as earlier versions wrote it."""
        faiss = faiss_module()
        try:
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        except RuntimeError as error:
            raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error
        rows = index.reconstruct_n(0, index.ntotal) if index.ntotal else np.empty((0, index.d), np.float32)
        return cls(StoredRows(rows), np.arange(index.ntotal, dtype=np.int32), index.d)

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def code_bytes(self) -> int:
        """Bytes of memory that codes take beside the files."""
        return self._coded.n_bytes if self._coded else 0

    def assign_classes(self, classes: Int32Vector) -> None:
        check_classes(classes, len(self))
        self._rights = classes[self._row_of], ReadableCache()

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """See `VectorIndex.search`. Cost: about 3 ns a readable row; less where they are many."""
        readable = self._readable(queries, access, where)
        if not readable.count:
            return [NOTHING] * len(queries)
        with omp_threads(1) as threads:
            return self._search(queries, readable, min(top_k, readable.count), threads)

    def _search(self, queries: Float32Matrix, readable: ReadableRows, top_k: int, threads: int) -> list[Found]:
        if self._coded is None or readable.count <= max(EXACT_ROWS, 4 * top_k):
            return self._exact(queries, readable, top_k)
        queries = np.ascontiguousarray(queries, np.float32)
        best = self._coded.best(queries, readable, top_k, threads=threads)
        rows, scores = self._row_of[best.positions].astype(np.int64), _cosines(best.scores)
        return [
            Found(rows[number], scores[number], Plan(best.plans[number], readable.count, best.scanned[number]))
            if complete
            else self._exact(queries[number, None], readable, top_k)[0]
            for number, complete in enumerate(best.complete)
        ]

    def exact(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """As `search`, without any approximation; to measure recall by. Cost: O(n_queries * n_readable * dim)."""
        readable = self._readable(queries, access, where)
        return (
            self._exact(queries, readable, min(top_k, readable.count)) if readable.count else [NOTHING] * len(queries)
        )

    def scores(self, query: Float32Matrix, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        positions = self._position_of[rows].astype(np.int64)
        with omp_threads(1):  # threads would wait for one another longer than they work
            return _cosines(self._rows.scores(np.ascontiguousarray(query[:1], np.float32), positions[None])[0])

    def norms(self) -> npt.NDArray[np.float32]:
        return self._rows.norms()[self._position_of]

    def _readable(self, queries: Float32Matrix, access: AccessFilter, where: BoolVector | None) -> ReadableRows:
        assigned, kept = self._rights or (None, ReadableCache())
        classes = check_search(queries, self.dim, assigned, where)
        if where is None:
            return kept.get(access, None, lambda: ReadableRows(access.mask(classes)))
        return kept.get(access, where, lambda: ReadableRows(access.mask(classes) & where[self._row_of]))

    def _exact(self, queries: Float32Matrix, readable: ReadableRows, top_k: int) -> list[Found]:
        queries = np.ascontiguousarray(queries, np.float32)
        positions, scores = self._rows.best(queries, readable.positions, self._row_of, top_k)
        rows, scores = self._row_of[positions].astype(np.int64), _cosines(scores)
        plan = Plan("exact", readable.count, readable.count)
        return [Found(rows[number], scores[number], plan) for number in range(len(queries))]


def _cosines(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Rounding may lift the product of two unit vectors above 1."""
    return np.minimum(np.maximum(scores, -1.0), 1.0)


def _inverse(row_of: Int32Vector) -> Int32Vector:
    position_of = np.empty_like(row_of)
    position_of[row_of] = np.arange(len(row_of), dtype=np.int32)
    return position_of


def _write_rows(blocks: Iterable[Float32Matrix], path: Path, dim: int, position_of: Int32Vector) -> None:
    if not len(position_of):
        path.touch()
        return
    stored = np.memmap(path, dtype="<f4", mode="w+", shape=(len(position_of), dim))
    done = 0
    for block in blocks:
        stored[position_of[done : done + len(block)]] = block
        done += len(block)
    if done != len(position_of):
        raise BuildCorrupt(f"{done} vectors for {len(position_of)} rows; ingest again with --full")
    stored.flush()


def _has_codes(header: dict[str, Any]) -> bool:
    """Codes of another kind are left alone: the index is searched exactly until the next build."""
    return header["learning"] is not None and header.get("coding") == _CODING


def _coded_base(base: Base | None, dim: int, row_of: Int32Vector) -> CodedBase | None:
    """Open the arrays of the index that is built on; None where it has none, or none that can be read."""
    if base is None:
        return None
    try:
        header = json.loads((base.path / "header.json").read_text("utf-8"))
        if not _has_codes(header) or header["dim"] != dim:
            return None
        rows = StoredRows.open(base.path / "rows.f32", header["rows"], dim)
        position_of = _inverse(load_array(base.path, "row_of", len(rows)))
        there = base.rows[row_of]
        positions = np.where(there < 0, -1, position_of[there]).astype(np.int64)
        return CodedBase(load_arrays(base.path, len(rows)), rows, Learning(**header["learning"]), positions)
    except (OSError, ValueError, KeyError, TypeError, EOFError, BuildCorrupt):
        return None  # what is damaged is of no use; this index is then made from its rows alone
