"""How long remember and recall take, as ratios to the bare embedding, by the size of memory and the number of its users.

    python -m eval.bench.memory_speed [--sizes 1000 10000 100000] [--users 1000] [--each 1000] [--queries 200] [--repeat 3] [--home DIR]

The store is filled with sentences made of a few thousand words and vectors around topics, written straight into the catalog; queries are embedded for
real. Bare embedding and recall take turns, so that both see the same machine. Eight agents in two processes then write and read at once; what
is lost is counted.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench.home import TENANT, progress
from eval.report import table
from indexes.memory_terms import terms_of
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from indexes.arrays import Float32Matrix
    from rag.lore.items import MemoryItem
    from rag.loremill import Loremill

_DAY = 86_400_000_000
_TOPICS = 200
_BATCH = 5000
_TEAM = "team:bench"


def user(number: int) -> Principal:
    return Principal(TENANT, f"user:u{number}", ("group:bench",))


class Filler:
    """Made-up episodes: words by Zipf's law, vectors near one of some topics."""

    def __init__(self, dim: int) -> None:
        self._rng = np.random.default_rng(0)
        letters = random.Random(0)
        self.words = ["".join(letters.choices("abcdefghiklmnoprstu", k=letters.randint(3, 9))) for _ in range(5000)]
        self._terms = [terms_of(word).tobytes() for word in self.words]
        self._chances = 1 / np.arange(1, len(self.words) + 1)
        self._chances /= self._chances.sum()
        self._topics = self._rng.standard_normal((_TOPICS, dim)).astype(np.float32)

    def sentences(self, n: int, length: int) -> list[tuple[str, bytes]]:
        """Return n texts, each with the digests of its terms."""
        drawn = self._rng.choice(len(self.words), (n, length), p=self._chances).tolist()
        return [
            (" ".join([self.words[one] for one in row]), b"".join([self._terms[one] for one in row])) for row in drawn
        ]

    def sentence(self, length: int) -> str:
        return self.sentences(1, length)[0][0]

    def order(self, n_users: int, n: int) -> list[int]:
        found: list[int] = self._rng.integers(0, n_users, n).tolist()
        return found

    def vectors(self, n: int) -> Float32Matrix:
        topics = self._topics[self._rng.integers(0, _TOPICS, n)]
        rows = topics + self._rng.standard_normal(topics.shape).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def fill(mill: Loremill, owner: Principal, n: int, filler: Filler) -> None:
    """Write n episodes of one user straight into the catalog, in sessions of 20."""
    from indexes.memory_rows import MemoryRow, add
    from rag.lore.clock import now_micros

    rooms = mill.memory._open(owner, create=True)
    written = rooms.writable("user", access=rooms.access(owner))
    now, by = now_micros(), terms_of("Ada").tobytes()
    for first in range(0, n, _BATCH):
        said = filler.sentences(min(n - first, _BATCH), 18)
        rows = [
            MemoryRow(
                f"{owner.subject} {number}", written.class_id, "user", "episode", text, now - (n - number) * _DAY // 100, now, now,
                owner.subject, speaker="Ada", role="user", session=f"s{number // 20}",
            )
            for number, (text, _) in enumerate(said, first)
        ]  # fmt: skip
        terms = [by + blob for _, blob in said]
        with rooms.changing({written.class_id}) as (db, epochs):
            add(db, rows, filler.vectors(len(rows)), terms, model_id=rooms.embedder.model_id, epochs=epochs)


def timed(act: Callable[[], object]) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1e3


def in_turns(bare: Callable[[int], object], whole: Callable[[int], object], n: int) -> tuple[list[float], list[float]]:
    """Time both by turns; in ms."""
    bares, wholes = [], []
    for number in range(n):
        bares.append(timed(partial(bare, number)))
        wholes.append(timed(partial(whole, number)))
    return bares, wholes


def recalls(mill: Loremill, who: Sequence[Principal], filler: Filler, n: int) -> tuple[float, float]:
    """Return p50 of the bare embedding of a query and of a recall, in ms; users come in random order."""
    order = filler.order(len(who), n)
    queries = [f"When did {filler.sentence(6)}?" for _ in range(2 * n)]
    bare, whole = in_turns(
        lambda number: mill.embedder.embed_queries([queries[number]]),
        lambda number: mill.memory.recall(queries[n + number], principal=who[order[number]]),
        n,
    )
    return statistics.median(bare), statistics.median(whole)


def remembers(mill: Loremill, who: Principal, filler: Filler, n: int) -> tuple[float, float]:
    """Return p50 of the bare embedding of a text and of remembering one, in ms; facts are derived meanwhile."""
    texts = [filler.sentence(18) for _ in range(2 * n)]
    bare, whole = in_turns(
        lambda number: mill.embedder.embed_passages([texts[number]]),
        lambda number: mill.memory.remember(texts[n + number], principal=who),
        n,
    )
    return statistics.median(bare), statistics.median(whole)


