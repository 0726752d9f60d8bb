"""Float32 rows in a file that is memory-mapped: what backends that search rounded copies score their candidates by.

4096 bytes     one JSON object {format, rows, dim, longest, half_error}, filled up with spaces
4 * rows * dim float32, little-endian, row after row
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix, Int64Vector
from indexes.candidates import Candidates, Finish, half_slack, settled
from indexes.errors import BuildCorrupt, IndexBackendError
from indexes.vectors import Found, Plan

FORMAT = "loremill-rows/1"
_HEADER_BYTES = 4096
_BLOCK_BYTES = 1 << 26
_WRITTEN_ROWS = 1024
"""Rows looked at together while they are in the processor's cache."""

Float32Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MappedRows:
    """The rows of one build. `longest` is the greatest length, `half_error` the greatest ‖row - row in half precision‖."""

    matrix: Float32Matrix
    longest: float
    half_error: float

    @classmethod
    def open(cls, path: Path) -> MappedRows:
        """Map the file; nothing but its head is read.

        Raises:
            BuildCorrupt: it is missing, cut off or something else.
        """
        try:
            with path.open("rb") as file:
                head = json.loads(file.read(_HEADER_BYTES))
            if head["format"] != FORMAT:
                raise ValueError(f"its format is {head['format']!r} instead of {FORMAT!r}")
            shape = int(head["rows"]), int(head["dim"])
            longest, half_error = float(head["longest"]), float(head["half_error"])
            if (size := path.stat().st_size) != _HEADER_BYTES + 4 * shape[0] * shape[1]:
                raise ValueError(f"{size} bytes do not hold {shape[0]} rows of {shape[1]}")
            if not (math.isfinite(longest) and math.isfinite(half_error)):
                raise ValueError("its lengths are no numbers")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BuildCorrupt(f"{path.name} cannot be read: {error}; ingest again with --full") from error
        if not shape[0]:
            return cls(np.empty(shape, np.float32), longest, half_error)
        mapped = np.memmap(path, np.dtype("<f4"), "r", offset=_HEADER_BYTES, shape=shape)
        return cls(np.asarray(mapped), longest, half_error)

    def scores(self, query: Float32Matrix, rows: Int64Vector) -> Float32Vector:
        """Return the inner products of one query, shape (1, dim), with the rows; equal rows score equal, to the last bit."""
        return self.pair_scores(np.broadcast_to(query, (len(rows), query.shape[1])), rows)

    def pair_scores(self, queries: Float32Matrix, rows: Int64Vector) -> Float32Vector:
        """Return the inner product of each query with the row beside it, in [-1, 1]. Cost: O(rows * dim), a block at a time."""
        scores = np.empty(len(rows), np.float32)
        for part in self._blocks(len(rows)):
            # Row by row: in a matrix product equal rows may differ in the last bit.
            np.einsum("ij,ij->i", self.matrix[rows[part]], queries[part], out=scores[part])
        return np.clip(scores, -1.0, 1.0, out=scores)

    def norms(self) -> Float32Vector:
        """Return each row's length."""
        lengths = np.empty(len(self.matrix), np.float32)
        for part in self._blocks(len(lengths)):
            lengths[part] = np.linalg.norm(self.matrix[part], axis=1)
        return lengths

    def best(self, queries: Float32Matrix, top_k: int, rows: Int64Vector | None) -> list[Found]:
        """Return the `top_k` best of the given ascending rows (None: all), searched on the host alone; `top_k` is at most their number."""
        count = len(self.matrix) if rows is None else len(rows)
        slack = half_slack(queries, longest=self.longest, half_error=0.0)

        def start(some: Float32Matrix, wanted: int) -> Finish:
            return lambda: self.candidates(some, wanted, rows)

        found = settled(queries, top_k=top_k, readable=count, slack=slack, start=start, exact=self)
        return [Found(*one, Plan("host", count, count)) for one in found]

    def candidates(self, queries: Float32Matrix, wanted: int, rows: Int64Vector | None) -> Candidates:
        """Scan the given ascending rows (None: all) on the host, in float32, a block at a time.

        Cost: O(n_queries * rows * dim); memory for one block of rows and its scores.
        """
        count = len(self.matrix) if rows is None else len(rows)
        scores, found = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        for part in self._blocks(count):
            numbers = np.arange(part.start, part.stop) if rows is None else rows[part]
            block = self.matrix[part] if rows is None else self.matrix[numbers]
            scores = np.hstack([scores, queries @ block.T])
            found = np.hstack([found, np.broadcast_to(numbers, (len(queries), len(numbers)))])
            kept = _greatest(scores, wanted)
            scores, found = np.take_along_axis(scores, kept, 1), np.take_along_axis(found, kept, 1)
        order = np.argsort(-scores, axis=1, kind="stable")
        scores, found = np.take_along_axis(scores, order, 1), np.take_along_axis(found, order, 1)
        return Candidates(found, scores, np.full(len(queries), -np.inf) if wanted >= count else scores[:, -1])

    def _blocks(self, count: int) -> Iterable[slice]:
        size = max(1, _BLOCK_BYTES // (4 * max(1, self.matrix.shape[1])))
        return (slice(at, min(at + size, count)) for at in range(0, count, size))


def _greatest(scores: Float32Matrix, wanted: int) -> npt.NDArray[np.int64]:
    """Return where each line's `wanted` greatest scores are, in no order."""
    if scores.shape[1] <= wanted:
        return np.broadcast_to(np.arange(scores.shape[1]), scores.shape)
    return np.argpartition(-scores, wanted - 1, axis=1)[:, :wanted]


def write_rows(blocks: Iterable[Float32Matrix], dim: int, path: Path) -> None:
    """Write the rows, which come in blocks of shape (any, dim), for `MappedRows.open`; the head comes last, so half a file has none.

    Raises:
        IndexBackendError: a value is not finite in half precision; rows of unit length always are.
    """
    rows, longest, half_error = 0, 0.0, 0.0
    with path.open("wb") as file:
        file.write(b" " * _HEADER_BYTES)
        for block in blocks:
            for at in range(0, len(block), _WRITTEN_ROWS):
                vectors = np.ascontiguousarray(block[at : at + _WRITTEN_ROWS], dtype="<f4")
                with np.errstate(over="ignore", invalid="ignore"):
                    lost = vectors - vectors.astype(np.float16).astype(np.float32)
                rounding = np.einsum("ij,ij->i", lost, lost)
                if not np.isfinite(rounding).all():
                    bad = rows + int(np.argmin(np.isfinite(rounding)))
                    raise IndexBackendError(f"vector {bad} is no vector of unit length")
                half_error = max(half_error, 1.0001 * math.sqrt(rounding.max(initial=0.0)))
                longest = max(longest, 1.0001 * math.sqrt(np.einsum("ij,ij->i", vectors, vectors).max(initial=0.0)))
                file.write(vectors.data)
                rows += len(vectors)
        head = {"format": FORMAT, "rows": rows, "dim": dim, "longest": longest, "half_error": half_error}
        file.seek(0)
        file.write(json.dumps(head).encode("ascii"))
