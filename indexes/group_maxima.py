"""The fused scan, in Triton: scores of a group of rows, the filter and the group's maximum in one kernel; no score is written out.

Imported only where Triton is installed and the rows lie on a CUDA device; `half_rows` has the same steps in torch.
Source: blocked maxima before top-k as in Chern et al. 2022, TPU-KNN (arXiv:2206.14286), there approximate, here followed by the whole groups.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl

_BLOCK_K = 64
_STAGES = 3
TILES = ((16, 4), (64, 4), (128, 8), (256, 8))
"""Queries of a tile and warps that work on it."""


# Without annotations: Triton compiles them too, and knows no types of Python.
@triton.jit  # type: ignore[untyped-decorator]
def _group_maxima(  # type: ignore[no-untyped-def]
    rows, ids, allowed, queries, maxima, count, n_queries,
    WIDTH: tl.constexpr, GATHER: tl.constexpr, FILTER: tl.constexpr,
    GROUP: tl.constexpr, BLOCK_Q: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program: one group of rows and one tile of queries. Neighbouring programs share the group, so it is read from memory once."""
    tiles = n_queries // BLOCK_Q
    group = (tl.program_id(0) // tiles).to(tl.int64)
    query = (tl.program_id(0) % tiles) * BLOCK_Q + tl.arange(0, BLOCK_Q)
    place = group * GROUP + tl.arange(0, GROUP)
    readable = place < count
    if GATHER:  # noqa: SIM108 - decided when it is compiled
        row = tl.load(ids + place, mask=readable, other=0).to(tl.int64)
    else:
        row = tl.minimum(place, count - 1)
    column = tl.arange(0, BLOCK_K)
    score = tl.zeros((GROUP, BLOCK_Q), tl.float32)
    for start in range(0, WIDTH, BLOCK_K):
        left = tl.load(rows + row[:, None] * WIDTH + (start + column)[None, :])
        right = tl.load(queries + query[None, :] * WIDTH + (start + column)[:, None])
        score = tl.dot(left, right, score)
    if FILTER:
        readable = readable & (tl.load(allowed + row) != 0)
    best = tl.max(tl.where(readable[:, None], score, float("-inf")), axis=0)
    tl.store(maxima + group * n_queries + query, best)


def _tile(n_queries: int, group: int, shared_bytes: int) -> tuple[int, int]:
    """Choose the least tile that holds all queries, else the greatest whose operands fit into shared memory."""
    fitting = [tile for tile in TILES if 2 * _STAGES * _BLOCK_K * (group + tile[0]) <= shared_bytes] or TILES[:1]
    return next((tile for tile in fitting if tile[0] >= n_queries), fitting[-1])


def group_maxima(
    rows: torch.Tensor,
    queries: torch.Tensor,
    *,
    count: int,
    group: int,
    ids: torch.Tensor | None,
    allowed: torch.Tensor | None,
    shared_bytes: int = 1 << 30,
    tile: tuple[int, int] | None = None,
) -> torch.Tensor:
    """Return the greatest score in each group of rows, shape (n_queries, groups), float32; -inf where none is readable.

    Args:
        rows: half precision, shape (n, width), width a multiple of 64.
        queries: half precision, shape (n_queries, width).
        count: places scanned: len(ids), or the first rows.
        group: places in a group, a power of two.
        ids: int32, the row at each place; None: place i is row i.
        allowed: for each row whether it may be read; None: every place may.
        shared_bytes: shared memory of one block on the device.
        tile: queries of a tile and its warps, to measure others than the one that is chosen.
    Cost: reads each row once for every 256 queries; writes 4 / group bytes a row and query.
    """
    n_queries, width = queries.shape
    block, warps = tile or _tile(n_queries, group, shared_bytes)
    padded = -(-n_queries // block) * block
    queries = torch.nn.functional.pad(queries, (0, 0, 0, padded - n_queries))
    groups = -(-count // group)
    maxima = torch.empty((groups, padded), dtype=torch.float32, device=rows.device)
    _group_maxima[(groups * (padded // block),)](
        rows,
        rows if ids is None else ids,
        rows if allowed is None else allowed.view(torch.uint8),
        queries,
        maxima,
        count,
        padded,
        WIDTH=width,
        GATHER=ids is not None,
        FILTER=allowed is not None,
        GROUP=group,
        BLOCK_Q=block,
        BLOCK_K=_BLOCK_K,
        num_warps=warps,
        num_stages=_STAGES,
    )
    return maxima[:, :n_queries].t().contiguous()
