"""The vectors of a partition: exact search over few rows; over many a first look in fewer dimensions, then exact scores for the best.

The first look is at each row's coordinates along the directions in which the rows differ most (principal components), found when there are enough
rows and again when there are twice as many. It lives in memory alone: what is forgotten lies in no file, and there is nothing to rebuild.
"""

from __future__ import annotations

import numpy as np

from indexes.access import BoolVector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.fusion import FloatVector

EXACT_ROWS = 4000
"""Rows up to which all are scored exactly."""
COARSE_DIM = 48
RESCORED = 30
"""Rows scored exactly for each that is wanted."""
_SAMPLE = 4000


class Vectors:
    """Rows of unit length, added at the end. Not safe among threads."""

    def __init__(self, dim: int) -> None:
        self._n = 0
        self._rows: Float32Matrix = np.empty((0, dim), np.float32)
        self._coarse: Float32Matrix = np.empty((0, COARSE_DIM), np.float32)
        self._axes: Float32Matrix | None = None
        self._learned = 0

    @property
    def n_bytes(self) -> int:
        return self._rows.nbytes + self._coarse.nbytes

    def extend(self, rows: Float32Matrix) -> None:
        """Add rows. Cost: linear in what is added; finding directions anew about 50 ms and a pass over all rows."""
        first, n = self._n, self._n + len(rows)
        if n > len(self._rows):
            size = n if not first else n + n // 4 + 16
            self._rows, self._coarse = _grown(self._rows, first, size), _grown(self._coarse, first, size)
        self._rows[first:n] = rows
        self._n = n
        if n > EXACT_ROWS and n >= 2 * self._learned:
            self._learn()
        elif self._axes is not None:
            self._coarse[first:n] = rows @ self._axes

    def scores(self, query: FloatVector, rows: Int64Vector) -> FloatVector:
        """Return the cosines of some rows with a query."""
        return np.asarray(self._rows[rows] @ query, np.float32)

    def nearest(self, query: FloatVector, shown: BoolVector, wanted: int) -> Int64Vector:
        """Return the best rows of those shown, at most `wanted`, in any order.

        Cost: 1.5 kB of memory read a row up to EXACT_ROWS rows, an eighth of that above; then 1.5 kB for each of the rescored.
        """
        if (count := int(np.count_nonzero(shown))) <= wanted:
            return np.flatnonzero(shown)
        if self._axes is None or count <= RESCORED * wanted:
            candidates = np.flatnonzero(shown) if count < self._n // 2 else np.arange(self._n)
            scores = self._rows[candidates] @ query if len(candidates) < self._n else self._rows[: self._n] @ query
        else:
            coarse = self._coarse[: self._n] @ (query @ self._axes)
            coarse[~shown] = -np.inf
            candidates = np.argpartition(coarse, -RESCORED * wanted)[-RESCORED * wanted :]
            scores = self._rows[candidates] @ query
        scores[~shown[candidates]] = -np.inf
        return np.asarray(candidates[np.argpartition(scores, -wanted)[-wanted:]], np.int64)

    def _learn(self) -> None:
        sample = self._rows[: self._n : max(self._n // _SAMPLE, 1)]
        axes = np.linalg.eigh(sample.T @ sample)[1]
        self._axes = np.ascontiguousarray(axes[:, -COARSE_DIM:], np.float32)
        self._coarse[: self._n] = self._rows[: self._n] @ self._axes
        self._learned = self._n


def _grown(array: Float32Matrix, used: int, size: int) -> Float32Matrix:
    larger = np.empty((size, array.shape[1]), np.float32)
    larger[:used] = array[:used]
    return larger
