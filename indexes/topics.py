"""Rows grouped by what they are about: k-means lists, and the order in which a query visits them.

A query names the lists that hold readable rows only, nearest first, and stops when `Tail` expects few of its best rows in the others.
So lists where the principal may read nothing cost nothing, and where rights run against the query's topic more lists are visited.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.misses import Float32Vector, Tail, measured_tail
from indexes.product_codes import faiss_module, sample

_SEED = 20261122
_ROWS_PER_CENTROID = 64
_ROUNDS = 7
_LISTS_PER_ROOT = 1.2
_TAIL_QUERIES, _TAIL_ROWS = 256, 32_768
_NEAR = 0.1
"""The tail is measured in each query's nearest tenth of the lists, where it is heaviest."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Centroids of the lists, shape (n_lists, dim), how far their rows spread in one direction, and how rarely they lie further."""

    centroids: Float32Matrix
    spread: Float32Vector
    tail: Tail

    def residuals(self, rows: Float32Matrix) -> tuple[Float32Matrix, npt.NDArray[np.int32]]:
        """Return what each row differs from its list's centroid by, and its list: that of the nearest centroid."""
        _, found = faiss_module().knn(np.ascontiguousarray(rows), self.centroids, 1)
        lists = np.asarray(found[:, 0], np.int32)
        return rows - self.centroids[lists], lists


def train_topics(rows: Float32Matrix, n_rows: int) -> Topics:
    """Find the lists for `n_rows` rows like these.

    Args:
        rows: a sample, as `training_rows` says, shape (n, dim).
    Cost: O(n_rows * dim) products in all; some seconds for a million rows.
    """
    faiss = faiss_module()
    n_lists = _n_lists(n_rows)
    means = faiss.Kmeans(
        rows.shape[1], n_lists, niter=_ROUNDS, seed=_SEED, min_points_per_centroid=1, max_points_per_centroid=10**6
    )
    means.train(np.ascontiguousarray(rows))
    centroids = np.ascontiguousarray(means.centroids)
    _, found = faiss.knn(np.ascontiguousarray(rows), centroids, 1)
    lists = found[:, 0]
    squares = ((rows - centroids[lists]) ** 2).sum(axis=1)
    counts = np.bincount(lists, minlength=n_lists)
    mean_square = np.bincount(lists, squares, minlength=n_lists) / np.maximum(counts, 1)
    usual = squares.mean()
    # A list of one row or of equal rows has no spread of its own: it gets a quarter of the usual one at least.
    spread = np.sqrt(np.maximum(mean_square, usual / 16) / rows.shape[1]).astype(np.float32)
    return Topics(centroids, np.maximum(spread, 1e-6), _tail(rows, centroids, lists, spread))


def training_rows(n_rows: int) -> int:
    """Return how many rows `train_topics` wants to see."""
    return _n_lists(n_rows) * _ROWS_PER_CENTROID


def _n_lists(n_rows: int) -> int:
    return max(1, int(_LISTS_PER_ROOT * n_rows**0.5))


def _tail(rows: Float32Matrix, centroids: Float32Matrix, lists: npt.NDArray[np.int64], spread: Float32Vector) -> Tail:
    """Measure with rows as queries; a row is not its own answer."""
    queries = sample(len(rows), _TAIL_QUERIES)
    others = sample(len(rows), _TAIL_ROWS)
    of_list = lists[others]
    found = []
    for start in range(0, len(queries), 32):
        block = queries[start : start + 32]
        to_lists = rows[block] @ centroids.T
        near = to_lists >= np.quantile(to_lists, 1 - _NEAR, axis=1)[:, None]
        distance = (rows[block] @ rows[others].T - to_lists[:, of_list]) / spread[of_list]
        found.append(distance[near[:, of_list] & (block[:, None] != others[None])])
    return measured_tail(np.concatenate(found))
