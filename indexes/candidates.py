"""From candidates of a rounded scan to exact hits: fetch by a proven bound, score in float32, fetch again where the border is not clear.

Say that for every row |rounded score - exact score| <= e, and let t be the k-th greatest rounded score. Then k rows have an exact score of at
least t - e, so a row whose rounded score is below t - 2e is not among the k best. It is enough to score exactly the rows at or above
t - 2e, once it is certain that all of them were fetched: that no row left out has a rounded score as great.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from indexes.arrays import BoolMatrix, Float32Matrix, Int64Matrix, Int64Vector

_BATCH = 256
"""Queries that are scanned together: enough to keep a GPU's matrix units busy, few enough that the host's part runs beside the next scan."""
_IN_FLIGHT = 2
_MOST_CANDIDATES = 1 << 22
"""Candidates fetched at once, over all queries of a batch."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What a scan brings for n queries: rows and rounded scores, shape (n, any), scores descending.

    `beyond`, shape (n,): no row that was left out has a greater rounded score; -inf where none was left out.
    """

    rows: Int64Matrix
    scores: Float32Matrix
    beyond: npt.NDArray[np.floating]


Finish = Callable[[], Candidates]
Start = Callable[[Float32Matrix, int], Finish]
"""Queues the scan of some queries for so many candidates each; `Finish` waits for it."""


class ExactScores(Protocol):
    """Where exact scores come from; `MappedRows` is one."""

    def pair_scores(self, queries: Float32Matrix, rows: Int64Vector) -> npt.NDArray[np.float32]: ...


def half_slack(queries: Float32Matrix, *, longest: float, half_error: float) -> npt.NDArray[np.float32]:
    """Return, for each query q, how far q·r and the product of both in half precision may be apart for any row r.

    With q' and r' rounded, q'·r' - q·r = (q' - q)·r' + q·(r' - r), and Cauchy and Schwarz bound each term. Sums in float32 of n terms lose at most
    n * 2^-23 of ‖q‖‖r‖ even where each is cut off, as tensor cores do; twice that is allowed, for the exact score is such a sum too.

    Args:
        longest: greatest length of a row.
        half_error: greatest ‖row - row in half precision‖; 0 where rows are scanned in float32.
    """
    length = np.linalg.norm(queries, axis=1)
    rounding = np.linalg.norm(queries - queries.astype(np.float16), axis=1)
    sums = queries.shape[1] * 2.0**-22 * length * longest
    return np.asarray(1.001 * (rounding * (longest + half_error) + length * half_error + sums) + 1e-7, dtype=np.float32)


def settled(
    queries: Float32Matrix,
    *,
    top_k: int,
    readable: int,
    slack: npt.NDArray[np.float32],
    start: Start,
    exact: ExactScores,
) -> list[tuple[Int64Vector, npt.NDArray[np.float32]]]:
    """Return each query's `top_k` best rows and their exact scores, descending; ties by ascending row.

    Args:
        top_k: at most `readable`.
        readable: rows that the scan may bring; asked for so many, it brings them all.
        slack: for each query the most that a rounded score is off.
        start: scans; called with more and more candidates until the border is clear.
    """
    found: dict[int, tuple[Int64Vector, npt.NDArray[np.float32]]] = {}
    pending, wanted = np.arange(len(queries)), min(top_k + top_k // 4 + 8, readable)
    while len(pending):
        unclear: list[Int64Vector] = []
        flying: deque[tuple[Int64Vector, Finish]] = deque()
        size = max(1, min(_BATCH, _MOST_CANDIDATES // wanted))
        batches = deque(pending[at : at + size] for at in range(0, len(pending), size))
        while batches or flying:
            while batches and len(flying) < _IN_FLIGHT:
                numbers = batches.popleft()
                flying.append((numbers, start(queries[numbers], wanted)))
            numbers, finish = flying.popleft()
            candidates = finish()
            least = candidates.scores[:, top_k - 1] - 2 * slack[numbers]
            clear = (candidates.beyond < least) | (wanted == readable)
            kept = ~(candidates.scores < least[:, None]) & clear[:, None]
            found.update(
                zip(numbers.tolist(), _rescored(queries[numbers], candidates.rows, kept, top_k, exact), strict=True)
            )
            unclear.append(numbers[~clear])  # their entries are written again
        pending, wanted = np.concatenate(unclear), min(2 * wanted, readable)
    return [found[number] for number in range(len(queries))]


def _rescored(
    queries: Float32Matrix, rows: Int64Matrix, kept: BoolMatrix, top_k: int, exact: ExactScores
) -> list[tuple[Int64Vector, npt.NDArray[np.float32]]]:
    """Score the candidates that are kept exactly, those of all queries at once."""
    query, candidates = np.nonzero(kept)[0], rows[kept]
    scores = exact.pair_scores(queries[query], candidates)
    order = np.lexsort((candidates, -scores, query))
    ends = np.cumsum(np.count_nonzero(kept, axis=1)).tolist()
    return [
        (candidates[taken], scores[taken])
        for first, end in zip([0, *ends], ends, strict=False)
        for taken in [order[first : min(end, first + top_k)]]
    ]
