"""Rows in half precision on a torch device, and the filtered scan over them: group maxima, then the rows of the best groups.

The k best rows lie in the k groups with the greatest maxima, so a scan has to keep one number for every `GROUP` rows: the scores themselves are
never all in memory, and the second step reads the rows of a few groups again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from indexes.arrays import Float32Matrix
from indexes.candidates import Candidates, Finish
from indexes.errors import BuildCorrupt
from indexes.mapped_rows import MappedRows

if TYPE_CHECKING:
    import torch

log = logging.getLogger("loremill.index")

GROUP = 128
_COLUMNS = 64
"""Rows are filled up with zeros to a multiple of this: 128 bytes, what a fused step loads at once."""
_UPLOAD_BYTES = 1 << 28
_LEAST_BUDGET = 1 << 20


@dataclass(frozen=True, slots=True)
class Selection:
    """The places that a scan looks at. `readable` rows among them pass the filters.

    Place i is row `ids[i]`, or row i where `ids` is None; `allowed` tells for each row whether it may be read, None where all places may.
    """

    count: int
    readable: int
    ids: torch.Tensor | None = None
    allowed: torch.Tensor | None = None

    @property
    def bytes(self) -> int:
        return sum(part.nbytes for part in (self.ids, self.allowed) if part is not None)


class HalfRows:
    """The copy on the device.

    Args:
        mapped: the rows themselves.
        device: a torch device.
        budget: bytes that intermediate results may take at a time.
    Raises:
        BuildCorrupt: a value is no number in half precision, so the file is not what was written.
        torch.OutOfMemoryError: there is no room.
    """

    def __init__(self, mapped: MappedRows, device: str, *, budget: int) -> None:
        import torch

        self.device = torch.device(device)
        self.budget = budget
        self.fused = self.device.type == "cuda"
        self._shrunk = False
        rows, dim = mapped.matrix.shape
        self.rows = allocated((rows, -(-dim // _COLUMNS) * _COLUMNS), torch.float16, self.device)
        self.rows[:, dim:] = 0
        size = max(1, _UPLOAD_BYTES // (4 * dim))
        for at in range(0, rows, size):
            block = torch.from_numpy(mapped.matrix[at : at + size].copy()).to(self.device).half()
            if not bool(block.isfinite().all()):
                raise BuildCorrupt("the vectors hold what is no number; ingest again with --full")
            self.rows[at : at + size, :dim] = block

    def shrink(self) -> bool:
        """Halve the budget twice; false if there is little left to save."""
        if self.budget <= _LEAST_BUDGET:
            return False
        if not self._shrunk:
            log.warning("%s has little memory left: vectors are searched in smaller parts", self.device)
        self._shrunk = True
        self.budget //= 4
        if self.device.type == "cuda":
            import torch

            torch.cuda.empty_cache()
        return True

    @property
    def gather_cost(self) -> float:
        """What a row costs when it is picked by number, against one read in its turn: torch copies it first, the fused step does not."""
        return 1.25 if self.fused else 3.0

    def groups_pay(self, wanted: int, count: int) -> bool:
        """Is it cheaper to read the rows of `wanted` groups again, copied by torch, than to write and select from the scores of all places?

        Bytes a query: thrice the groups' rows in half precision, against about six times four bytes a place.
        """
        again = wanted * GROUP * self.rows.shape[1] * 2
        return again <= self.budget and 3 * again < 6 * 4 * count

    def start(self, queries: Float32Matrix, wanted: int, selection: Selection) -> Finish:
        """Queue the scan for `wanted` candidates a query; nothing waits for the device before `Finish` is called."""
        import torch

        with torch.inference_mode():
            half: Any = torch.zeros((len(queries), self.rows.shape[1]), dtype=torch.float16)
            half[:, : queries.shape[1]] = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).half()
            if self.device.type == "cuda":  # pinned: a copy from other memory would wait for the scan before
                half = half.pin_memory().to(self.device, non_blocking=True)
            if not self.groups_pay(wanted, selection.count):
                size = max(1, self.budget // (8 * selection.count))
                parts = [self._from_all(part, wanted, selection) for part in half.split(size)]
            else:
                maxima, best = self._maxima(half, selection).topk(wanted, dim=1)
                size = max(1, self.budget // (wanted * GROUP * self.rows.shape[1] * 2))
                parts = [
                    self._from_groups(*part, wanted, selection)
                    for part in zip(half.split(size), best.split(size), maxima[:, -1].split(size), strict=True)
                ]
            return self._sent(*(torch.cat(columns) for columns in zip(*parts, strict=True)))

    def _from_all(self, queries: Any, wanted: int, selection: Selection) -> tuple[Any, Any, Any]:
        """Take candidates from the scores of every place."""
        import torch

        scores = allocated((len(queries), selection.count), torch.float32, self.device)
        size = self._places(len(queries))
        for at in range(0, selection.count, size):
            scores[:, at : at + size] = self._scores(queries, selection, at, min(at + size, selection.count))
        top, places = scores.topk(min(wanted, selection.count), dim=1)
        beyond = top[:, -1] if wanted < selection.count else torch.full_like(top[:, -1], float("-inf"))
        return top, self._rows_at(places, selection), beyond

    def _from_groups(
        self, queries: Any, groups: Any, border: Any, wanted: int, selection: Selection
    ) -> tuple[Any, Any, Any]:
        """Take candidates from the rows of the given groups; `border`: the least maximum of a group that was taken."""
        import torch

        places = (groups[:, :, None] * GROUP + torch.arange(GROUP, device=self.device)).flatten(1)
        outside = places >= selection.count
        rows = self._rows_at(places.clamp_(max=selection.count - 1), selection)
        picked = self._picked(rows.flatten()).view(*rows.shape, -1)
        scores = self._product(picked, queries[:, :, None])[:, :, 0]
        scores.masked_fill_(outside, float("-inf"))
        if selection.allowed is not None:
            scores.masked_fill_(~selection.allowed[rows], float("-inf"))
        top, places = scores.topk(wanted, dim=1)
        return top, rows.gather(1, places), torch.maximum(top[:, -1], border)

    def _rows_at(self, places: Any, selection: Selection) -> Any:
        if selection.ids is None:
            return places
        return selection.ids.index_select(0, places.flatten()).view(places.shape).long()

    def _maxima(self, queries: Any, selection: Selection) -> Any:
        """Return the greatest readable score of each group, shape (n_queries, groups)."""
        if self.fused:
            try:
                return self._fused_maxima(queries, selection)
            except Exception as error:
                if out_of_memory(error):
                    raise
                # No compiler, no Triton, a device too old or too small: as many reasons as machines.
                log.warning("the fused scan cannot run on this device, searching by torch alone: %.300s", error)
                self.fused = False
        import torch

        maxima = allocated((len(queries), -(-selection.count // GROUP)), torch.float32, self.device)
        size = self._places(len(queries))
        for at in range(0, selection.count, size):
            scores: Any = self._scores(queries, selection, at, min(at + size, selection.count))
            scores = torch.nn.functional.pad(scores, (0, -scores.shape[1] % GROUP), value=float("-inf"))
            maxima[:, at // GROUP : (at + scores.shape[1]) // GROUP] = scores.view(len(queries), -1, GROUP).amax(2)
        return maxima

    def _fused_maxima(self, queries: Any, selection: Selection) -> Any:
        import torch

        from indexes.group_maxima import group_maxima

        with torch.cuda.device(self.device):
            return group_maxima(
                self.rows, queries, count=selection.count, group=GROUP, ids=selection.ids, allowed=selection.allowed,
                shared_bytes=self._shared_bytes,
            )  # fmt: skip

    @cached_property
    def _shared_bytes(self) -> int:
        import torch

        told = torch.cuda.get_device_properties(self.device)
        return int(getattr(told, "shared_memory_per_block_optin", told.shared_memory_per_block))

    def _places(self, n_queries: int) -> int:
        """How many places are scored at once, a multiple of `GROUP`: their rows, where they must be picked, and two matrices of scores."""
        return max(1, self.budget // (2 * self.rows.shape[1] + 8 * n_queries) // GROUP) * GROUP

    def _scores(self, queries: Any, selection: Selection, first: int, end: int) -> Any:
        """Score the places first..end-1, shape (n_queries, end - first), -inf where a row may not be read."""
        if selection.ids is None:
            block = self.rows[first:end]
            refused = None if selection.allowed is None else ~selection.allowed[first:end]
        else:
            block, refused = self._picked(selection.ids[first:end]), None
        scores = self._product(queries, block.t())
        return scores if refused is None else scores.masked_fill_(refused, float("-inf"))

    def _picked(self, rows: Any) -> Any:
        """Copy the given rows, four values at a time."""
        import torch

        return self.rows.view(torch.int64).index_select(0, rows).view(torch.float16)

    def _product(self, left: Any, right: Any) -> Any:
        """Multiply half-precision matrices, or batches of them, with sums and result in float32."""
        import torch

        if self.device.type == "cpu":
            return left.float() @ right.float()
        return (torch.bmm if left.ndim == 3 else torch.mm)(left, right, out_dtype=torch.float32)

    def _sent(self, scores: Any, rows: Any, beyond: Any) -> Finish:
        """Queue the copies to the host behind the scan, so that the next scan may be queued behind them."""
        import torch

        if self.device.type == "cpu":
            return lambda: Candidates(rows.numpy(), scores.numpy(), beyond.numpy())
        host = [torch.empty(part.shape, dtype=part.dtype, pin_memory=True) for part in (rows, scores, beyond)]
        for there, here in zip(host, (rows, scores, beyond), strict=True):
            there.copy_(here, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()

        def finish() -> Candidates:
            copied.synchronize()
            return Candidates(*(part.numpy() for part in host))

        return finish


def allocated(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Return memory for what grows with the number of rows; the one place where it is asked for."""
    import torch

    return torch.empty(shape, dtype=dtype, device=device)


def out_of_memory(error: BaseException) -> bool:
    """Did the device, or a library on it, run out of memory?"""
    import torch

    text = str(error)
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in text or "ALLOC_FAILED" in text or "not enough memory" in text)
    )
