"""Rows as they are, float32, in one memory-mapped file, and exact search over any of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.errors import BuildCorrupt
from indexes.product_codes import Positions, faiss_module

_BLOCK_ROWS = 8192
_QUERIES_AT_ONCE = 16
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

    def scores(self, query: npt.NDArray[np.float32], positions: Positions) -> npt.NDArray[np.float32]:
        """Return the inner products of one query, shape (dim,), with the rows at the positions; equal rows score equal, to the last bit.

        Cost: one pass over the rows, which are not copied.
        """
        faiss = faiss_module()
        scores = np.empty(len(positions), np.float32)
        pointers = [faiss.swig_ptr(array) for array in (scores, query, self._rows, positions)]
        faiss.fvec_inner_products_by_idx(*pointers, self._rows.shape[1], 1, len(positions))
        return scores

    def nearly_best(self, queries: Float32Matrix, positions: Positions, top_k: int) -> Iterator[Positions]:
        """For each query, yield the positions that score best, with all that could tie with the last of `top_k`.

        Args:
            positions: where to look, ascending.
            top_k: 1 to len(positions).
        Cost: O(n_queries * len(positions) * dim), by matrix products.
        """
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            block = queries[start : start + _QUERIES_AT_ONCE]
            scores = np.empty((len(positions), len(block)), np.float32)
            for first in range(0, len(positions), _BLOCK_ROWS):
                there = slice(first, first + _BLOCK_ROWS)
                np.matmul(self.take(positions[there]), block.T, out=scores[there])
            for column in scores.T:
                border = np.partition(column, len(column) - top_k)[len(column) - top_k] - _ROUNDING
                yield positions[column >= border]

    def norms(self) -> npt.NDArray[np.float32]:
        """Return the length of each row."""
        parts = [
            np.linalg.norm(self._rows[first : first + _BLOCK_ROWS], axis=1)
            for first in range(0, len(self), _BLOCK_ROWS)
        ]
        return np.concatenate(parts).astype(np.float32) if parts else np.empty(0, np.float32)
