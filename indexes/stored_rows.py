"""Rows as they are, float32, in one memory-mapped file, and exact search over any of them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexes.access import Int32Vector
from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt
from indexes.kernels import best_of
from indexes.product_codes import Positions, faiss_module, omp_threads

_BLOCK_ROWS = 8192
_MANY_QUERIES = 4
"""From so many queries on a matrix product is faster than scoring rows for each query."""
_SCORES_AT_ONCE = 4_000_000
_TIES = 16
_ROUNDING = 1e-5
"""A matrix product's sums differ in their last bits with a row's place in it, so equal rows need not tie there."""


class StoredRows:
    """Rows of unit length at positions 0..n-1, shape (n, dim)."""

    def __init__(self, rows: Float32Matrix) -> None:
        self._rows = np.ascontiguousarray(rows, np.float32)

    @classmethod
    def open(cls, path: Path, n_rows: int, dim: int) -> StoredRows:
        """Map the file `path` into memory; BuildCorrupt if it is not of that size."""
        try:
            if path.stat().st_size != n_rows * dim * 4:
                raise ValueError(f"{path.stat().st_size} bytes instead of {n_rows * dim * 4}")
            if not n_rows:
                return cls(np.empty((0, dim), np.float32))
            # A plain array over the map: np.memmap makes every slice cost microseconds.
            return cls(np.asarray(np.memmap(path, dtype="<f4", mode="r", shape=(n_rows, dim))))
        except (OSError, ValueError) as error:
            raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, positions: Positions) -> Float32Matrix:
        """Return the rows at the positions, in their order; neighbours are not copied."""
        if (
            len(positions) > 1
            and positions[-1] - positions[0] + 1 == len(positions)
            and np.all(np.diff(positions) == 1)
        ):
            return self._rows[positions[0] : positions[-1] + 1]
        return self._rows[positions]

    def scores(self, queries: Float32Matrix, positions: Positions, *, threads: int = 1) -> Float32Matrix:
        """Return the inner products of each query with the rows at its positions; equal rows score equal, to the last bit.

        Args:
            queries: shape (n_queries, dim), contiguous.
            positions: shape (n_queries, n), contiguous; -1 scores minus infinity.
            threads: for many queries at once.
        Cost: one pass over the rows, which are not copied.
        """
        faiss = faiss_module()
        scores = np.empty(positions.shape, np.float32)
        pointers = [faiss.swig_ptr(array) for array in (scores, queries, self._rows, positions)]
        with omp_threads(threads) if threads > 1 else nullcontext():
            faiss.fvec_inner_products_by_idx(*pointers, self._rows.shape[1], *positions.shape)
        return scores

    def best(
        self, queries: Float32Matrix, positions: Positions, row_of: Int32Vector, top_k: int
    ) -> tuple[Positions, Float32Matrix]:
        """Return the positions of each query's best rows and their scores, shape (n_queries, top_k), ties by ascending row number.

        Args:
            queries: shape (n_queries, dim), contiguous.
            positions: where to look, ascending.
            row_of: the row number at each position.
            top_k: 1 to len(positions).
        Cost: O(n_queries * len(positions) * dim); from some queries on by matrix products.
        """
        best, scores = np.empty((len(queries), top_k), np.int64), np.empty((len(queries), top_k), np.float32)
        if len(queries) < _MANY_QUERIES:
            for number in range(len(queries)):
                best[number], scores[number] = self._best_of_one(queries[number, None], positions, row_of, top_k)
            return best, scores
        at_once = max(_MANY_QUERIES, _SCORES_AT_ONCE // len(positions))
        for start in range(0, len(queries), at_once):
            block = slice(start, start + at_once)
            near, sure = self._nearly_best(queries[block], positions, top_k)
            exact = self.scores(queries[block], near)
            places, _ = best_of(exact, exact, near, row_of, top_k)
            each = np.arange(len(near))[:, None]
            best[block], scores[block] = near[each, places], exact[each, places]
            for number in (start + np.flatnonzero(~sure)).tolist():
                best[number], scores[number] = self._best_of_one(queries[number, None], positions, row_of, top_k)
        return best, scores

    def _best_of_one(
        self, query: Float32Matrix, positions: Positions, row_of: Int32Vector, top_k: int
    ) -> tuple[Positions, npt.NDArray[np.float32]]:
        scores = self.scores(query, positions[None])[0]
        border = np.partition(scores, len(scores) - top_k)[len(scores) - top_k]
        kept = np.flatnonzero(scores >= border)
        order = kept[np.lexsort((row_of[positions[kept]], -scores[kept]))[:top_k]]
        return positions[order], scores[order]

    def _nearly_best(
        self, queries: Float32Matrix, positions: Positions, top_k: int
    ) -> tuple[Positions, npt.NDArray[np.bool_]]:
        """Return the positions that score best by matrix product, some more than `top_k`; and where no other can tie with the last."""
        scores = np.empty((len(queries), len(positions)), np.float32)
        for first in range(0, len(positions), _BLOCK_ROWS):
            there = slice(first, first + _BLOCK_ROWS)
            scores[:, there] = queries @ self.take(positions[there]).T
        wanted = min(top_k + _TIES, len(positions))
        near = np.ascontiguousarray(scores.argpartition(len(positions) - wanted, axis=1)[:, -wanted:])
        found = np.sort(scores[np.arange(len(queries))[:, None], near], axis=1)
        sure = (found[:, 0] < found[:, wanted - top_k] - _ROUNDING) | (wanted == len(positions))
        return positions[near], sure

    def norms(self) -> npt.NDArray[np.float32]:
        """Return the length of each row."""
        parts = [
            np.linalg.norm(self._rows[first : first + _BLOCK_ROWS], axis=1)
            for first in range(0, len(self), _BLOCK_ROWS)
        ]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)
