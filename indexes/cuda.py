"""Exact search on a CUDA device: rows in half precision, filtered inside the scan, candidates scored by the float32 rows on the host.

Two plans, by the number of readable rows: `gather` reads just them, by a list of their numbers that the device makes once for each set of
readable classes; `scan` reads all rows in their order, and -inf stands for what may not be read. Without room on the device the host
searches (`host`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from indexes.access import AccessFilter, BoolVector, Int32Vector
from indexes.arrays import Float32Matrix, Int64Vector
from indexes.candidates import half_slack, settled
from indexes.device import cuda_devices
from indexes.errors import DependencyMissing
from indexes.half_rows import HalfRows, Selection, out_of_memory
from indexes.mapped_rows import MappedRows, write_rows
from indexes.vectors import NOTHING, Base, Found, Plan, VectorOptions, check_classes, check_search

if TYPE_CHECKING:
    import torch

log = logging.getLogger("loremill.index")

_CUDA_BUDGET = 1 << 30
_CPU_BUDGET = 1 << 26
_KEPT_BYTES = 1 << 30
"""Device memory for the lists of readable rows."""


class CudaBackend:
    """Builds files of rows and opens them on the device that the options name."""

    def __init__(self, options: VectorOptions) -> None:
        self._options = options

    def unavailable(self) -> str:
        """See `VectorBackend.unavailable`. With `device = cpu` only torch is needed: the same steps, slower than `faiss`."""
        try:
            import torch
        except ImportError:
            return str(DependencyMissing("torch", extra="embed"))
        if self._options.device == "cpu" or (cuda_devices() and torch.cuda.is_available()):
            return ""
        if cuda_devices():
            return f"torch {torch.__version__} was built without CUDA; install a CUDA build of it"
        return "no CUDA device is visible; searches would run on the host: choose faiss"

    def build(
        self, blocks: Iterable[Float32Matrix], dim: int, path: Path, *, classes: Int32Vector, base: Base | None = None
    ) -> None:
        write_rows(blocks, dim, path)

    def open(self, path: Path) -> CudaIndex:
        rows = MappedRows.open(path)
        if reason := self.unavailable():
            log.warning("vectors are searched on the host: %s", reason)
            return CudaIndex(rows, device=None)
        return CudaIndex(rows, device="cpu" if self._options.device == "cpu" else "cuda")


@dataclass(frozen=True, slots=True)
class _Rights:
    """The rows' classes, and what was worked out from them; a policy that changes brings a new one."""

    classes: Int32Vector
    greatest: int
    on_device: list[torch.Tensor] = field(default_factory=list)
    kept: OrderedDict[frozenset[int], Selection] = field(default_factory=OrderedDict)


