"""FAISS on the CPU: exact inner product over memory-mapped rows, filtered inside the scan."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt, DependencyMissing, DimensionMismatch, UnsupportedFilter
from indexes.vectors import NOTHING, Found, Plan, VectorOptions

_ROUNDING = 1e-5
"""FAISS's sums differ in their last bits with a row's place in its batches, so equal rows need not tie there."""


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise DependencyMissing("faiss-cpu", extra="faiss") from error
    return faiss


class FaissBackend:
    """Builds and opens `IndexFlatIP` files."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        try:
            _faiss()
        except DependencyMissing as error:
            return str(error)
        return ""

    def build(self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector) -> None:
        faiss = _faiss()
        index = faiss.IndexFlatIP(dim)
        for vectors in blocks:
            index.add(np.ascontiguousarray(vectors, dtype=np.float32))
        faiss.write_index(index, str(path))

    def open(self, path: Path) -> FaissIndex:
        faiss = _faiss()
        try:
            return FaissIndex(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))
        except RuntimeError as error:
            raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error


class FaissIndex:
    """Exact search: recall is 1 at every selectivity, because the scan itself skips what may not be read."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._classes: Int32Vector | None = None
        self.dim: int = index.d

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def assign_classes(self, classes: Int32Vector) -> None:
        if len(classes) != len(self):
            raise BuildCorrupt(f"{len(classes)} ACL classes for {len(self)} rows")
        self._classes = classes

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """See `VectorIndex.search`. Cost: O(n_queries * n_readable * dim)."""
        if self._classes is None:
            raise UnsupportedFilter("this index was given no ACL classes, so it cannot tell what may be read")
        if queries.ndim != 2 or queries.shape[1] != self.dim:
            raise DimensionMismatch(f"queries have shape {queries.shape}, the index holds vectors of {self.dim}")
        mask = access.mask(self._classes)
        if where is not None:
            mask &= where
        readable = int(np.count_nonzero(mask))
        if not readable:
            return [NOTHING] * len(queries)
        return self._scan(queries, min(top_k, readable), mask, everything=readable == len(self))

    def _scan(self, queries: Float32Matrix, top_k: int, mask: BoolVector, *, everything: bool) -> list[Found]:
        faiss = _faiss()
        selector = None
        if not everything:
            bits = np.packbits(mask, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(mask), faiss.swig_ptr(bits))
        params = faiss.SearchParameters(sel=selector) if selector is not None else None
        return [self._best(query[None], top_k, int(np.count_nonzero(mask)), params) for query in queries]

    def _best(self, query: Float32Matrix, top_k: int, readable: int, params: Any) -> Found:
        """Take candidates until none that could tie with the last wanted one is left out, then score them alike."""
        wanted = top_k + 8
        while True:
            wanted = min(wanted, readable)
            scores, rows = self._index.search(np.ascontiguousarray(query), wanted, params=params)
            if wanted == readable or scores[0, -1] < scores[0, top_k - 1] - _ROUNDING:
                break
            wanted *= 2
        found = rows[0][rows[0] >= 0]
        exact = self.scores(query, found)
        order = np.lexsort((found, -exact))[:top_k]
        return Found(found[order], exact[order], Plan("exact", readable, readable))

    def norms(self) -> npt.NDArray[np.float32]:
        if not len(self):
            return np.empty(0, np.float32)
        vectors = self._index.reconstruct_n(0, len(self))
        return np.asarray(np.linalg.norm(vectors, axis=1), dtype=np.float32)

    def scores(self, query: Float32Matrix, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        if not len(rows):
            return np.empty(0, np.float32)
        vectors = self._index.reconstruct_batch(rows)
        # Row by row: in a matrix product equal rows may differ in the last bit.
        return np.asarray(np.clip(np.einsum("ij,j->i", vectors, query[0]), -1.0, 1.0), dtype=np.float32)
