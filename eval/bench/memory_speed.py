"""How long remember and recall take, as ratios to the bare embedding, by the size of memory and the number of its users.

    python -m eval.bench.memory_speed [--sizes 1000 10000 100000] [--users 1000] [--each 1000] [--queries 200] [--home DIR]

The store is filled with sentences made of a few thousand words and vectors around topics, written straight into the catalog; queries are embedded for
real. Bare embedding and recall take turns, so that both see the same machine. `agents` writes and reads with eight threads at once in two
processes' worth of mills, and counts what is lost.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench.home import TENANT, progress
from eval.report import table
from indexes.memory_terms import terms_of
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from indexes.arrays import Float32Matrix
    from rag.loremill import Loremill

_DAY = 86_400_000_000
_TOPICS = 200
_BATCH = 5000


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


def recalls(mill: Loremill, who: Sequence[Principal], filler: Filler, n: int) -> tuple[float, float, float]:
    """Return p50 of the bare embedding of a query, of a recall, and of a recall's first use of a user's memory, in ms."""
    cold = statistics.median(timed(partial(mill.memory.recall, "warm up", principal=one)) for one in who[:20])
    for one in who:
        mill.memory.recall("warm up", principal=one)
    queries = [f"When did {filler.sentence(6)}?" for _ in range(2 * n)]
    bare, whole = in_turns(
        lambda number: mill.embedder.embed_queries([queries[number]]),
        lambda number: mill.memory.recall(queries[n + number], principal=who[number % len(who)]),
        n,
    )
    return statistics.median(bare), statistics.median(whole), cold


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
    """Eight threads over two mills write into a team's memory and read it; return what was written and what is found."""
    from rag.loremill import Loremill

    with Loremill.open(home) as one, Loremill.open(home) as other:

        def work(agent: int) -> None:
            mill = (one, other)[agent % 2]
            for number in range(each):
                mill.memory.remember(f"agent {agent} note {number}", principal=user(agent), scope="team:bench")
                mill.memory.recall(f"agent {agent}", principal=user(agent), top_k=3)

        threads = [threading.Thread(target=work, args=(agent,)) for agent in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        found = one.memory.recall("agent note", principal=user(0), top_k=1000, scopes=["team:bench"], kinds=["episode"])
    return {"written": 8 * each, "found": len({item.text for item in found if not isinstance(item, str)})}


def measure(home: Path, label: str, owners: Sequence[Principal], each: int, queries: int) -> dict[str, Any]:
    from rag.loremill import Loremill

    with Loremill.open(home) as mill:
        filler = Filler(mill.embedder.dim)
        for number, owner in enumerate(owners):
            fill(mill, owner, each, filler)
            progress(number + 1, len(owners))
        mill.memory.settle()
        started = time.perf_counter()
        mill.memory.recall("load", principal=owners[0])
        load_s = time.perf_counter() - started
        bare, recall, cold = recalls(mill, owners, filler, queries)
        embed, remember = remembers(mill, owners[0], filler, queries)
    return {
        "store": label, "embed query": bare, "recall": recall, "ratio": recall / bare, "first recall": cold,
        "load s": load_s, "embed text": embed, "remember": remember, "remember beyond": remember - embed,
    }  # fmt: skip


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000], help="items of one user")
    arguments.add_argument("--users", type=int, default=1000)
    arguments.add_argument("--each", type=int, default=1000, help="items of each of the users")
    arguments.add_argument("--queries", type=int, default=200)
    arguments.add_argument("--agents", type=int, default=25, help="notes of each of the eight agents; 0: none")
    arguments.add_argument("--home", type=Path, help="parent of the homes (default: a temporary folder)")
    given = arguments.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=given.home, prefix="loremill-memory-") as folder:
        for size in given.sizes:
            rows.append(measure(Path(folder) / str(size), f"1 x {size:,}", [user(0)], size, given.queries))
            print(json.dumps(rows[-1]), file=sys.stderr)
        if given.users:
            owners = [user(number) for number in range(given.users)]
            label = f"{given.users:,} x {given.each:,}"
            rows.append(measure(Path(folder) / "users", label, owners, given.each, given.queries))
            print(json.dumps(rows[-1]), file=sys.stderr)
        lost = agents(Path(folder) / "agents", given.agents) if given.agents else {}
    if rows:
        print(table(tuple(rows[0]), [tuple(row.values()) for row in rows]))
        growth = max(row["recall"] for row in rows) / rows[0]["recall"]
        print(json.dumps({"growth": round(growth, 2), "agents": lost, "stores": rows}))
    if lost and lost["written"] != lost["found"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
