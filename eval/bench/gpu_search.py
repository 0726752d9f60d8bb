"""Exact filtered search on a CUDA device against what the device can do at best, and against exact search on the host.

    python -m eval.bench.gpu_search                                        # a GPU: 10 million rows, 15 GB in --folder and 8 GB on the device
    python -m eval.bench.gpu_search --device cpu --rows 50000              # the same steps where there is none
    python -m eval.bench.gpu_search --tiles                                # also the fused kernel by itself, for each size of tile

Rows lie in clusters and are made on the device from a seed; rights do not follow the clusters. A time is the median of whole calls of
`search`, with the exact scores from the file on the host. Floor: the bytes of the readable rows in half precision over the measured bandwidth of a
copy, which counts what is read and what is written. Peak: a product of square matrices in half precision. Equal: the hits of some queries are
those of a matrix product over the whole file on the host, scored again in float64; rows whose scores are closer than 1e-6 may change places.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.report import table
from indexes.access import AccessFilter
from indexes.arrays import Float32Matrix
from indexes.cuda import CudaIndex
from indexes.half_rows import GROUP
from indexes.mapped_rows import MappedRows, write_rows
from indexes.vectors import Found, VectorOptions, vector_backend
from indexes.vocabulary import Principal

CLASSES = 100
_BLOCK = 1 << 18
_SAMPLE = 8
"""Queries whose hits are compared with the host's."""
_CLUSTERS = 4096
_NOISE = 0.7
_SAME = 1e-6


