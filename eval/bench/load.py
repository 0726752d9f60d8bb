"""Searches while a large ingestion runs: does the 95th percentile grow?

    python -m eval.bench.load [--documents 100000] [--queries 300]

A collection is served; searches are timed at rest, then the same ones while `--documents` generated small documents are
ingested into it by a process of its own, as the server's worker does it. `--embedder` may be a quick stand-in's name; the default is the real one.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from eval.bench.crash import WORDS
from eval.bench.home import READER, TENANT
from eval.measures import percentile
from eval.report import table
from indexes.vocabulary import Acl, Principal

COLLECTION = "load"
PAUSE_S = 0.1
"""Between two searches: some eight people who ask all the time, and not a load that takes the machine by itself."""


def sentence(number: int) -> str:
    """A small document's text, different for each number."""
    words = random.Random(number)
    return f"Note {number}: " + " ".join(words.choices(WORDS, k=12)) + "."


def search_times(mill: object, queries: list[str], *, until: threading.Event | None, pause: float) -> list[float]:
    """Time searches in turn, all of them once, or again and again until the event."""
    from rag.loremill import Loremill

    assert isinstance(mill, Loremill)
    times: list[float] = []
    for query in itertools.cycle(queries) if until is not None else queries:
        if until is not None and until.is_set():
            break
        started = time.perf_counter()
        mill.search(f"{query} {len(times)}", collection=COLLECTION, principal=READER)
        times.append((time.perf_counter() - started) * 1e3)
        time.sleep(pause)
    return times


def main() -> None:
    from rag.inbox import Inbox
    from rag.loremill import Loremill

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, default=100_000)
    arguments.add_argument("--queries", type=int, default=300)
    arguments.add_argument("--embedder", default="minilm")
    given = arguments.parse_args()
    queries = [sentence(-number) for number in range(1, given.queries + 1)]
    with tempfile.TemporaryDirectory() as folder, Loremill.open(Path(folder) / "home", embedder=given.embedder) as mill:
        for number in range(20):
            mill.put_document(
                collection=COLLECTION, principal=Principal(TENANT, "user:editor"), document_id=f"first-{number}",
                text=sentence(10**9 + number), acl=Acl(("everyone",)),
            )  # fmt: skip
        rest = search_times(mill, queries, until=None, pause=PAUSE_S)
        inbox: Inbox = mill.inbox(TENANT)
        rows = (
            {"document_id": str(n), "text": sentence(n), "acl": {"allow": ["everyone"]}} for n in range(given.documents)
        )
        name = inbox.submit(list(rows), collection=COLLECTION, principal=Principal(TENANT, "user:editor"))
        job = {
            "settings": json.loads(mill.settings.model_dump_json()) | {"home": str(mill.home)},
            "payload": str(inbox.payload(name)), "collection": COLLECTION, "tenant": TENANT,
        }  # fmt: skip
        ended = threading.Event()
        answer: dict[str, object] = {}

        def ingest() -> None:
            command = [sys.executable, "-m", "service.worker"]
            done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, check=False)
            answer.update(json.loads(done.stdout))
            ended.set()

        started = time.perf_counter()
        thread = threading.Thread(target=ingest)
        thread.start()
        busy = search_times(mill, queries, until=ended, pause=PAUSE_S)
        seconds = time.perf_counter() - started
        thread.join()
        after = search_times(mill, queries, until=None, pause=PAUSE_S)
    print(json.dumps(answer)[:600], file=sys.stderr)
    quantiles = [(p, *(percentile(times, p) for times in (rest, busy, after))) for p in (50, 95, 99, 100)]
    print(f"{given.documents:,} documents in {seconds:.0f} s, {len(busy)} searches meanwhile; ms:\n")
    print(table(("percentile", "at rest", "while ingesting", "after"), quantiles))
    print(f"p95 while ingesting / at rest: {percentile(busy, 95) / percentile(rest, 95):.2f}")


if __name__ == "__main__":
    main()