class CudaIndex:
    """Rows of one build. They go to the device with the first search; later ones of any thread take turns there.

    Args:
        device: a torch device; None searches on the host.
    """

    def __init__(self, rows: MappedRows, *, device: str | None) -> None:
        self._rows = rows
        self._device = device
        self._half: HalfRows | None = None
        self._rights: _Rights | None = None
        self._lock = Lock()
        self.dim: int = rows.matrix.shape[1]

    def __len__(self) -> int:
        return len(self._rows.matrix)

    def assign_classes(self, classes: Int32Vector) -> None:
        check_classes(classes, len(self))
        self._rights = _Rights(classes, int(classes.max(initial=0)))

    def scores(self, query: Float32Matrix, rows: Int64Vector) -> npt.NDArray[np.float32]:
        return self._rows.scores(query, rows)

    def norms(self) -> npt.NDArray[np.float32]:
        return self._rows.norms()

    def search(
        self, queries: Float32Matrix, *, top_k: int, access: AccessFilter, where: BoolVector | None = None
    ) -> list[Found]:
        """See `VectorIndex.search`. Cost: for every 256 queries one pass over the readable rows in half precision, or over all rows.

        Raises:
            BuildCorrupt: the file holds what is no number.
        """
        rights = self._rights
        check_search(queries, self.dim, rights.classes if rights else None, where)
        assert rights is not None
        if not len(self) or not len(queries):
            return [NOTHING] * len(queries)
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        while True:
            with self._lock:
                if self._device is None:
                    break
                try:
                    return self._on_device(queries, top_k, access, where, rights)
                except RuntimeError as error:
                    if not out_of_memory(error):
                        raise
                self._make_room(rights)  # here, where the error's frames no longer hold what they had allocated
        return self._on_host(queries, top_k, access, where, rights)

    def _make_room(self, rights: _Rights) -> None:
        """Go on with smaller parts, or where they are small already, on the host."""
        rights.kept.clear()
        if self._half is not None and self._half.shrink():
            return
        log.warning("%d vectors have no room on %s: they are searched on the host", len(self), self._device)
        rights.on_device.clear()
        self._device = self._half = None

    def _on_device(
        self, queries: Float32Matrix, top_k: int, access: AccessFilter, where: BoolVector | None, rights: _Rights
    ) -> list[Found]:
        half = self._uploaded()
        selection = self._selection(half, access, where, rights)
        if not selection.readable:
            return [NOTHING] * len(queries)
        slack = half_slack(queries, longest=self._rows.longest, half_error=self._rows.half_error)
        found = settled(
            queries, top_k=min(top_k, selection.readable), readable=selection.readable, slack=slack,
            start=partial(half.start, selection=selection), exact=self._rows,
        )  # fmt: skip
        plan = Plan("scan" if selection.ids is None else "gather", selection.readable, selection.count)
        return [Found(*one, plan) for one in found]

    def _uploaded(self) -> HalfRows:
        if self._half is None:
            device = str(self._device)
            self._half = HalfRows(self._rows, device, budget=_CPU_BUDGET if device == "cpu" else _CUDA_BUDGET)
        return self._half

    def _selection(self, half: HalfRows, access: AccessFilter, where: BoolVector | None, rights: _Rights) -> Selection:
        """Return what may be read, worked out on the device; what has no `where` is kept as long as rights stay and memory lasts."""
        if where is None and (known := rights.kept.get(access.classes)) is not None:
            rights.kept.move_to_end(access.classes)
            return known
        made = self._select(half, self._mask(half, access, where, rights))
        if where is None:
            rights.kept[access.classes] = made
            while sum(selection.bytes for selection in rights.kept.values()) > _KEPT_BYTES:
                rights.kept.popitem(last=False)
        return made

    def _mask(self, half: HalfRows, access: AccessFilter, where: BoolVector | None, rights: _Rights) -> Any:
        """Return, for each row on the device, whether it passes both filters: one lookup by class, as `access` itself decides it."""
        import torch

        if not rights.on_device:
            # One up, so that place 0 is `UNREADABLE`, which no filter admits.
            rights.on_device.append(torch.from_numpy(rights.classes + np.int32(1)).to(half.device))
        admitted = access.mask(np.arange(-1, rights.greatest + 1, dtype=np.int32))
        mask = torch.from_numpy(admitted).to(half.device).index_select(0, rights.on_device[0])
        return mask if where is None else mask & torch.from_numpy(np.ascontiguousarray(where)).to(half.device)

    def _select(self, half: HalfRows, mask: Any) -> Selection:
        import torch

        readable = int(mask.sum())
        if readable == len(self):
            return Selection(readable, readable)
        if readable * half.gather_cost < len(self):
            return Selection(readable, readable, ids=mask.nonzero()[:, 0].to(torch.int32))
        return Selection(len(self), readable, allowed=mask)

    def _on_host(
        self, queries: Float32Matrix, top_k: int, access: AccessFilter, where: BoolVector | None, rights: _Rights
    ) -> list[Found]:
        mask = access.mask(rights.classes)
        if where is not None:
            mask &= where
        rows = np.flatnonzero(mask)
        if not len(rows):
            return [NOTHING] * len(queries)
        return self._rows.best(queries, min(top_k, len(rows)), None if len(rows) == len(self) else rows)
