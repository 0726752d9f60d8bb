"""64 queries of one person in one batch against one by one, by how much may be read.

    python -m eval.bench.search_batch [--rows 200000] [--threads 0,1]

Both are timed in turn on the same queries; 0 threads leaves them as the product runs. Rights follow topics, questions come from what may be
read; that is where the lists of 64 queries overlap as they do in use.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from eval.bench.filtered.engines import TOP_K, Loremill
from eval.bench.filtered.world import Asked, Rights, World, clustered_world
from eval.report import table
from indexes.faiss import FaissIndex
from indexes.product_codes import faiss_module
from indexes.vectors import Found

SHARES = (0.01, 0.1, 0.3, 1.0)
QUERIES = 64
TURNS = 7


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def compare(index: FaissIndex, asked: Asked) -> tuple[float, float, int]:
    """Return the median seconds one by one and of one batch, and how many queries were answered differently."""

    def batch() -> list[Found]:
        return index.search(asked.queries, top_k=TOP_K, access=asked.access)

    def singly() -> list[Found]:
        return [
            found for query in asked.queries for found in index.search(query[None], top_k=TOP_K, access=asked.access)
        ]

    pairs = zip(batch(), singly(), strict=True)
    unequal = sum(not np.array_equal(one.rows, other.rows) for one, other in pairs)
    times = [(seconds(singly), seconds(batch)) for _ in range(TURNS)]
    return statistics.median(t for t, _ in times), statistics.median(t for _, t in times), unequal


def measure(world: World, loremill: Loremill, people: int) -> Iterator[tuple[object, ...]]:
    """Yield rights, share, both times of a query in ms, their ratio, and the number of answers that differ."""
    for rights in (Rights.UNCORRELATED, Rights.POSITIVE):
        for share in SHARES:
            asked = world.asked(rights, share, people=people, each=QUERIES)
            singly, batch, unequal = zip(*(compare(loremill.index(rights), person) for person in asked), strict=True)
            one, many = (1e3 * statistics.median(times) / QUERIES for times in (singly, batch))
            yield rights, f"{share:.0%}", one, many, one / many, sum(unequal)


def main() -> None:
    from threadpoolctl import threadpool_limits

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--threads", default="0,1", help="numbers of threads; 0: all")
    arguments.add_argument("--people", type=int, default=4)
    given = arguments.parse_args()
    world = clustered_world(given.rows)
    rows: list[tuple[object, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        loremill = Loremill(world, Path(folder))
        every = faiss_module().omp_get_max_threads()
        for threads in map(int, given.threads.split(",")):
            faiss_module().omp_set_num_threads(threads or every)
            with threadpool_limits(threads or None):
                rows += [(threads or every, *row) for row in measure(world, loremill, given.people)]
    times = ("one by one, ms a query", "in a batch", "times the throughput")
    print(table(("threads", "rights", "readable", *times, "answers that differ"), rows))


if __name__ == "__main__":
    main()
