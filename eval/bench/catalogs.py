"""What a catalog's database costs: the same documents ingested, searched and remembered over SQLite and over PostgreSQL, in turns.

python -m eval.bench.catalogs --url postgresql://localhost/kb
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rag import Loremill, Principal

ALICE = Principal("bench", "user:alice", ("group:even",))
COLLECTION = "bench"
_TOPICS = ("kiln", "glaze", "budget", "leave", "harbour", "orchard", "ledger", "turbine")


def write_documents(folder: Path, n: int) -> None:
    """Write `n` documents of three paragraphs; every other one is for a group."""
    folder.mkdir()
    for number in range(n):
        topic = _TOPICS[number % len(_TOPICS)]
        parts = [
            f"Paragraph {part} of report {number} tells of the {topic} and of lot {number * 7 + part}. " * 12
            for part in range(3)
        ]
        (folder / f"{number % 2}-{number}.md").write_text("\n\n".join(parts))
    rules = {"default": {"allow": ["everyone"]}, "rules": [{"path": "0-*", "allow": ["group:even"]}]}
    (folder / "acl.yaml").write_text(json.dumps(rules))


def timed(ask: Callable[[int], Any], n: int) -> float:
    """Return the median of `n` calls in milliseconds, the first ones aside."""
    took = []
    for number in range(n + 5):
        began = time.perf_counter()
        ask(number)
        took.append(time.perf_counter() - began)
    return 1000 * median(took[5:])


def measure(home: Path, docs: Path, *, url: str, searches: int) -> dict[str, float]:
    """Return seconds of the ingestion and milliseconds of single calls."""
    with Loremill.open(home, catalog_url=url, cache_entries=0) as mill:
        mill.embedder.embed_queries(["warm"])
        began = time.perf_counter()
        mill.ingest(docs, collection=COLLECTION, principal=ALICE)
        found = {"ingest_s": time.perf_counter() - began}
        began = time.perf_counter()
        mill.ingest(docs, collection=COLLECTION, principal=ALICE)
        found["unchanged_s"] = time.perf_counter() - began
        for mode in ("lexical", "hybrid"):
            found[f"search_{mode}_ms"] = timed(partial(_search, mill, mode), searches)
        found["put_ms"] = timed(lambda i: _put(mill, i), 10)
        found["remember_ms"] = timed(lambda i: mill.memory.remember(f"We saw lot {i}.", principal=ALICE), 50)
        mill.memory.settle()
        found["recall_ms"] = timed(lambda i: mill.memory.recall(f"lot {i}", principal=ALICE), searches)
    return {name: round(value, 2) for name, value in found.items()}


def _search(mill: Loremill, mode: str, number: int) -> None:
    mill.search(f"{_TOPICS[number % 8]} lot {number}", collection=COLLECTION, principal=ALICE, mode=mode)


def _put(mill: Loremill, number: int) -> None:
    from indexes.vocabulary import Acl

    mill.put_document(
        collection="put", principal=ALICE, document_id=f"d{number}", text=f"Note {number}.", acl=Acl(("everyone",))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of an empty PostgreSQL database")
    parser.add_argument("--docs", type=int, default=300)
    parser.add_argument("--searches", type=int, default=100)
    given = parser.parse_args()
    with TemporaryDirectory(prefix="loremill-catalogs-") as folder:
        docs = Path(folder) / "docs"
        write_documents(docs, given.docs)
        for name, url in (("sqlite", ""), ("postgresql", given.url)):
            print(name, json.dumps(measure(Path(folder) / name, docs, url=url, searches=given.searches)), flush=True)


if __name__ == "__main__":
    main()
