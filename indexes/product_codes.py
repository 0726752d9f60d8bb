"""Rows as 4-bit product codes, and lists of them that are scanned with SIMD table look-ups.

A code takes a quarter byte a dimension, a 24th of float32; a scan reads 32 codes at a time. Source: Andre, Kermarrec and Le Scouarnec,
"Quicker ADC" (arXiv:1812.09162), as implemented by FAISS. Estimates are good to some hundredths, so the best are scored again exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.errors import DependencyMissing

Codes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]

_TRAINING_ROWS = 16_384
_SEED = 20261122


def faiss_module() -> Any:
    """Import FAISS.

    Raises:
        DependencyMissing: it is not installed.
    """
    try:
        import faiss
    except ImportError as error:
        raise DependencyMissing("faiss-cpu", extra="faiss") from error
    return faiss


@contextmanager
def omp_threads(wanted: int) -> Iterator[int]:
    """Have FAISS use so many threads for what this thread calls inside, and yield how many it used before.

    A single query is too short a work to share: on a busy machine its threads wait for each other for milliseconds.
    """
    faiss = faiss_module()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(wanted)
    try:
        yield before
    finally:
        faiss.omp_set_num_threads(before)


def sample(n_rows: int, wanted: int) -> npt.NDArray[np.int64]:
    """Return `wanted` of n_rows numbers, or all, ascending; the same ones for the same arguments."""
    if n_rows <= wanted:
        return np.arange(n_rows)
    return np.sort(np.random.default_rng(_SEED).choice(n_rows, wanted, replace=False))


class Codebook:
    """Sixteen centroids for each pair of dimensions (for each single one where their number is odd)."""

    def __init__(self, centroids: npt.NDArray[np.float32]) -> None:
        """Take centroids of shape (parts, 16, dim of a part)."""
        faiss = faiss_module()
        parts, _, width = centroids.shape
        self.centroids = np.ascontiguousarray(centroids, np.float32)
        self.dim: int = parts * width
        self.parts: int = parts
        self.quantizer = faiss.ProductQuantizer(self.dim, parts, 4)
        faiss.copy_array_to_vector(self.centroids.ravel(), self.quantizer.centroids)

    @classmethod
    def train(cls, rows: Float32Matrix) -> Codebook:
        """Return a codebook for rows like these, shape (n, dim). Cost: about a second for 384 dimensions."""
        faiss = faiss_module()
        dim = rows.shape[1]
        width = 1 if dim % 2 else 2
        quantizer = faiss.ProductQuantizer(dim, dim // width, 4)
        quantizer.cp.niter, quantizer.cp.seed = 10, _SEED
        quantizer.cp.min_points_per_centroid = 1
        quantizer.train(np.ascontiguousarray(rows[sample(len(rows), _TRAINING_ROWS)]))
        return cls(faiss.vector_to_array(quantizer.centroids).reshape(dim // width, 16, width))

    @property
    def code_bytes(self) -> int:
        """Bytes of one code."""
        return (self.parts + 1) // 2

    def encode(self, rows: Float32Matrix) -> Codes:
        """Return the codes, shape (n, ceil(parts / 2))."""
        codes: Codes = self.quantizer.compute_codes(np.ascontiguousarray(rows))
        return codes

    def decode(self, codes: Codes) -> Float32Matrix:
        """Return the rows that the codes stand for, shape (n, dim)."""
        rows: Float32Matrix = self.quantizer.decode(np.ascontiguousarray(codes))
        return rows


class CodeLists:
    """Lists of coded rows, of which a search scans those it names."""

    def __init__(
        self, codebook: Codebook, codes: Codes, list_of: npt.NDArray[np.int32], n_lists: int, *, residual: bool = False
    ) -> None:
        """Pack the codes, shape (n, bytes), of which row i goes to the list `list_of[i]` under the name i.

        Args:
            residual: the codes are those of what a row differs from its list's centroid by.
        Cost: a tenth of a microsecond a row; a code again and 8 bytes of memory a row.
        """
        faiss = faiss_module()
        self._codebook = codebook
        self._quantizer = faiss.IndexFlat(codebook.dim, faiss.METRIC_INNER_PRODUCT)  # never asked: lists are named
        plain = faiss.IndexIVFPQ(self._quantizer, codebook.dim, n_lists, codebook.parts, 4, faiss.METRIC_INNER_PRODUCT)
        plain.own_fields, plain.by_residual, plain.is_trained = False, residual, True
        plain.pq = codebook.quantizer
        order = np.argsort(list_of, kind="stable").astype(np.int64)
        bounds = np.searchsorted(list_of[order], np.arange(n_lists + 1))
        for number in np.flatnonzero(np.diff(bounds)):
            names = order[bounds[number] : bounds[number + 1]]
            block = np.ascontiguousarray(codes[names])
            plain.invlists.add_entries(int(number), len(names), faiss.swig_ptr(names), faiss.swig_ptr(block))
        plain.ntotal = len(codes)
        self._index = faiss.IndexIVFPQFastScan(plain, 32)
        self.sizes: npt.NDArray[np.int64] = np.diff(bounds)
        blocks = -(-self.sizes // 32)
        self.n_bytes = int(blocks.sum()) * 32 * (codebook.parts + 1) // 2 + 8 * len(codes)

    def scan(
        self,
        queries: Float32Matrix,
        lists: npt.NDArray[np.int64],
        offsets: Float32Matrix,
        wanted: int,
        options: Any,
        *,
        threads: int = 1,
    ) -> tuple[Float32Matrix, Positions]:
        """Return the rows with the best estimated scores in the named lists.

        Args:
            queries: shape (n_queries, dim), contiguous.
            lists: int64, shape (n_queries, n), contiguous; -1 names none.
            offsets: of residual codes each query's product with the centroid of each of its lists, contiguous; else anything.
            wanted: rows for each query.
            options: FAISS's, for n lists: which rows may be returned (`ReadableRows.options`).
            threads: for many queries at once; one is scanned by one.
        Returns:
            Estimates and rows, shape (n_queries, wanted), best first; row -1 where there are fewer.
        """
        faiss = faiss_module()
        scores = np.empty((len(queries), wanted), np.float32)
        rows = np.empty((len(queries), wanted), np.int64)
        pointers = [faiss.swig_ptr(array) for array in (queries, lists, offsets, scores, rows)]
        with omp_threads(threads) if threads > 1 else nullcontext():
            self._index.search_preassigned_c(len(queries), pointers[0], wanted, *pointers[1:], False, options)
        return scores, rows
