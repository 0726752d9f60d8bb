"""The small loops of a search over codes: which lists to look into, what they leave out, which candidates are best.

Over some hundred numbers NumPy's calls cost more than the work, so `_kernels.c` does it, where it was compiled at installation (a C
compiler was there). Where not, NumPy does, with the same results up to rounding, about twice as slow a search.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix

Float32Vector = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

TAIL_STEP = 0.05
"""Distance between two shares of a `Tail`, in spreads."""


def _compiled() -> Any:
    try:
        return import_module("indexes._kernels")
    except ImportError:
        return None


compiled = _compiled()


def nearest_lists(scores: Float32Matrix, counts: Float32Vector, wanted: int) -> tuple[Integers, float]:
    """Choose each query's nearest lists among those that hold rows.

    Args:
        scores: query times centroid, shape (n_queries, n_lists), contiguous.
        counts: readable rows of each list, shape (n_lists,).
        wanted: lists for each query, 1 to n_lists.
    Returns:
        Lists, shape (n_queries, wanted), in any order, -1 where there are no more; and the fewest rows that a query's lists hold.
    """
    lists = np.empty((len(scores), wanted), np.int64)
    if compiled:
        return lists, compiled.nearest_lists(scores, counts, lists, *scores.shape, wanted)
    scores = np.where(counts > 0, scores, -np.inf)
    lists[:] = scores.argpartition(-wanted, axis=1)[:, -wanted:]
    rows = counts[lists]
    lists[rows == 0] = -1
    return lists, float(rows.sum(axis=1).min())


def rows_beyond(
    scores: Float32Matrix,
    counts: Float32Vector,
    spread: Float32Vector,
    share: Float32Vector,
    kth: Float32Vector,
    first: Integers,
) -> Float64Array:
    """Return how many rows beyond its first lists are expected to beat each query's k-th best one, shape (n_queries,).

    Args:
        scores, counts: as in `nearest_lists`.
        spread: of each list, shape (n_lists,).
        share: a `Tail`'s.
        kth: the k-th best score so far, shape (n_queries,).
        first: lists that were visited, shape (n_queries, n), -1 for none.
    """
    expected = np.empty(len(scores))
    if compiled:
        sizes = (*scores.shape, first.shape[1], len(share))
        compiled.rows_beyond(scores, counts, spread, share, kth, first, expected, *sizes, 1 / TAIL_STEP)
        return expected
    for query, lists in enumerate(first):
        beyond = shares_beyond(scores[query], spread, share, float(kth[query])) * counts
        beyond[lists[lists >= 0]] = 0
        expected[query] = beyond.sum()
    return expected


def shares_beyond(scores: Float32Vector, spread: Float32Vector, share: Float32Vector, kth: float) -> Float32Vector:
    """Return the share of each list's rows that is expected to beat one query's k-th best, shape (n_lists,)."""
    steps = (np.float32(kth) - scores) / spread * np.float32(1 / TAIL_STEP)
    shares: Float32Vector = share.take(np.minimum(steps, len(share)).astype(np.int32), mode="clip")
    return shares


def best_of(
    exact: Float32Matrix, estimates: Float32Matrix, positions: Integers, row_of: npt.NDArray[np.int32], top_k: int
) -> tuple[Integers, Float64Array]:
    """Choose each query's best candidates by exact score, ties by ascending row number, and tell how far the estimates are off.

    Args:
        exact, estimates: the candidates' scores, shape (n_queries, n), estimates descending.
        positions: of the candidates, shape (n_queries, n), -1 where there are no more.
        row_of: the row number at each position.
        top_k: at most n.
    Returns:
        The places 0..n-1 of the best, shape (n_queries, top_k); and for each query the mean of exact score minus estimate over the
        lower half of its candidates, over all, and the mean square, shape (n_queries, 3). The latter mean nothing where candidates lack.
    """
    n_queries, n = exact.shape
    if compiled:
        places, errors = np.empty((n_queries, top_k), np.int64), np.empty((n_queries, 3))
        estimates = np.ascontiguousarray(estimates)
        compiled.best_of(exact, estimates, positions, row_of, places, errors, n_queries, n, len(row_of), top_k)
        return places, errors
    missing = positions < 0
    places = np.lexsort((row_of[positions], np.where(missing, np.inf, -exact)))[:, :top_k]
    off = (np.where(missing, 0, exact) - np.where(missing, 0, estimates)).astype(np.float64)
    errors = np.stack([off[:, n // 2 :].mean(axis=1), off.mean(axis=1), (off * off).mean(axis=1)], axis=1)
    return places, errors
