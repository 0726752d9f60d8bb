"""Filtered search over many rows: codes are scanned, the best are scored exactly, until few of the true best can be missing.

Every row is in two lists: one of its ACL class at build time, one of its topic. A search takes the plan that has less to scan:

    scan      all codes in the class lists that hold readable rows: what it costs depends on the readable rows alone
    topics    the nearest topic lists that hold readable rows, then as many more as `Tail` asks for

Both leave out what may not be read inside the scan. How deep to go is decided by expected misses (`indexes/misses.py`), not by a fixed depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from indexes.arrays import Float32Matrix
from indexes.kernels import best_of, nearest_lists, rows_beyond, shares_beyond
from indexes.misses import Float32Vector, depth_for
from indexes.product_codes import CodeLists, Positions
from indexes.readable import ReadableRows
from indexes.stored_rows import StoredRows
from indexes.topics import Topics

TOPICS_COST = 20_000
"""What the first look into topic lists costs, in codes scanned: class lists that hold less are scanned instead."""

_MISSES = 0.00003
"""Expected share of the true best rows that one step may leave out."""
_FIRST_LISTS, _MOST_FIRST_LISTS = 8, 48
_FIRST_ROWS_PER_HIT = 10
_SHARED_QUERIES = 16
_LIST_COST = 300
"""Going to a list takes as long as scanning so many codes."""
_FETCHED, _FETCHED_SCAN, _FETCHED_WIDE = 2, 12, 40
"""Candidates fetched for each that is scored at first: to scan again costs more. Where a first look did not do, many will be needed."""

Lists = npt.NDArray[np.int64]


@dataclass(slots=True)
class Best:
    """The best rows of n queries: positions and exact scores, shape (n, top_k), best first; and how each was found."""

    positions: Positions
    scores: Float32Matrix
    plans: list[str]
    scanned: list[int]
    complete: list[bool]
    """False where codes cannot tell the k-th best row from thousands of others."""

    def replace(self, number: int, other: Best) -> None:
        """Take the one answer of `other` for the query of that number."""
        self.positions[number], self.scores[number] = other.positions[0], other.scores[0]
        self.plans[number], self.scanned[number], self.complete[number] = (
            other.plans[0],
            other.scanned[0],
            other.complete[0],
        )


@dataclass(slots=True)
class _Look:
    """What a scan of each query's lists found, and the best of its first `scored` candidates by exact score."""

    queries: Float32Matrix
    lists: Lists
    """Shape (n, any); -1 names none."""
    offsets: Float32Matrix
    """Query times centroid, of topic lists; shape (n, any)."""
    estimates: Float32Matrix
    """Shape (n, any), best first; positions -1 where there are no more."""
    positions: Positions
    best: Positions
    scores: Float32Matrix
    scored: int
    depth: list[int]
    """Candidates it would take for few of the true best to be missing."""


