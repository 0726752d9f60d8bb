"""How good approximate searches are while they serve: one in some hundred is done again exactly, aside, and compared.

Only counts are kept, by plan: no query, no row, nobody's name. They are of all tenants together and for operators, not for who searches: how often
a plan is taken, and how much it scans, also depends on rows that the searcher may not read.
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from threading import Lock, Thread
from typing import Protocol, runtime_checkable

from indexes.access import AccessFilter, BoolVector
from indexes.arrays import Float32Matrix
from indexes.vectors import Found, Plan

ROW_BUCKETS = tuple(10**power for power in range(8))
"""Upper bounds of what is told of numbers of rows: the order of magnitude. A sum would give single searches away."""

_EXACT_PLANS = frozenset({"none", "exact"})
_SLACK = 1e-6
"""Equal vectors may differ so much in score where other rows are scored beside them."""
_REST = 20
"""After a check, so many times what it took goes by before the next one: exact search must not eat what approximation saves."""

log = logging.getLogger("loremill.recall")


@runtime_checkable
class ExactIndex(Protocol):
    """A vector index that can also search without approximation. Others take no part."""

    def exact(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """As `VectorIndex.search`, scoring every row that passes."""


@dataclass(slots=True)
class PlanCounts:
    """What the searches of one plan were; `hits` of the `expected` best rows were found in those that were `checked`.

    `readable` and `scanned` count searches by ROW_BUCKETS; the last place is of larger ones. Engines that do not say scan no bucket.
    """

    searches: int = 0
    checked: int = 0
    hits: int = 0
    expected: int = 0
    readable: list[int] = field(default_factory=lambda: [0] * (len(ROW_BUCKETS) + 1))
    scanned: list[int] = field(default_factory=lambda: [0] * (len(ROW_BUCKETS) + 1))

    def add(self, plan: Plan) -> None:
        self.searches += 1
        self.readable[bisect_left(ROW_BUCKETS, plan.readable)] += 1
        if plan.scanned >= 0:
            self.scanned[bisect_left(ROW_BUCKETS, plan.scanned)] += 1


class RecallSampler:
    """Counts dense searches, and checks one in `every` approximate ones in a thread of its own. Safe for many threads.

    At most one check runs; a search that is due meanwhile, or while the sampler rests after one, goes unchecked.

    Args:
        every: 1 checks each search that it can, 0 none.
    """

    def __init__(self, every: int) -> None:
        self._every = every
        self._approximate = 0
        self._dropped = 0
        self._counts: dict[str, PlanCounts] = {}
        self._thread: Thread | None = None
        self._next_from = 0.0
        self._lock = Lock()

    @property
    def dropped(self) -> int:
        """Checks that were due and were not made, or came to nothing because rights had changed."""
        return self._dropped

    def counts(self) -> Mapping[str, PlanCounts]:
        """Return a copy of the counts of each plan seen so far."""
        with self._lock:
            return deepcopy(self._counts)

    def searched(
        self,
        index: object,
        query: Float32Matrix,
        found: Found,
        *,
        top_k: int,
        access: AccessFilter,
        where: BoolVector | None,
        unchanged: Callable[[], bool],
    ) -> None:
        """Count one search and, if its turn has come, start its check; the caller waits for nothing.

        Args:
            query: float32, shape (1, dim), as searched for; so are `top_k`, `access` and `where`.
            unchanged: asked after the check, in its thread: whether the rights that the index carries are still those of the search.
        """
        with self._lock:
            self._counts.setdefault(found.plan.name, PlanCounts()).add(found.plan)
            if not self._every or found.plan.name in _EXACT_PLANS:
                return
            self._approximate += 1
            if self._approximate % self._every or not isinstance(index, ExactIndex):
                return
            if self._thread is not None or time.monotonic() < self._next_from:
                self._dropped += 1
                return

            def again() -> Found:
                return index.exact(query, top_k=top_k, access=access, where=where)[0]

            thread = Thread(target=self._check, args=(found, again, unchanged), name="recall check")
            try:
                thread.start()
                self._thread = thread
            except RuntimeError:  # the machine has no thread left
                self._dropped += 1

    def wait(self) -> None:
        """Wait for the check that runs, if one does."""
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _check(self, found: Found, again: Callable[[], Found], unchanged: Callable[[], bool]) -> None:
        started = time.monotonic()
        try:
            expected = again()
            comparable = unchanged()
        except Exception as error:  # an index that fails here fails its searches too, which say more
            log.warning("a recall check failed: %s", type(error).__name__)
            comparable = False
        ended = time.monotonic()
        with self._lock:
            if comparable:
                counts = self._counts[found.plan.name]
                counts.checked += 1
                counts.hits += hits(found, expected)
                counts.expected += len(expected.rows)
            else:
                self._dropped += 1
            self._thread, self._next_from = None, ended + _REST * (ended - started)


def hits(found: Found, expected: Found) -> int:
    """Return how many of the exact best rows were found; one that scores as the last of them counts as it.

    Source: Aumueller, Bernhardsson and Faithfull, arXiv:1807.05614, for recall by score, which ties do not disturb.
    """
    if not len(expected.rows):
        return 0
    return min(len(expected.rows), int((found.scores >= expected.scores[-1] - _SLACK).sum()))
