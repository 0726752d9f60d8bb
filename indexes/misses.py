"""How many of the true best rows a scan is expected to have missed: what decides when it may stop.

A scan sees only estimates: product codes instead of rows, centroids instead of lists. Instead of fixed depths, which are too deep for
easy queries and too shallow for hard ones (rights that run against the query's topic), the engine asks after each step how many rows
better than its k-th best are still out there, and goes on until that is a small share of k.

Pure mathematics, no I/O. In the spirit of Quake's adaptive partition scanning (arXiv:2506.03437), with an empirical tail for geometry.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexes.kernels import TAIL_STEP

Float32Vector = npt.NDArray[np.float32]

_BINS = 320


def beyond_candidates(fetched: int, gap: float, median_gap: float, error: float) -> float:
    """Return how many rows that were not fetched are expected to beat the k-th best one.

    The rows fetched are the best by an estimate of their score. Below the last one the number of rows grows exponentially, at the
    rate seen among those fetched; an estimate is off by a normal error.

    Args:
        fetched: rows whose estimates were best.
        gap: exact score of the k-th best row minus the last fetched estimate (corrected for its bias).
        median_gap: estimate of the middle fetched row minus that of the last.
        error: standard deviation of exact score minus estimate, above 0.
    Returns:
        R * (exp(lambda^2 s^2 / 2 - lambda g) * Q(g/s - lambda s) - Q(g/s)), lambda = ln 2 / median_gap, Q the normal tail:
        the integral of lambda * R * exp(lambda x) * Q((g + x) / s) over x from 0. At least 0, infinite where the scores do not fall.
    """
    if median_gap <= 0:
        return 0.0 if gap > 6 * error else math.inf
    rate = math.log(2) / median_gap
    exponent = rate * rate * error * error / 2 - rate * gap
    if exponent > 50:
        return math.inf
    return max(0.0, fetched * (math.exp(exponent) * _tail(gap / error - rate * error) - _tail(gap / error)))


def depth_for(fetched: int, gap: float, median_gap: float, error: float, *, allowed: float, most: int) -> int:
    """Return how many rows to fetch so that `beyond_candidates` falls to `allowed`: `fetched` doubled as often as it takes, at most `most`."""
    depth = fetched
    while depth < most and beyond_candidates(depth, gap, median_gap, error) > allowed:
        depth, gap = 2 * depth, gap + median_gap  # a doubling of the rows lies as far down as the last one did
    return min(depth, most)


def _tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


@dataclass(frozen=True, slots=True)
class Tail:
    """How rarely a row lies far from its list's centroid in a query's direction, as measured on the rows themselves.

    `share[i]` is the share of rows x with (q.x - q.c) / spread of the list >= i * 0.05; q are rows, c the centroid of x's list. Shares fall
    to 0 at the end.
    """

    share: Float32Vector


def measured_tail(distances: npt.NDArray[np.float32]) -> Tail:
    """Return the tail of the distances (q.x - q.c) / spread; those below 0 count in the share at 0 only by their absence."""
    counts, _ = np.histogram(distances, bins=_BINS, range=(0.0, TAIL_STEP * _BINS))
    share = counts[::-1].cumsum()[::-1] / max(1, distances.size)
    return Tail(np.append(share, 0.0).astype(np.float32))
