"""From "these rows may be found" to a filter that Qdrant applies inside its search.

A point's payload is the ACL class that its row had when the build was made, and it is never updated: several processes open one build
with rights of different epochs, and a payload that one of them writes would be stale, or ahead, for the others. The client turns its own
rights into classes at build time, and names the rows that have moved since. Whoever moves a whole class names no row at all.

    wanted rows --> classes most of whose rows are wanted, less `without`, plus `rows`

Naming rows costs about a microsecond each at every search. Beyond `NAMED` the filter only narrows: it lets the classes pass that hold
any wanted row, and the search asks for so many more candidates as it expects to drop. Where those do not do, it names all rows after all.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Int64Vector

NAMED = 1_000
"""Most rows that a filter names before it lets candidates through that the client drops."""
_SURPLUS = 8
"""Most candidates that are asked for in place of one, where they are to be dropped."""
_READERS_KEPT = 256


def _no_rows() -> Int64Vector:
    return np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Admitted:
    """A row passes if its class at build time is in `classes` and it is not in `without`, or if it is in `rows`.

    `passing` counts the rows that do: more than are wanted, where naming all others would have been too long.
    """

    passing: int
    classes: tuple[int, ...]
    rows: Int64Vector = field(default_factory=_no_rows)
    without: Int64Vector = field(default_factory=_no_rows)


class Layout:
    """The classes at build time, sorted once for the filters made of them."""

    def __init__(self, built: Int32Vector) -> None:
        self._classes, self._place, self._sizes = np.unique(built, return_inverse=True, return_counts=True)

    def admit(self, wanted: BoolVector, *, named: int | None = NAMED) -> Admitted:
        """Return the filter that lets the wanted rows pass.

        Args:
            wanted: one flag a row.
            named: most rows to name; None where no other row may pass, as where rows are counted.
        Cost: O(rows).
        """
        count = int(np.count_nonzero(wanted))
        held = np.bincount(self._place[wanted], minlength=len(self._classes))
        mostly = held * 2 > self._sizes
        through = mostly[self._place]
        rows, without = np.flatnonzero(wanted & ~through), np.flatnonzero(through & ~wanted)
        if named is None or len(rows) + len(without) <= named:
            return Admitted(count, tuple(self._classes[mostly].tolist()), rows, without)
        if count <= named:
            return Admitted(count, (), np.flatnonzero(wanted))
        passing = int(self._sizes[held > 0].sum())
        if passing > _SURPLUS * count:
            return Admitted(count, tuple(self._classes[mostly].tolist()), rows, without)
        return Admitted(passing, tuple(self._classes[held > 0].tolist()))


@dataclass(frozen=True, slots=True)
class Wanted:
    """The rows that pass rights and mask, and the engine's filter for them."""

    mask: BoolVector
    count: int
    admitted: Admitted


@dataclass(frozen=True, slots=True)
class Rights:
    """The classes assigned and what was worked out under them: one object, so that a search sees one state throughout."""

    classes: Int32Vector
    layout: Layout
    readers: dict[frozenset[int], Wanted] = field(default_factory=dict)

    def wanted(self, access: AccessFilter, where: BoolVector | None) -> Wanted:
        """Return what may be found. Without a mask it is worked out once for all who read the same classes."""
        if where is None and (known := self.readers.get(access.classes)) is not None:
            return known
        mask = access.mask(self.classes)
        if where is not None:
            mask &= where
        wanted = Wanted(mask, int(np.count_nonzero(mask)), self.layout.admit(mask))
        if where is None:
            if len(self.readers) >= _READERS_KEPT:
                self.readers.clear()
            self.readers[access.classes] = wanted
        return wanted
