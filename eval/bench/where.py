"""Metadata filters over many documents: what a filter costs by itself and in a search, the first time, later, and after changes.

    python -m eval.bench.where [--documents 100000] [--repeats 50]

One chunk and ten metadata keys a document; vectors are random, catalog, indexes and searches are the real ones. `filter` is the mask of
rows alone, the modes are whole searches, each with a query that is new. Times are milliseconds, medians unless they say otherwise.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from eval.bench.load import sentence
from eval.bench.rights import COLLECTION, OUTSIDER, TENANT, RandomEmbedder, fill, milliseconds
from eval.report import table
from indexes.staging import StoredDocument
from indexes.vocabulary import Acl, Chunk, Document, digest
from indexes.where_json import parse

if TYPE_CHECKING:
    from rag.loremill import Loremill

FILTERS: tuple[Mapping[str, Any], ...] = (
    {"serial": {"lt": 100}},
    {"owner": "user17"},
    {"year": 2024},
    {"day": {"gte": "2024-01-01"}},
    {"tags": "t3"},
    {"department": {"in": ["hr", "it"]}},
    {"sent": {"gte": "2025-07-01T00:00:00Z"}},
    {"score": {"gt": 0.5}},
    {"draft": {"ne": True}},
    {"nothing": 1},
    {"year": {"gte": 2020}, "department": {"in": ["hr", "it"]}, "or": [{"draft": True}, {"tags": "t3"}]},
)


def metadata(number: int) -> dict[str, Any]:
    """Return ten keys: few and many distinct values, numbers, texts, dates, booleans, a list."""
    rng = Random(number)
    return {
        "year": rng.randrange(2000, 2026),
        "department": rng.choice(["hr", "it", "finance", "legal", "sales"]),
        "day": f"{rng.randrange(2010, 2026)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
        "sent": f"2025-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}T{rng.randrange(24):02}:30:{rng.randrange(60):02}+02:00",
        "score": rng.random(),
        "draft": rng.random() < 0.1,
        "tags": [f"t{tag}" for tag in rng.sample(range(7), 2)],
        "owner": f"user{rng.randrange(5000)}",
        "serial": number,
        "note": sentence(number),
    }


def documents(count: int) -> Iterator[StoredDocument]:
    """Documents of one chunk, everybody's."""
    for number in range(count):
        name, text = f"folder-{number % 100}/document-{number}.md", sentence(number)
        document = Document(name, f"file:{name}", f"Document {number}", text, "md", metadata(number))
        chunk = Chunk(name, 0, 0, len(text), text)
        yield StoredDocument(
            document, "bench", name, "hash", Acl(("everyone",)), [(chunk, digest(text))], rule="default"
        )


def measure(mill: Loremill, *, count: int, repeats: int) -> dict[str, Any]:
    """Fill the mill and return the figures."""
    fill(mill, documents(count))
    retriever = mill._tenant(TENANT).retriever
    searched = 0

    def search(where: Mapping[str, Any] | None, mode: str) -> float:
        nonlocal searched
        searched += 1
        query = f"{sentence(searched)} {searched}"
        return milliseconds(
            lambda: mill.search(query, collection=COLLECTION, principal=OUTSIDER, mode=mode, where=where)
        )

    def mask(where: Mapping[str, Any]) -> tuple[float, float]:
        state = retriever._state(COLLECTION, OUTSIDER)
        access, build, parsed = retriever.access(OUTSIDER, state=state), retriever.build(COLLECTION), parse(where)
        started = time.perf_counter()
        passing = retriever._passing(build, parsed, state, access)
        return (time.perf_counter() - started) * 1e3, float(passing.mean())

    modes = ("lexical", "dense", "hybrid")
    rows: list[tuple[Any, ...]] = []
    for where in (None, *FILTERS):
        cold, share = (0.0, 1.0) if where is None else mask(where)
        alone = [0.0] if where is None else sorted(mask(where)[0] for _ in range(repeats))
        whole = [statistics.median(search(where, mode) for _ in range(repeats)) for mode in modes]
        rows.append((json.dumps(where), share, cold, statistics.median(alone), alone[int(len(alone) * 0.95)], *whole))
    columns = retriever.build(COLLECTION)._columns
    after: dict[str, list[float]] = {}
    for path in ("folder-7/document-7.md", "folder-7/**", "**"):
        for turn in range(3):
            allow = ["everyone"] if turn % 2 else ["everyone", "group:insiders"]
            mill.set_acl(collection=COLLECTION, path=path, allow=allow)
            search(None, "lexical")
            after.setdefault(path, []).append(mask({"year": 2024})[0])
    return {
        "rows": rows,
        "array_bytes": columns.nbytes,
        "first filter after an edit": {path: statistics.median(times) for path, times in after.items()},
    }


def main() -> None:
    from rag.loremill import Loremill

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--documents", type=int, default=100_000)
    arguments.add_argument("--repeats", type=int, default=50)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, Loremill.open(Path(folder) / "home") as mill:
        mill.__dict__["embedder"] = RandomEmbedder()
        figures = measure(mill, count=given.documents, repeats=given.repeats)
    head = ("filter", "passes", "first time", "filter p50", "filter p95", "lexical", "dense", "hybrid")
    print(table(head, figures.pop("rows")))
    print(json.dumps({"documents": given.documents, **figures}))


if __name__ == "__main__":
    main()
