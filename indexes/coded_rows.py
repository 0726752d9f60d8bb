"""Filtered search over many rows: codes are scanned, the best are scored exactly, until few of the true best can be missing.

Every row is in two lists: one of its ACL class at build time, one of its topic. A search takes the plan that has less to scan:

    scan      all codes in the class lists that hold readable rows: what it costs depends on the readable rows alone
    topics    the nearest topic lists that hold readable rows, then as many more as `Tail` asks for

Both leave out what may not be read inside the scan. How deep to go is decided by expected misses (`indexes/misses.py`), not by a fixed depth.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.misses import Float32Vector, depth_for
from indexes.product_codes import Codebook, CodeLists, Codes, Positions
from indexes.readable import ReadableRows
from indexes.stored_rows import StoredRows
from indexes.topics import Topics

TOPIC_ROWS = 50_000
"""Below so many readable rows a scan of them all is as fast."""

_MISSES = 0.001
"""Expected share of the true best rows that one step may leave out."""
_FIRST_LISTS, _MOST_FIRST_LISTS = 8, 48
_FIRST_ROWS_PER_HIT = 10
_LIST_COST = 300
"""Going to a list takes as long as scanning so many codes."""
_FETCHED_PER_SCORED = 4

Lists = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Candidates:
    """What one scan found for one query: estimates and positions, best first, -1 where there are no more."""

    plan: str
    scanned: int
    estimates: Float32Vector
    positions: Positions


@dataclass(slots=True)
class Best:
    """The best rows of one query: positions and exact scores, best first."""

    positions: Positions
    scores: Float32Vector
    candidates: Candidates
    scored: int
    """Candidates scored exactly."""
    depth: int
    """Candidates it would take for few of the true best to be missing."""
    complete: bool = True
    """False where codes cannot tell the k-th best row from thousands of others."""


class CodedRows:
    """Rows with their codes, in class lists and topic lists. Immutable, safe for many threads."""

    def __init__(
        self,
        rows: StoredRows,
        codebook: Codebook,
        codes: Codes,
        *,
        class_list_of: npt.NDArray[np.int32],
        topic_of: npt.NDArray[np.int32],
        topics: Topics,
        row_of: npt.NDArray[np.int32],
    ) -> None:
        """Take one code, class list, topic and row number for each position."""
        self._rows, self._row_of, self._topics = rows, row_of, topics
        self._class_list_of, self._topic_of = class_list_of, topic_of
        self._by_class = CodeLists(codebook, codes, class_list_of, int(class_list_of.max()) + 1)
        self._by_topic = CodeLists(codebook, codes, topic_of, len(topics.centroids))

    @property
    def n_bytes(self) -> int:
        """Of packed codes and their names, in both kinds of lists."""
        return self._by_class.n_bytes + self._by_topic.n_bytes

    def best(self, queries: Float32Matrix, readable: ReadableRows, top_k: int, *, threads: int = 1) -> list[Best]:
        """Return the best `top_k` rows for each query, ties by ascending row number.

        Args:
            top_k: at most `readable.count`.
            threads: for many queries.
        """
        if readable.count < TOPIC_ROWS:
            return self._scan_plan(queries, readable, top_k, threads)
        return self._topics_plan(queries, readable, top_k, threads)

    def _scan_plan(self, queries: Float32Matrix, readable: ReadableRows, top_k: int, threads: int = 1) -> list[Best]:
        lists = np.tile(self._class_lists(readable), (len(queries), 1))
        found = self._look(self._by_class, "scan", queries, lists, readable, top_k, threads)
        return [
            self._deepened(best, self._by_class, queries[number], lists[number], readable, top_k)
            for number, best in enumerate(found)
        ]

    def _topics_plan(self, queries: Float32Matrix, readable: ReadableRows, top_k: int, threads: int) -> list[Best]:
        """Look into the nearest lists; what they give tells how many more are needed, and whether a scan of everything is cheaper."""
        counts = readable.per_list("topic", self._topic_of, len(self._by_topic.sizes))
        scores = queries @ self._topics.centroids.T
        if readable.count < readable.total:
            scores[:, counts == 0] = -np.inf
        first = _nearest_with(scores, counts, top_k * _FIRST_ROWS_PER_HIT)
        if first is None:
            return self._scan_plan(queries, readable, top_k, threads)
        found = self._look(self._by_topic, "topics", queries, first, readable, top_k, threads)
        for number, best in enumerate(found):
            expected = self._topics.beyond_lists(counts, scores[number], float(best.scores[-1]))
            expected[first[number]] = 0
            lists = first[number]
            if float(expected.sum()) > _MISSES * top_k:
                lists = np.concatenate([lists, _until_few_remain(expected, _MISSES * top_k)])
                query = queries[number : number + 1]
                if self._cost(self._by_topic, lists) > self._cost(self._by_class, self._class_lists(readable)):
                    found[number] = self._scan_plan(query, readable, top_k)[0]
                    continue
                best = self._look(self._by_topic, "topics", query, lists[None], readable, top_k)[0]
            found[number] = self._deepened(best, self._by_topic, queries[number], lists, readable, top_k)
        return found

    def _class_lists(self, readable: ReadableRows) -> npt.NDArray[np.int64]:
        return np.flatnonzero(readable.per_list("class", self._class_list_of, len(self._by_class.sizes)))

    @staticmethod
    def _cost(lists: CodeLists, numbers: npt.NDArray[np.int64]) -> int:
        return int(lists.sizes[numbers].sum()) + _LIST_COST * len(numbers)

    def _look(
        self,
        code_lists: CodeLists,
        plan: str,
        queries: Float32Matrix,
        lists: Lists,
        readable: ReadableRows,
        top_k: int,
        threads: int = 1,
    ) -> list[Best]:
        """Scan each query's lists, shape (n_queries, n), for candidates, and score the first of them exactly."""
        lists = np.ascontiguousarray(lists)
        wanted = min(_FETCHED_PER_SCORED * _first_scored(top_k), readable.count)
        estimates, positions = code_lists.scan(
            queries, lists, wanted, readable.options(lists.shape[1]), threads=threads
        )
        sizes = code_lists.sizes[lists].sum(axis=1)
        return [
            self._scored(Candidates(plan, int(sizes[number]), estimates[number], positions[number]), query, top_k)
            for number, query in enumerate(queries)
        ]

    def _deepened(
        self, best: Best, code_lists: CodeLists, query: Float32Vector, lists: Lists, readable: ReadableRows, top_k: int
    ) -> Best:
        """Score more candidates, scanning again if need be, until few that were not scored can be better."""
        while best.scored < best.depth and best.scored < readable.count:
            if best.scored >= _most_scored(top_k):
                best.complete = False
                break
            wanted = min(best.depth, readable.count, _most_scored(top_k))
            candidates = best.candidates
            if wanted > len(candidates.positions):
                lists = np.ascontiguousarray(lists).reshape(1, -1)
                estimates, positions = code_lists.scan(query[None], lists, wanted, readable.options(lists.shape[1]))
                candidates = replace(candidates, estimates=estimates[0], positions=positions[0])
            best = self._scored(candidates, query, top_k, wanted)
        return best

    def _scored(self, candidates: Candidates, query: Float32Vector, top_k: int, wanted: int = 0) -> Best:
        """Return the best of the first `wanted` candidates by exact score, and how many it would take.

        How far estimates are off, the candidates tell: the lower half of them lies as the rows beyond do, so its mean error is theirs.
        """
        wanted = min(wanted or _first_scored(top_k), len(candidates.positions))
        positions, estimates = candidates.positions[:wanted], candidates.estimates[:wanted]
        if positions[-1] < 0:
            positions = positions[positions >= 0]
        exact = self._rows.scores(query, positions)
        order = np.lexsort((self._row_of[positions], -exact))[:top_k]
        best = Best(positions[order], exact[order], candidates, wanted, wanted)
        if len(positions) == wanted > top_k:
            half = wanted // 2
            off = exact - estimates
            bias = float(off[half:].sum()) / (wanted - half)
            variance = float(off.dot(off)) / wanted - (float(off.sum()) / wanted) ** 2
            last = float(estimates[-1])
            best.depth = depth_for(
                wanted,
                float(best.scores[-1]) - last - bias,
                float(estimates[half]) - last,
                max(1e-12, variance) ** 0.5,
                allowed=_MISSES * top_k,
                most=2 * _most_scored(top_k),
            )
        return best