@dataclass(frozen=True, slots=True)
class Device:
    """What the device can do at best: bytes copied (read and written) and operations of a half-precision product, a second."""

    name: str
    copied: float
    product: float


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement; shares and ratios as in the head of this file."""

    readable: float
    queries: int
    plan: str
    ms: float
    floor_ms: float
    times_floor: float
    of_peak: float
    equal: bool


def synced(work: Callable[[], object], device: str) -> float:
    """Return the seconds that `work` takes, with all that it queued on the device."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def measured(device: str) -> Device:
    """Measure the copy bandwidth and the matrix product's rate."""
    import torch

    on_cuda = device == "cuda"
    source = torch.ones(1 << (31 if on_cuda else 26), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = 2 * source.nbytes / min(synced(partial(target.copy_, source), device) for _ in range(8))
    del source, target
    size, kind = (8192, torch.float16) if on_cuda else (1024, torch.float32)
    left, right = (torch.randn(size, size, device=device).to(kind) for _ in range(2))
    product = 2 * size**3 / min(synced(lambda: left @ right, device) for _ in range(8))
    return Device(torch.cuda.get_device_name() if on_cuda else "the CPU", copied, product)


def made(rows: int, dim: int, device: str, seed: int) -> Iterator[Float32Matrix]:
    """Yield unit rows in blocks, around centres that are the same for every seed."""
    import torch

    centres = torch.randn(_CLUSTERS, dim, generator=torch.Generator(device).manual_seed(0), device=device)
    random = torch.Generator(device).manual_seed(seed)
    for at in range(0, rows, _BLOCK):
        size = min(_BLOCK, rows - at)
        block = centres[torch.randint(_CLUSTERS, (size,), generator=random, device=device)]
        block = block + _NOISE * torch.randn(size, dim, generator=random, device=device)
        yield torch.nn.functional.normalize(block, dim=1).cpu().numpy()


def host_scores(rows: MappedRows, queries: Float32Matrix) -> Float32Matrix:
    """Return the scores of every row in float32, shape (n_queries, rows), by plain matrix products on the host."""
    parts = (slice(at, at + _BLOCK) for at in range(0, len(rows.matrix), _BLOCK))
    return np.hstack([queries @ rows.matrix[part].T for part in parts])


def equal(
    found: list[Found],
    queries: Float32Matrix,
    scores: Float32Matrix,
    mask: npt.NDArray[np.bool_],
    rows: MappedRows,
    top_k: int,
) -> bool:
    """Are the hits those of exact search over the readable rows?"""
    readable = np.flatnonzero(mask)
    for query, line, here in zip(queries, scores, found, strict=True):
        most = min(top_k + 64, len(readable))
        near = readable[np.argpartition(-line[readable], most - 1)[:most]]
        sure = rows.matrix[near].astype(np.float64) @ query.astype(np.float64)
        best = np.lexsort((near, -sure))[:top_k]
        if len(here.rows) != len(best) or len(set(here.rows.tolist())) != len(best) or not mask[here.rows].all():
            return False
        own = rows.matrix[here.rows].astype(np.float64) @ query.astype(np.float64)
        if np.abs(own - sure[best]).max() > _SAME or np.abs(here.scores - own).max() > _SAME:
            return False
    return True


def points(
    index: CudaIndex, rows: MappedRows, queries: Float32Matrix, best: Device, given: argparse.Namespace
) -> Iterator[Point]:
    """Measure every selectivity at every number of queries."""
    classes = np.random.default_rng(1).integers(0, CLASSES, len(index)).astype(np.int32)
    index.assign_classes(classes)
    scores = host_scores(rows, queries[:_SAMPLE])
    for count in (CLASSES // 100, CLASSES // 10, CLASSES):
        access = AccessFilter("bench", Principal("bench", "user:reader"), frozenset(range(count)))
        mask = classes < count
        sample = index.search(queries[:_SAMPLE], top_k=given.top_k, access=access)
        same = equal(sample, queries[:_SAMPLE], scores, mask, rows, given.top_k)
        flat = 2 * int(mask.sum()) * rows.matrix.shape[1]
        for n_queries in given.queries:
            times = []
            for turn in range(given.repeats + 2):
                some = np.roll(queries, -turn, axis=0)[:n_queries]
                search = partial(index.search, some, top_k=given.top_k, access=access)
                times.append(synced(search, given.device))
            seconds, floor = median(times[2:]), flat / best.copied
            share = flat * n_queries / seconds / best.product
            yield Point(
                count / CLASSES,
                n_queries,
                sample[0].plan.name,
                1e3 * seconds,
                1e3 * floor,
                seconds / floor,
                share,
                same,
            )


def tiles(index: CudaIndex, best: Device) -> Iterator[tuple[object, ...]]:
    """Time the fused kernel alone over all rows, for each size of tile."""
    import torch

    from indexes.group_maxima import TILES, group_maxima

    half = index._uploaded()
    count, width = half.rows.shape
    for n_queries in (1, 64, 256, 1024):
        queries = torch.nn.functional.normalize(torch.randn(n_queries, width, device=half.device), dim=1).half()
        for tile in (*TILES, (128, 4)):

            def scan(queries: Any = queries, tile: tuple[int, int] = tile) -> None:
                group_maxima(half.rows, queries, count=count, group=GROUP, ids=None, allowed=None, tile=tile)

            try:
                scan()
                seconds = median(synced(scan, "cuda") for _ in range(5))
            except Exception as error:  # a tile that does not fit into shared memory, say
                yield n_queries, str(tile), str(error)[:60], None, None
                continue
            floor = half.rows.nbytes / best.copied
            yield (
                n_queries,
                str(tile),
                1e3 * seconds,
                seconds / floor,
                half.rows.nbytes * n_queries / seconds / best.product,
            )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments.add_argument("--rows", type=int, default=10_000_000)
    arguments.add_argument("--dim", type=int, default=384)
    arguments.add_argument("--queries", type=int, nargs="+", default=[1, 64, 1024])
    arguments.add_argument("--top-k", type=int, default=10)
    arguments.add_argument("--repeats", type=int, default=11)
    arguments.add_argument("--folder", type=Path, help="where the rows lie meanwhile (default: the temporary folder)")
    arguments.add_argument("--tiles", action="store_true", help="also time the fused kernel alone (CUDA)")
    arguments.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    given = arguments.parse_args()
    backend = vector_backend("cuda", VectorOptions(device=given.device))
    if reason := backend.unavailable():
        print(f"{reason}; try --device cpu --rows 50000", file=sys.stderr)
        raise SystemExit(64)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "vectors.index"
        write_rows(made(given.rows, given.dim, given.device, 1), given.dim, path)
        queries = next(made(max(*given.queries, _SAMPLE), given.dim, given.device, 2))
        best, rows, index = measured(given.device), MappedRows.open(path), backend.open(path)
        assert isinstance(index, CudaIndex)
        upload = synced(index._uploaded, given.device)
        found = list(points(index, rows, queries, best, given))
        report(given, best, upload, index, found)
    if not all(point.equal for point in found):
        sys.exit(1)


def report(given: argparse.Namespace, best: Device, upload: float, index: CudaIndex, found: list[Point]) -> None:
    """Print what was measured."""
    half = index._half
    fused = half is not None and half.fused
    note = "" if given.device == "cuda" else " (no GPU: these figures show only that the script works)"
    if given.json:
        content = {
            "device": asdict(best),
            "on_gpu": given.device == "cuda",
            "rows": len(index),
            "dim": index.dim,
            "fused": fused,
        }
        print(json.dumps(content | {"upload_s": upload, "points": [asdict(point) for point in found]}))
        return
    print(f"{len(index):,} x {index.dim} rows in half precision on {best.name}{note}; uploaded in {upload:.1f} s")
    print(
        f"copy {best.copied / 1e9:,.0f} GB/s, matrix product {best.product / 1e12:,.2f} TFLOP/s, fused kernel: {fused}\n"
    )
    header = ("readable", "queries", "plan", "ms", "floor, ms", "times the floor", "of the peak", "equal")
    print(table(header, [tuple(asdict(point).values()) for point in found]))
    if given.tiles and fused:
        print(table(("queries", "tile, warps", "ms", "times the floor", "of the peak"), tiles(index, best)))


if __name__ == "__main__":
    main()
