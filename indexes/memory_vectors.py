"""The vectors of a partition: exact search over few rows; over many a first look at codes, then exact scores for the best.

A code is a row's coordinates along the directions in which the rows differ most (principal components), 8 bits each. The directions are found when
there are enough rows, and again when there are twice as many. All of it lives in memory alone: what is forgotten lies in no file, and there is
nothing to rebuild.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import BoolVector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.fusion import FloatVector
from indexes.memory_kernels import CodedQuery, Codes, cosines, nearest_codes, nearest_rows

EXACT_ROWS = 2000
"""Rows up to which all are scored exactly."""
CODE_DIM = 96
RESCORED = 15
"""Rows scored exactly for each that is wanted."""
_SAMPLE = 4000
_QUERY_STEPS = 16_000
"""Of a query's code, its greatest coordinate: so that 96 products with 127 stay within 32 bits."""


class Vectors:
    """Rows of unit length, added at the end. Not safe among threads."""

    def __init__(self, dim: int) -> None:
        self._n = 0
        self._rows: Float32Matrix = np.empty((0, dim), np.float32)
        self._codes: Codes = np.empty((0, min(CODE_DIM, dim)), np.int8)
        self._axes: Float32Matrix | None = None
        self._scale = 1.0
        self._learned = 0

    @property
    def n_bytes(self) -> int:
        return self._rows.nbytes + self._codes.nbytes

    def extend(self, rows: Float32Matrix) -> None:
        """Add rows. Cost: linear in what is added; finding directions anew about 50 ms and a pass over all rows."""
        first, n = self._n, self._n + len(rows)
        if n > len(self._rows):
            self._rows = _grown(self._rows, first, n if not first else n + n // 4 + 16)
        self._rows[first:n] = rows
        self._n = n
        if n > EXACT_ROWS and n >= 2 * self._learned:
            self._learn()
        elif self._axes is not None:
            self._code(first)

    def scores(self, query: FloatVector, rows: Int64Vector) -> FloatVector:
        """Return the cosines of some rows with a query."""
        return cosines(self._rows[: self._n], query, rows)

    def nearest(self, query: FloatVector, shown: BoolVector, wanted: int) -> Int64Vector:
        """Return the best rows of those shown, at most `wanted`, in any order.

        Cost: 1.5 kB of memory read a row up to EXACT_ROWS rows, 96 bytes above; then 1.5 kB for each of the rescored.
        """
        if (count := int(np.count_nonzero(shown))) <= wanted:
            return np.flatnonzero(shown)
        if self._axes is None or count <= RESCORED * wanted:
            places = np.flatnonzero(shown)
        else:
            code = self._coded_query(query, self._axes)
            places = np.sort(nearest_codes(self._codes[: self._n], code, shown, RESCORED * wanted))
        return nearest_rows(self._rows[: self._n], query, places, wanted)

    def _learn(self) -> None:
        sample = self._rows[: self._n : max(self._n // _SAMPLE, 1)]
        axes = np.linalg.eigh(sample.T @ sample)[1].T
        self._axes = np.ascontiguousarray(axes[-CODE_DIM:], np.float32)
        self._scale = 127 / max(float(np.abs(sample @ self._axes.T).max()), 1e-6)
        self._learned = self._n
        self._code(0)

    def _code(self, first: int) -> None:
        """Work out the codes of rows from `first` on."""
        assert self._axes is not None
        if len(self._codes) < len(self._rows):
            self._codes = _grown(self._codes, min(first, len(self._codes)), len(self._rows))
        for start in range(first, self._n, _SAMPLE):
            rows = self._rows[start : min(start + _SAMPLE, self._n)]
            steps = np.rint(rows @ self._axes.T * np.float32(self._scale))
            self._codes[start : start + len(rows)] = np.clip(steps, -127, 127).astype(np.int8)

    @staticmethod
    def _coded_query(query: FloatVector, axes: Float32Matrix) -> CodedQuery:
        along = cosines(axes, query, np.arange(len(axes)))
        steps = along * np.float32(_QUERY_STEPS / max(float(np.abs(along).max()), 1e-6))
        return np.asarray(np.rint(steps), np.int16)


def _grown(array: npt.NDArray[Any], used: int, size: int) -> npt.NDArray[Any]:
    larger = np.empty((size, array.shape[1]), array.dtype)
    larger[:used] = array[:used]
    return larger
