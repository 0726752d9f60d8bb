"""The loops of memory's search: products of vectors, sums over postings, the choice of the best rows.

`_memory_kernels.c` does them where it was compiled at installation, on the thread that asks: a query is too short a work to share, and BLAS's threads
wait for cores that the embedder's still hold. Where it was not, NumPy does, with the same results up to rounding.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix, Int32Vector, Int64Vector

Float32Vector = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int8]
CodedQuery = npt.NDArray[np.int16]
Marks = npt.NDArray[np.bool_]


def _compiled() -> Any:
    try:
        return import_module("indexes._memory_kernels")
    except ImportError:
        return None


compiled = _compiled()


def cosines(rows: Float32Matrix, query: Float32Vector, places: Int64Vector) -> Float32Vector:
    """Return the products of some rows with a query, shape (len(places),).

    Args:
        rows: shape (n, dim), contiguous.
        query: shape (dim,), contiguous.
    """
    if compiled:
        scores = np.empty(len(places), np.float32)
        compiled.cosines(rows, query, places, scores, *rows.shape, len(places))
        return scores
    return np.asarray(rows[places] @ query, np.float32)


def nearest_rows(rows: Float32Matrix, query: Float32Vector, places: Int64Vector, wanted: int) -> Int64Vector:
    """Return those of some rows whose products with a query are greatest, at most `wanted`, in any order; ties by ascending row.

    Args:
        rows, query: as in `cosines`.
        places: ascending.
        wanted: at least 1.
    """
    best = np.empty(wanted, np.int64)
    if compiled:
        return best[: compiled.nearest_rows(rows, query, places, best, *rows.shape, len(places), wanted)]
    return places[_best(cosines(rows, query, places), wanted)]


def nearest_codes(codes: Codes, query: CodedQuery, shown: Marks, wanted: int) -> Int64Vector:
    """Return the rows that are shown and whose codes' products with a query's are greatest, as `nearest_rows` does.

    Args:
        codes: shape (n, dim), contiguous, at most 500 dimensions: the sums must fit into 32 bits.
        query: shape (dim,).
        shown: shape (n,).
    """
    best = np.empty(wanted, np.int64)
    if compiled:
        return best[: compiled.nearest_codes(codes, query, shown, best, *codes.shape, wanted)]
    places = np.flatnonzero(shown)
    return places[_best((codes[places].astype(np.float32) @ query.astype(np.float32)), wanted)]


def with_neighbours(
    rows: Int64Vector, before: Int32Vector, after: Int32Vector, shown: Marks, around: int
) -> Int64Vector:
    """Return rows and those up to `around` before and after each, of those that are shown, ascending, each once.

    Args:
        before, after: of each row the one next to it, -1 for none.
    """
    if compiled:
        room = np.empty(len(rows) * (1 + 2 * around), np.int64)
        return room[: compiled.with_neighbours(rows, before, after, shown, room, len(rows), len(shown), around)]
    found = [rows]
    for side in (before, after):
        near = rows
        for _ in range(around):
            near = side[near].astype(np.int64)
            near = near[near >= 0]
            found.append(near)
    near = np.unique(np.concatenate(found))
    return near[shown[near]]


def add_weights(
    rows: Int32Vector, shares: Float32Vector, factor: float, sums: Float32Vector, marks: Marks, *, mark: bool
) -> None:
    """Add `factor` times each row's share to its sum, and mark it if `mark`; rows are ascending, each once."""
    if compiled:
        compiled.add_weights(rows, shares, sums, marks, factor, len(rows), len(sums), int(mark))
        return
    sums[rows] += np.float32(factor) * shares
    if mark:
        marks[rows] = True


def best_marked(sums: Float32Vector, marks: Marks, shown: Marks, wanted: int) -> Int64Vector:
    """Return the rows with the greatest sums of those that are marked and shown, at most `wanted`, in any order; ties by ascending row."""
    best = np.empty(wanted, np.int64)
    if compiled:
        return best[: compiled.best_marked(sums, marks, shown, best, len(sums), wanted)]
    places = np.flatnonzero(marks & shown)
    return places[_best(sums[places], wanted)]


def weights_at(
    rows: Int32Vector, shares: Float32Vector, factor: float, wanted: Int64Vector, out: Float32Vector
) -> None:
    """Write `factor` times the share of each wanted row, 0 where it is not among the rows; those are ascending."""
    if compiled:
        compiled.weights_at(rows, shares, wanted, out, factor, len(rows), len(wanted))
        return
    out[:] = 0
    if len(rows):
        place = np.minimum(np.searchsorted(rows, wanted), len(rows) - 1)
        there = rows[place] == wanted
        out[there] = np.float32(factor) * shares[place[there]]


def _best(scores: Float32Vector, wanted: int) -> Int64Vector:
    """Return the places of the greatest scores, of equals the first."""
    if wanted >= len(scores):
        return np.arange(len(scores))
    return np.argsort(-scores, kind="stable")[:wanted]
