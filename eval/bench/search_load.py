"""Eight threads search while documents are ingested: are their answers right, and how much longer do they take?

    python -m eval.bench.search_load [--documents 24000] [--rounds 5] [--pause 0.0]

Each thread asks as somebody else, who reads 10 to 80 % of the documents; every other search is dense, the others hybrid. Searches are timed alone,
beside an ingestion by a thread of the same process, and beside one by a process of its own, as the server's worker is. Each ingestion deletes
some hundred documents and adds as many. A hit is wrong if its reader may not see it or if it was not in the build that answered; dense answers
are compared with a brute-force search of that build. Vectors are random, so that embedding does not hide the search.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from eval.bench.load import sentence
from eval.bench.rights import RandomEmbedder
from eval.measures import percentile
from eval.report import table
from indexes.arrays import Float32Matrix
from indexes.vocabulary import Principal

if TYPE_CHECKING:
    from rag.loremill import Loremill

TENANT, COLLECTION = "bench", "load"
GROUPS, READERS, TOP_K, CHANGED = 10, 8, 10, 300
ALONE_S = 15.0
CHECKED = 3000


class NumberedEmbedder(RandomEmbedder):
    """A document's vector is drawn from its number, a query's from its text."""

    model_id = "numbered/1"
    max_tokens = 256

    def embed_passages(self, texts: list[str]) -> Float32Matrix:
        return self.embed_queries([_number(text) for text in texts])

    def count_tokens(self, texts: list[str]) -> list[int]:  # type: ignore[override]
        return [len(text.split()) for text in texts]


def _number(text: str) -> str:
    found = re.search(r"Note (\d+):", text)
    if found is None:
        raise ValueError(f"not one of this benchmark's documents: {text[:40]}")
    return found[1]


@dataclass(frozen=True, slots=True)
class Asked:
    """A search that a reader made: what came, in which state of the collection, and how long it took."""

    reader: int
    query: str
    mode: str
    build: str
    found: tuple[int, ...]
    ms: float


class Collection:
    """Documents in rounds: each round's ingestion deletes the oldest and adds new ones."""

    def __init__(self, home: Path, source: Path, documents: int) -> None:
        self._home, self._source, self._documents = home, source, documents

    def open(self) -> Loremill:
        from rag.loremill import Loremill

        mill = Loremill.open(self._home)
        mill.__dict__["embedder"] = NumberedEmbedder()
        return mill

    def window(self, turn: int) -> range:
        return range(turn * CHANGED, turn * CHANGED + self._documents)

    def ingest(self, mill: Loremill, turn: int) -> str:
        """Bring the collection into the state of a round and return the build's id."""
        with self._source.open("w", encoding="utf-8") as file:
            for number in self.window(turn):
                acl = {"allow": [f"group:g{number % GROUPS}"]}
                file.write(json.dumps({"id": str(number), "text": sentence(number), "acl": acl}) + "\n")
        return mill.ingest(self._source, collection=COLLECTION, tenant=TENANT).build


def write(place: Collection, turns: range) -> list[str]:
    """Ingest the rounds with a mill of this process's own; what the writing process runs."""
    with place.open() as mill:
        return [place.ingest(mill, turn) for turn in turns]


def read(mill: Loremill, reader: int, until: threading.Event, pause: float, phase: str) -> list[Asked]:
    """Ask one question after the other, none of them twice."""
    principal = Principal(TENANT, f"user:{reader}", tuple(f"group:g{group}" for group in range(reader + 1)))
    made: list[Asked] = []
    while not until.is_set():
        query, mode = f"{phase} {reader} {len(made)} {sentence(len(made))}", ("dense", "hybrid")[len(made) % 2]
        started = time.perf_counter()
        result = mill.search_result(query, collection=COLLECTION, principal=principal, top_k=TOP_K, mode=mode)
        ms = (time.perf_counter() - started) * 1e3
        found = tuple(int(_number(hit.text)) for hit in result.hits)
        made.append(Asked(reader, query, mode, result.build, found, ms))
        time.sleep(pause)
    return made