class CodedRows:
    """Rows with their codes, in class lists and topic lists. Immutable, safe for many threads."""

    def __init__(
        self,
        rows: StoredRows,
        by_class: CodeLists,
        by_topic: CodeLists,
        *,
        class_list_of: npt.NDArray[np.int32],
        topic_of: npt.NDArray[np.int32],
        topics: Topics,
        row_of: npt.NDArray[np.int32],
    ) -> None:
        """Take the class list, topic list and row number of each position; the codes in topic lists are residual."""
        self._rows, self._row_of, self._topics = rows, row_of, topics
        self._class_list_of, self._topic_of = class_list_of, topic_of
        self._by_class, self._by_topic = by_class, by_topic

    @property
    def n_bytes(self) -> int:
        """Of packed codes and their names, in both kinds of lists."""
        return self._by_class.n_bytes + self._by_topic.n_bytes

    def best(self, queries: Float32Matrix, readable: ReadableRows, top_k: int, *, threads: int = 1) -> Best:
        """Return the best `top_k` rows for each query, ties by ascending row number.

        Args:
            queries: shape (n, dim), contiguous.
            top_k: at most `readable.count`.
            threads: for many queries.
        """
        search = _Search(self._rows, self._row_of, readable, top_k, threads)
        classes = readable.lists("class", self._class_list_of, len(self._by_class.sizes)).numbers
        if _cost(self._by_class, classes) <= TOPICS_COST:
            return self._scan_plan(search, queries, classes, _FETCHED_SCAN)
        return self._topics_plan(search, queries, classes)

    def _scan_plan(self, search: _Search, queries: Float32Matrix, classes: Lists, fetched: int) -> Best:
        lists = classes[None].repeat(len(queries), axis=0)
        offsets = np.zeros(lists.shape, np.float32)
        look = search.deepened(search.look(self._by_class, queries, lists, offsets, fetched), self._by_class)
        return self._found("scan", look, self._by_class, search)

    def _topics_plan(self, search: _Search, queries: Float32Matrix, classes: Lists) -> Best:
        """Look into the nearest lists; what they give tells how many more are needed, and whether a scan of everything is cheaper."""
        topics, top_k = self._topics, search.top_k
        counts = search.readable.lists("topic", self._topic_of, len(topics.centroids)).counts
        scores = queries @ topics.centroids.T
        first = _nearest_with(scores, counts, top_k * _FIRST_ROWS_PER_HIT)
        if first is None:
            return self._scan_plan(search, queries, classes, _FETCHED_WIDE)
        offsets = scores[np.arange(len(queries))[:, None], first]
        look = search.look(self._by_topic, queries, first, offsets, _FETCHED)
        kth = look.scores[:, -1].copy()
        beyond = rows_beyond(scores, counts, topics.spread, topics.tail.share, kth, first).tolist()
        wide = [number for number, rows in enumerate(beyond) if rows > _MISSES * top_k]
        for number in wide:
            look.depth[number] = 0  # it starts anew below
        best = self._found("topics", search.deepened(look, self._by_topic), self._by_topic, search)
        for number in wide:
            expected = counts * shares_beyond(scores[number], topics.spread, topics.tail.share, float(kth[number]))
            visited = first[number][first[number] >= 0]
            expected[visited] = 0
            lists = np.concatenate([visited, _until_few_remain(expected, _MISSES * top_k)])[None]
            best.replace(number, self._wide_plan(search, queries[number, None], lists, scores[number, lists], classes))
        return best

    def _wide_plan(
        self, search: _Search, query: Float32Matrix, lists: Lists, offsets: Float32Matrix, classes: Lists
    ) -> Best:
        """Look into all topic lists that can matter to one query, or scan everything where that is cheaper."""
        if _cost(self._by_topic, lists[0]) > _cost(self._by_class, classes):
            return self._scan_plan(search, query, classes, _FETCHED_WIDE)
        look = search.deepened(search.look(self._by_topic, query, lists, offsets, _FETCHED_WIDE), self._by_topic)
        return self._found("topics", look, self._by_topic, search)

    @staticmethod
    def _found(plan: str, look: _Look, code_lists: CodeLists, search: _Search) -> Best:
        scanned = (code_lists.sizes[look.lists] * (look.lists >= 0)).sum(axis=1).tolist()
        complete = [depth <= search.most_scored for depth in look.depth]
        return Best(look.best, look.scores, [plan] * len(scanned), scanned, complete)


