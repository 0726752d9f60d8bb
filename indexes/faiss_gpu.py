"""FAISS's own exact GPU index, in half precision, with candidates scored by the float32 rows on the host.

FAISS's flat GPU index takes no IDSelector: `GpuIndexFlat` ignores the search parameters that it is given (1.15.1, built without cuVS). So an
index is made of just the readable rows, once for each set of readable classes; those used last stay on the device. A metadata filter makes
one for its search alone; where few rows pass, the host answers.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.candidates import Candidates, Finish, half_slack, settled
from indexes.errors import DependencyMissing
from indexes.mapped_rows import MappedRows, write_rows
from indexes.vectors import NOTHING, Base, Found, Plan, VectorOptions, check_classes, check_search

log = logging.getLogger("loremill.index")

MOST_CANDIDATES = 2048
"""FAISS selects no more on a GPU."""
_FEW = 20_000
"""Rows that the host scores sooner than they are copied to the device for one search."""
_BLOCK_ROWS = 1 << 16
_INSTALL = (
    "pip uninstall faiss-cpu, then pip install faiss-gpu==1.15.1: both are the module faiss, so never side by side"
)

MakeIndex = Callable[[int], Any]
"""Makes an empty inner-product index for vectors of so many dimensions."""


def gpu_unavailable() -> str:
    """Say why FAISS has no GPU here and what to do; empty where it has."""
    try:
        import faiss
    except ImportError:
        return str(DependencyMissing("faiss-gpu"))
    if not hasattr(faiss, "StandardGpuResources"):
        return f"the faiss that is installed has no GPU code: {_INSTALL}"
    return "" if faiss.get_num_gpus() else "faiss sees no GPU: choose faiss, or check the driver (nvidia-smi)"


def half_index_maker() -> MakeIndex:
    """Return what makes indexes in half precision on the first GPU."""
    import faiss

    resources = faiss.StandardGpuResources()

    def make(dim: int) -> Any:
        config = faiss.GpuIndexFlatConfig()
        config.useFloat16 = True
        return faiss.GpuIndexFlatIP(resources, dim, config)

    return make


class FaissGpuBackend:
    """Builds files of rows and opens them on the first GPU; on the host, with a warning, where there is none."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        return gpu_unavailable()

    def build(
        self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector, base: Base | None = None
    ) -> None:
        write_rows(blocks, dim, path)

    def open(self, path: Path) -> FaissGpuIndex:
        rows = MappedRows.open(path)
        reason = "device = cpu" if self._options.device == "cpu" else gpu_unavailable()
        if reason:
            log.warning("vectors are searched on the host: %s", reason)
            return FaissGpuIndex(rows, None)
        return FaissGpuIndex(rows, half_index_maker())


@dataclass(frozen=True, slots=True)
class _Rights:
    """The rows' classes, and the indexes of readable rows under them, used last at the end; a policy that changes brings a new one."""

    classes: Int32Vector
    kept: OrderedDict[frozenset[int], tuple[Int64Vector, Any]] = field(default_factory=OrderedDict)


class FaissGpuIndex:
    """Rows of one build; searches of several threads take turns on the device.

    Args:
        make: makes an index on the device; None searches on the host.
    """

    def __init__(self, rows: MappedRows, make: MakeIndex | None) -> None:
        self._rows = rows
        self._make = make
        self._rights: _Rights | None = None
        self._lock = Lock()
        self.dim: int = rows.matrix.shape[1]

    def __len__(self) -> int:
        return len(self._rows.matrix)

    def assign_classes(self, classes: Int32Vector) -> None:
        check_classes(classes, len(self))
        with self._lock:  # so that no search of before fills the device with what nobody asks for any more
            if self._rights is not None:
                self._rights.kept.clear()
            self._rights = _Rights(classes)

    def scores(self, query: Float32Matrix, rows: Int64Vector) -> npt.NDArray[np.float32]:
        return self._rows.scores(query, rows)

    def norms(self) -> npt.NDArray[np.float32]:
        return self._rows.norms()

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """See `VectorIndex.search`. Cost: O(n_readable * dim) to copy the readable rows for a new set of classes, then to scan them."""
        rights = self._rights
        check_search(queries, self.dim, rights.classes if rights else None, where)
        assert rights is not None
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        with self._lock:
            rows, index = self._readable(access, where, rights)
            if not len(rows) or not len(queries):
                return [NOTHING] * len(queries)
            top_k = min(top_k, len(rows))
            if index is not None:
                try:
                    return self._on_device(queries, top_k, rows, index)
                except RuntimeError as error:
                    self._no_room(error)
        return self._rows.best(queries, top_k, None if len(rows) == len(self) else rows)

    def _readable(self, access: AccessFilter, where: BoolVector | None, rights: _Rights) -> tuple[Int64Vector, Any]:
        """Return the rows that pass both filters and their index; None for what the host is to search."""
        if where is None and (known := rights.kept.get(access.classes)) is not None:
            rights.kept.move_to_end(access.classes)
            return known
        mask = access.mask(rights.classes)
        if where is not None:
            mask &= where
        rows = np.flatnonzero(mask)
        if self._make is None or not len(rows) or (where is not None and len(rows) <= _FEW):
            return rows, None
        made = rows, self._indexed(rows, rights)
        if where is None and made[1] is not None:
            rights.kept[access.classes] = made
        return made

    def _indexed(self, rows: Int64Vector, rights: _Rights) -> Any:
        """Copy the rows to the device; whatever was kept longest makes room for them. None where even then there is none."""
        assert self._make is not None
        while True:
            try:
                index = self._make(self.dim)
                for at in range(0, len(rows), _BLOCK_ROWS):
                    index.add(self._rows.matrix[rows[at : at + _BLOCK_ROWS]])
                return index
            except RuntimeError as error:
                if not rights.kept:
                    self._no_room(error)
                    return None
            rights.kept.popitem(last=False)

    def _no_room(self, error: RuntimeError) -> None:
        """Search on the host from now on if it was memory that failed.

        Raises:
            RuntimeError: it was something else.
        """
        if not any(word in str(error) for word in ("out of memory", "alloc", "Alloc")):
            raise error
        if self._make is not None:
            log.warning("%d vectors have no room on the GPU: they are searched on the host", len(self))
        self._make = None
        if self._rights is not None:
            self._rights.kept.clear()

    def _on_device(self, queries: Float32Matrix, top_k: int, rows: Int64Vector, index: Any) -> list[Found]:
        def start(some: Float32Matrix, wanted: int) -> Finish:
            if wanted > MOST_CANDIDATES:
                return lambda: self._rows.candidates(some, wanted, rows)
            scores, places = index.search(some, wanted)
            beyond = np.full(len(some), -np.inf) if wanted == len(rows) else scores[:, -1]
            return lambda: Candidates(rows[places], scores, beyond)

        slack = half_slack(queries, longest=self._rows.longest, half_error=self._rows.half_error)
        found = settled(queries, top_k=top_k, readable=len(rows), slack=slack, start=start, exact=self._rows)
        return [Found(*one, Plan("gather", len(rows), len(rows))) for one in found]