def beside(mill: Loremill, work: Callable[[], None], pause: float, phase: str) -> tuple[list[Asked], float]:
    """Return what the readers asked while `work` ran, and the seconds that it took."""
    ended = threading.Event()
    made: list[list[Asked]] = [[] for _ in range(READERS)]

    def reader(number: int) -> None:
        made[number] = read(mill, number, ended, pause, phase)

    threads = [threading.Thread(target=reader, args=(number,)) for number in range(READERS)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    try:
        work()
    finally:
        seconds = time.perf_counter() - started
        ended.set()
        for thread in threads:
            thread.join()
    return [asked for each in made for asked in each], seconds


@dataclass(slots=True)
class Verdict:
    checked: int = 0
    wrong: int = 0
    short: int = 0
    recall: float = 1.0


def judge(made: list[Asked], place: Collection, builds: list[str]) -> Verdict:
    """Look at every hit, and compare a part of the dense answers with brute force."""
    turn_of = {build: turn for turn, build in enumerate(builds)}
    verdict = Verdict()
    for asked in made:
        window = place.window(turn_of[asked.build])
        verdict.wrong += any(number not in window or number % GROUPS > asked.reader for number in asked.found)
        verdict.short += len(asked.found) < TOP_K
    embedder = NumberedEmbedder()
    last = place.window(len(builds) - 1).stop
    vectors = embedder.embed_queries([str(number) for number in range(last)])
    groups = np.arange(last) % GROUPS
    dense = [asked for asked in made if asked.mode == "dense"]
    recalls = []
    for asked in dense[:: max(1, len(dense) // CHECKED)]:
        window = place.window(turn_of[asked.build])
        scores = vectors[window.start : window.stop] @ embedder.embed_queries([asked.query])[0]
        scores[groups[window.start : window.stop] > asked.reader] = -np.inf
        best = window.start + np.argpartition(-scores, TOP_K)[:TOP_K]
        recalls.append(len(set(best.tolist()) & set(asked.found)) / TOP_K)
    verdict.checked, verdict.recall = len(recalls), float(np.mean(recalls))
    return verdict


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, default=24_000)
    arguments.add_argument(
        "--rounds", type=int, default=5, help="ingestions in this process, and as many in one of its own"
    )
    arguments.add_argument("--pause", type=float, default=0.0, help="seconds that a reader waits between two searches")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Collection(Path(folder) / "home", Path(folder) / "notes.jsonl", given.documents)
        with place.open() as mill, get_context("spawn").Pool(1) as process:
            started = time.perf_counter()
            builds = [place.ingest(mill, 0)]
            first_s = time.perf_counter() - started
            here, there = range(1, 1 + given.rounds), range(1 + given.rounds, 1 + 2 * given.rounds)
            process.apply(write, (place, range(0)))  # the process starts and imports before it counts

            def in_process() -> None:
                builds.extend(place.ingest(mill, turn) for turn in here)

            def in_another() -> None:
                builds.extend(process.apply(write, (place, there)))

            beside(mill, lambda: time.sleep(2), given.pause, "warm")
            phases = {}
            for name, work in (
                ("alone", lambda: time.sleep(ALONE_S)),
                ("beside a thread that ingests", in_process),
                ("beside a process that ingests", in_another),
                ("alone again", lambda: time.sleep(ALONE_S)),
            ):  # fmt: skip
                phases[name] = beside(mill, work, given.pause, name)
            verdict = judge([asked for made, _ in phases.values() for asked in made], place, builds)
    times = {name: [asked.ms for asked in made] for name, (made, _) in phases.items()}
    alone = percentile(times["alone"] + times["alone again"], 95)
    print(table(
        ("searches by 8 threads", "n", "s", "p50 ms", "p95 ms", "p99 ms", "p95 / alone"),
        [(name, len(ms), phases[name][1], *(percentile(ms, q) for q in (50, 95, 99)), percentile(ms, 95) / alone) for name, ms in times.items()],
    ))  # fmt: skip
    print(
        f"first ingestion of {given.documents:,}: {first_s:.0f} s; later ones change {2 * CHANGED} documents, {given.rounds} each way"
    )
    print(
        f"wrong hits in {verdict.wrong} searches, {verdict.short} short; dense recall@10 {verdict.recall:.4f} over {verdict.checked}"
    )


if __name__ == "__main__":
    main()