def _first_scored(top_k: int) -> int:
    return 70 + 3 * top_k


def _most_scored(top_k: int) -> int:
    return 4096 + 4 * top_k


def _largest(scores: Float32Vector, wanted: int) -> npt.NDArray[np.int64]:
    """Return the places of the `wanted` largest scores, largest first."""
    wanted = min(wanted, len(scores))
    places = scores.argpartition(-wanted)[-wanted:]
    return places[scores[places].argsort()[::-1]]


def _nearest_with(scores: Float32Matrix, counts: npt.NDArray[np.int64], rows: int) -> Lists | None:
    """Return each query's nearest lists, as many for all, that hold `rows` readable rows; None where that takes more than a look."""
    for wanted in (_FIRST_LISTS, _MOST_FIRST_LISTS):
        nearest = np.array([_largest(row, wanted) for row in scores])
        if int(counts[nearest].sum(axis=1).min()) >= rows:
            return nearest
    return None


def _until_few_remain(expected: Float32Vector, allowed: float) -> npt.NDArray[np.int64]:
    """Return the fewest lists, those with the most expected misses, without which the others hold no more than `allowed`."""
    order = np.argsort(-expected, kind="stable")
    remaining = expected[order][::-1].cumsum()[::-1]
    return order[: int(np.count_nonzero(remaining > allowed))]