def agents(home: Path, each: int) -> dict[str, int]:
    """Eight agents, four threads in each of two processes, write into a team's memory and read it.

    Return how many notes were written, how many are found in the end, and how many an agent did not find right after it wrote them.
    """
    from rag.loremill import Loremill

    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as processes:
        missed = sum(processes.map(_four_agents, [home, home], [0, 4], [each, each]))
    with Loremill.open(home) as mill:
        found = mill.memory.recall("agent note", principal=user(0), top_k=1000, scopes=[_TEAM], kinds=["episode"])
    return {"written": 8 * each, "found": len(_texts(found)), "missed": missed}


def _four_agents(home: Path, first: int, each: int) -> int:
    """Run in a process of its own; return how many notes were not found right after they were written."""
    from rag.loremill import Loremill

    with Loremill.open(home) as mill, ThreadPoolExecutor(4) as threads:

        def work(agent: int) -> int:
            missed = 0
            for number in range(each):
                note = f"agent {agent} note {number}"
                mill.memory.remember(note, principal=user(agent), scope=_TEAM)
                found = mill.memory.recall(note, principal=user(agent), top_k=8 * each, kinds=["episode"])
                missed += note not in _texts(found)
            return missed

        return sum(threads.map(work, range(first, first + 4)))


def _texts(found: Sequence[MemoryItem | str]) -> set[str]:
    return {item.text for item in found if not isinstance(item, str)}


def measure(
    home: Path, label: str, owners: Sequence[Principal], each: int, given: argparse.Namespace
) -> list[dict[str, Any]]:
    """Fill a store, unless an earlier run has, and time it: with all of it in memory and, where there are many users, with a quarter of it."""
    from rag.loremill import Loremill

    done, rows = home / "filled", []
    cache_mb = 2 * len(owners) * each // 1000 + 1024
    with Loremill.open(home, memory_cache_mb=cache_mb) as mill:
        filler = Filler(mill.embedder.dim)
        if not done.exists():
            for number, owner in enumerate(owners):
                fill(mill, owner, each, filler)
                progress(number + 1, len(owners))
            done.touch()
        mill.memory.settle()
        first = [timed(partial(mill.memory.recall, filler.sentence(6), principal=owner)) for owner in owners]
        for _ in range(given.repeat):
            bare, recall = recalls(mill, owners, filler, given.queries)
            embed, remember = remembers(mill, owners[0], filler, given.queries)
            rows.append(
                {
                    "store": label, "embed query": bare, "recall": recall, "ratio": recall / bare, "first recall": statistics.median(first),
                    "embed text": embed, "remember": remember, "remember beyond": remember - embed,
                }
            )  # fmt: skip
            print(json.dumps(rows[-1]), file=sys.stderr)
    if len(owners) < 4:
        return rows
    quarter = f"{label}, a quarter in memory"
    with Loremill.open(home, memory_cache_mb=max(2 * len(owners) * each // 4000, 1)) as mill:
        recalls(mill, owners, filler, len(owners))
        for _ in range(given.repeat):
            bare, recall = recalls(mill, owners, filler, given.queries)
            rows.append(
                {
                    **dict.fromkeys(rows[0]),
                    "store": quarter,
                    "embed query": bare,
                    "recall": recall,
                    "ratio": recall / bare,
                }
            )
            print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def median_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure of one store."""
    figures = {name: [row[name] for row in rows] for name in rows[0] if name != "store"}
    return {"store": rows[0]["store"]} | {
        name: None if None in values else statistics.median(values) for name, values in figures.items()
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000], help="items of one user")
    arguments.add_argument("--users", type=int, default=1000)
    arguments.add_argument("--each", type=int, default=1000, help="items of each of the users")
    arguments.add_argument("--queries", type=int, default=200)
    arguments.add_argument("--agents", type=int, default=25, help="notes of each of the eight agents; 0: none")
    arguments.add_argument("--repeat", type=int, default=3, help="measure each store so often; the median counts")
    arguments.add_argument("--home", type=Path, help="keep the stores here, and use those that are there")
    given = arguments.parse_args()
    stores = [(f"1 x {size:,}", [user(0)], size) for size in given.sizes]
    if given.users:
        stores.append(
            (f"{given.users:,} x {given.each:,}", [user(number) for number in range(given.users)], given.each)
        )
    rows: dict[str, list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="loremill-memory-") as temporary:
        folder = given.home or Path(temporary)
        for label, owners, each in stores:
            for row in measure(folder / label.replace(" ", "").replace(",", ""), label, owners, each, given):
                rows.setdefault(row["store"], []).append(row)
        lost = agents(Path(temporary) / "agents", given.agents) if given.agents else {}
    if rows:
        found = [median_of(some) for some in rows.values()]
        print(table(tuple(found[0]), [tuple(row.values()) for row in found]))
        growth = max(row["ratio"] for row in found if row["remember"] is not None) / found[0]["ratio"]
        print(json.dumps({"growth": round(growth, 2), "agents": lost, "stores": found}))
    if lost and (lost["written"] != lost["found"] or lost["missed"]):
        sys.exit(1)


if __name__ == "__main__":
    main()
