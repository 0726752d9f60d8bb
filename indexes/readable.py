"""The rows that one principal may read in one index, as the plans need them. Made once for each set of readable classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import ref

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector
from indexes.product_codes import Positions, faiss_module

_KEPT_BYTES = 128_000_000
_FEW = 4096


@dataclass(frozen=True, slots=True)
class ReadableLists:
    """How the readable rows fall into the lists of a division."""

    counts: npt.NDArray[np.float32]
    """Rows of each list; exact up to 2**24."""
    numbers: npt.NDArray[np.int64]
    """The lists that hold any."""


class ReadableRows:
    """A mask over the positions of an index, and what follows from it."""

    def __init__(self, mask: BoolVector) -> None:
        self.count = int(np.count_nonzero(mask))
        self.total = len(mask)
        self._bits = np.packbits(mask, bitorder="little")
        self._lists: dict[str, ReadableLists] = {}
        self._positions: Positions | None = None
        self._lock = Lock()
        self._selector: Any = None
        self._options: dict[int, Any] = {}

    @property
    def mask(self) -> BoolVector:
        return np.unpackbits(self._bits, count=self.total, bitorder="little").view(bool)

    @property
    def positions(self) -> Positions:
        """Ascending; kept where they are few."""
        if self._positions is not None:
            return self._positions
        positions = np.flatnonzero(self.mask)
        if len(positions) <= _FEW:
            self._positions = positions
        return positions

    def options(self, n_lists: int) -> Any:
        """Return FAISS's parameters of a search of so many lists that leaves out what may not be read."""
        if (found := self._options.get(n_lists)) is not None:
            return found
        faiss = faiss_module()
        with self._lock:  # FAISS keeps a bare pointer to the selector: there must be one only
            if self._selector is None and self.count < self.total:
                self._selector = faiss.IDSelectorBitmap(self.total, faiss.swig_ptr(self._bits))
            return self._options.setdefault(n_lists, faiss.IVFSearchParameters(nprobe=n_lists, sel=self._selector))

    def lists(self, division: str, list_of: npt.NDArray[np.int32], n_lists: int) -> ReadableLists:
        """Return how the readable rows fall into an index's `division`; counted once."""
        if (found := self._lists.get(division)) is not None:
            return found
        counts = np.bincount(list_of[self.mask], minlength=n_lists).astype(np.float32)
        return self._lists.setdefault(division, ReadableLists(counts, np.flatnonzero(counts)))

    @property
    def n_bytes(self) -> int:
        return self._bits.nbytes + sum(of.counts.nbytes + of.numbers.nbytes for of in self._lists.values()) + 8 * _FEW


class ReadableCache:
    """Keeps the readable rows of the filters asked for lately. Safe for many threads; belongs to one assignment of classes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[frozenset[int], int], tuple[ReadableRows, ref[BoolVector] | None]] = OrderedDict()
        self._lock = Lock()

    def get(self, access: AccessFilter, where: BoolVector | None, make: Callable[[], ReadableRows]) -> ReadableRows:
        """Return the rows of a set of classes under a metadata mask, made by `make` where they are not kept.

        A mask is known by its identity: who asks again with the same array has not changed it in between.
        """
        key = access.classes, id(where)
        with self._lock:
            if (found := self._kept.get(key)) is not None and (found[1] is None or found[1]() is where):
                self._kept.move_to_end(key)
                return found[0]
        made = make()
        with self._lock:
            for gone in [old for old, (_, mask) in self._kept.items() if mask is not None and mask() is None]:
                del self._kept[gone]  # nobody can ask with this array again
            self._kept[key] = made, None if where is None else ref(where)
            while len(self._kept) > 1 and sum(rows.n_bytes for rows, _ in self._kept.values()) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        return made