@dataclass(frozen=True, slots=True)
class _Search:
    """What the steps of a search have in common."""

    rows: StoredRows
    row_of: npt.NDArray[np.int32]
    readable: ReadableRows
    top_k: int
    threads: int

    @property
    def first_scored(self) -> int:
        return 70 + 3 * self.top_k

    @property
    def most_scored(self) -> int:
        return min(4096 + 4 * self.top_k, self.readable.count)

    def _threads(self, queries: Float32Matrix) -> int:
        """Few queries are too short a work to share: threads would wait for each other."""
        return self.threads if len(queries) >= _SHARED_QUERIES else 1

    def look(
        self, code_lists: CodeLists, queries: Float32Matrix, lists: Lists, offsets: Float32Matrix, fetched: int
    ) -> _Look:
        """Scan each query's lists, shape (n_queries, n), for candidates, and score the first of them exactly."""
        fetched = min(fetched * self.first_scored, self.readable.count)
        found = self._scan(code_lists, queries, lists, offsets, fetched)
        return self._scored(queries, lists, offsets, *found, self.first_scored)

    def deepened(self, look: _Look, code_lists: CodeLists) -> _Look:
        """Score more candidates where it takes them, scanning again if need be, until few that were not scored can be better."""
        most, depths = self.most_scored, list(look.depth)
        for depth in sorted({depth for depth in look.depth if look.scored < min(depth, most)}):
            deep = [number for number, its_depth in enumerate(look.depth) if its_depth == depth]
            wanted = min(depth, most)
            queries, lists, offsets = look.queries[deep], look.lists[deep], look.offsets[deep]
            found = look.estimates[deep], look.positions[deep]
            if wanted > look.positions.shape[1]:
                found = self._scan(code_lists, queries, lists, offsets, min(2 * wanted, most))
            deeper = self.deepened(self._scored(queries, lists, offsets, *found, wanted), code_lists)
            look.best[deep], look.scores[deep] = deeper.best, deeper.scores
            for number, its_depth in zip(deep, deeper.depth, strict=True):
                depths[number] = its_depth
        look.depth = depths
        return look

    def _scan(
        self, code_lists: CodeLists, queries: Float32Matrix, lists: Lists, offsets: Float32Matrix, fetched: int
    ) -> tuple[Float32Matrix, Positions]:
        options = self.readable.options(lists.shape[1])
        return code_lists.scan(queries, lists, offsets, fetched, options, threads=self._threads(queries))

    def _scored(
        self,
        queries: Float32Matrix,
        lists: Lists,
        offsets: Float32Matrix,
        estimates: Float32Matrix,
        positions: Positions,
        wanted: int,
    ) -> _Look:
        """Take the best of each query's first `wanted` candidates by exact score, and tell how many it would take.

        How far estimates are off, the candidates tell: the lower half of them lies as the rows beyond do, so its mean error is theirs.
        """
        wanted = min(wanted, positions.shape[1])
        first, guesses = np.ascontiguousarray(positions[:, :wanted]), estimates[:, :wanted]
        exact = self.rows.scores(queries, first, threads=self._threads(queries))
        places, errors = best_of(exact, guesses, first, self.row_of, self.top_k)
        each = np.arange(len(queries))[:, None]
        scores = exact[each, places]
        depths = [wanted] * len(queries)
        if self.top_k < wanted < self.readable.count:
            ends = zip(scores[:, -1].tolist(), guesses[:, wanted // 2].tolist(), guesses[:, -1].tolist(), strict=True)
            lacking = (first[:, -1] < 0).tolist()
            for number, ((tail, mean, square), (kth, middle, last)) in enumerate(
                zip(errors.tolist(), ends, strict=True)
            ):
                if not lacking[number]:
                    error = max(1e-12, square - mean * mean) ** 0.5
                    depths[number] = depth_for(
                        wanted, kth - last - tail, middle - last, error,
                        allowed=_MISSES * self.top_k, most=2 * self.most_scored,
                    )  # fmt: skip
        return _Look(queries, lists, offsets, estimates, positions, first[each, places], scores, wanted, depths)


def _cost(lists: CodeLists, numbers: npt.NDArray[np.int64]) -> int:
    return int(lists.sizes[numbers].sum()) + _LIST_COST * len(numbers)


def _nearest_with(scores: Float32Matrix, counts: Float32Vector, rows: int) -> Lists | None:
    """Return each query's nearest lists, as many for all, that hold `rows` readable rows; None where that takes more than a look."""
    for wanted in (_FIRST_LISTS, _MOST_FIRST_LISTS):
        nearest, fewest = nearest_lists(scores, counts, min(wanted, scores.shape[1]))
        if fewest >= rows:
            return nearest
    return None


def _until_few_remain(expected: Float32Vector, allowed: float) -> npt.NDArray[np.int64]:
    """Return the fewest lists, those with the most expected misses, without which the others hold no more than `allowed`."""
    order = np.argsort(-expected, kind="stable")
    remaining = expected[order][::-1].cumsum()[::-1]
    return order[: int(np.count_nonzero(remaining > allowed))]
