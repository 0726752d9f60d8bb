"""The rows that one principal may read in one index, as the plans need them. Made once for each set of readable classes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector
from indexes.product_codes import Positions, faiss_module

_KEPT_BYTES = 128_000_000
_FEW = 4096


class ReadableRows:
    """A mask over the positions of an index, and what follows from it."""

    def __init__(self, mask: BoolVector) -> None:
        self.count = int(np.count_nonzero(mask))
        self.total = len(mask)
        self._bits = np.packbits(mask, bitorder="little")
        self._lists: dict[str, npt.NDArray[np.int64]] = {}
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

    def per_list(self, division: str, list_of: npt.NDArray[np.int32], n_lists: int) -> npt.NDArray[np.int64]:
        """Return how many readable rows each list of an index's `division` holds; counted once."""
        if division not in self._lists:
            self._lists[division] = np.bincount(list_of[self.mask], minlength=n_lists)
        return self._lists[division]

    @property
    def n_bytes(self) -> int:
        return self._bits.nbytes + sum(counts.nbytes for counts in self._lists.values()) + 8 * _FEW


class ReadableCache:
    """Keeps the readable rows of the sets of classes asked for lately. Safe for many threads; belongs to one assignment of classes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[frozenset[int], ReadableRows] = OrderedDict()
        self._lock = Lock()

    def get(self, access: AccessFilter, make: Callable[[], ReadableRows]) -> ReadableRows:
        """Return the rows of the set of classes, made by `make` where they are not kept."""
        with self._lock:
            if (found := self._kept.get(access.classes)) is not None:
                self._kept.move_to_end(access.classes)
                return found
        made = make()
        with self._lock:
            self._kept[access.classes] = made
            while len(self._kept) > 1 and sum(rows.n_bytes for rows in self._kept.values()) > _KEPT_BYTES:
                self._kept.popitem(last=False)
        return made
