"""Deletes and adds in random order, each round an index built on the one before: what is found, and how fast, against a fresh build.

    python -m eval.bench.search_changes [--rows 200000] [--changes 100000] [--rounds 20]

After each round the deleted rows themselves are searched for: none may come back, and every row that comes must have the score of the row
that it claims to be.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.bench.filtered.engines import TOP_K
from eval.bench.filtered.world import CLASSES, Asked, Rights, World, access, clustered_world
from eval.report import table
from indexes.faiss import FaissBackend, FaissIndex
from indexes.vectors import Base, VectorOptions

SHARES = (0.01, 0.1, 0.3, 1.0)
CHECKED = 200
"""Deleted rows searched for after each round."""
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Held:
    """An open index and the world's row that each of its rows is, ascending."""

    index: FaissIndex
    ids: Ids
    path: Path


class Changing:
    """Builds indexes over some rows of a world, whose rights follow topics."""

    def __init__(self, world: World, folder: Path) -> None:
        self._world, self._folder, self._made = world, folder, 0
        self._backend = FaissBackend(VectorOptions())

    def build(self, ids: Ids, base: Held | None) -> tuple[Held, float]:
        """Return the index of the rows `ids`, built on `base`, and the seconds that building it took."""
        path, self._made = self._folder / str(self._made), self._made + 1
        classes = self._world.by_topic[ids]
        of_base = None
        if base is not None:
            places = np.minimum(np.searchsorted(base.ids, ids), len(base.ids) - 1)
            of_base = Base(base.path, np.where(base.ids[places] == ids, places, -1))
        started = time.perf_counter()
        blocks = (self._world.rows[ids[first : first + 4096]] for first in range(0, len(ids), 4096))
        self._backend.build(blocks, self._world.rows.shape[1], path, classes=classes, base=of_base)
        seconds = time.perf_counter() - started
        index = self._backend.open(path)
        index.assign_classes(classes)
        return Held(index, ids, path), seconds

    def faults(self, held: Held, deleted: Ids) -> int:
        """Count the answers that hold a row which is not what it claims to be, or which was deleted."""
        everything = access(list(range(CLASSES)))
        found = 0
        for query in self._world.rows[deleted]:
            answer = held.index.search(query[None], top_k=TOP_K, access=everything)[0]
            rows = held.ids[answer.rows]
            honest = np.allclose(self._world.rows[rows] @ query, answer.scores, atol=1e-5)
            found += not honest or bool(np.isin(rows, deleted).any())
        return found


def changed(ids: Ids, pool: Ids, count: int, random: np.random.Generator) -> tuple[Ids, Ids]:
    """Return the rows after `count` deletes and as many adds out of `pool`, ascending, and the deleted ones."""
    deleted = random.choice(ids, count, replace=False)
    return np.sort(np.concatenate([np.setdiff1d(ids, deleted), pool])), deleted


def compare(worn: Held, fresh: Held, people: list[Asked]) -> list[tuple[float, float]]:
    """Return recall and p50 in ms of each, query by query in turn."""
    recalls: list[list[float]] = [[], []]
    times: list[list[float]] = [[], []]
    for person in people:
        truth = fresh.index.exact(person.queries, top_k=TOP_K, access=person.access)
        for held in (worn, fresh):
            held.index.search(person.queries[:1], top_k=TOP_K, access=person.access)
        for turn, (query, true) in enumerate(zip(person.queries, truth, strict=True)):
            for which in (turn % 2, 1 - turn % 2):  # whoever comes second may find the caches warmer
                held = (worn, fresh)[which]
                started = time.perf_counter()
                found = held.index.search(query[None], top_k=TOP_K, access=person.access)[0]
                times[which].append(time.perf_counter() - started)
                recalls[which].append(len(np.intersect1d(found.rows, true.rows)) / len(true.rows))
    return [(float(np.mean(recall)), 1e3 * float(np.median(took))) for recall, took in zip(recalls, times, strict=True)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--changes", type=int, default=100_000, help="deletes, and as many adds")
    arguments.add_argument("--rounds", type=int, default=20)
    given = arguments.parse_args()
    world = clustered_world(given.rows + given.changes)
    random = np.random.default_rng(5)
    order = random.permutation(len(world.rows))
    pools = np.array_split(order[given.rows :], given.rounds)
    with tempfile.TemporaryDirectory() as folder:
        changing = Changing(world, Path(folder))
        worn, first_s = changing.build(np.sort(order[: given.rows]), None)
        gone, took, faults = np.empty(0, np.int64), [], 0
        for pool in pools:
            ids, deleted = changed(worn.ids, pool, len(pool), random)
            before = worn
            worn, seconds = changing.build(ids, before)
            shutil.rmtree(before.path)
            took.append(seconds)
            gone = np.concatenate([gone, deleted])
            faults += changing.faults(worn, random.choice(gone, min(CHECKED, len(gone)), replace=False))
        fresh, fresh_s = changing.build(worn.ids, None)
        rows = []
        for rights in (Rights.POSITIVE, Rights.NEGATIVE):
            for share in SHARES:
                people = list(world.asked(rights, share, people=8, each=50))
                (recall, p50), (fresh_recall, fresh_p50) = compare(worn, fresh, people)
                rows.append((rights, f"{share:.0%}", recall, fresh_recall, p50, fresh_p50, p50 / fresh_p50))
    print(table(("rights", "readable", "recall", "fresh build's", "p50 ms", "fresh build's", "ratio"), rows))
    rounds = f"{given.rounds} rounds of {len(pools[0]):,} deletes and adds"
    print(f"{rounds}: {np.median(took):.2f} s each (median), a fresh build {fresh_s:.2f} s, the first {first_s:.2f} s")
    print(f"answers with a deleted or mistaken row: {faults} of {given.rounds * CHECKED}")


if __name__ == "__main__":
    main()
