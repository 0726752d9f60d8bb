"""An ACL edit over many chunks: what it costs, what the first and the later queries after it cost, and that no vector moves.

    python -m eval.bench.rights [--chunks 100000] [--per-document 2]

Vectors are random, for rights do not depend on them; catalog, indexes and searches are the real ones. Times are milliseconds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.bench.load import sentence
from eval.report import table
from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.staging import StoredDocument, open_staging
from indexes.vocabulary import Acl, Chunk, Document, Principal, digest

if TYPE_CHECKING:
    from rag.loremill import Loremill

COLLECTION = "rights"
TENANT = "bench"
INSIDER = Principal(TENANT, "user:in", ("group:insiders",))
OUTSIDER = Principal(TENANT, "user:out")
DIM = 384


class RandomEmbedder:
    """Unit vectors drawn from a text's hash."""

    model_id = "random/1"
    dim = DIM

    def embed_queries(self, texts: list[str]) -> Float32Matrix:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") for text in texts]
        rows = np.stack([np.random.default_rng(seed).standard_normal(DIM) for seed in seeds]).astype(np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    embed_passages = embed_queries

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def token_ends(self, text: str) -> list[int]:
        raise NotImplementedError("nothing is cut here")


def documents(chunks: int, per_document: int) -> Iterator[StoredDocument]:
    """Documents of equal size in a hundred folders, everybody's."""
    for number in range(chunks // per_document):
        name = f"folder-{number % 100}/document-{number}.md"
        parts = [sentence(number * per_document + part) for part in range(per_document)]
        text = "\n".join(parts)
        cut, start = [], 0
        for ordinal, part in enumerate(parts):
            cut.append((Chunk(name, ordinal, start, start + len(part), part), digest(part)))
            start += len(part) + 1
        document = Document(name, f"file:{name}", f"Document {number}", text, "md")
        yield StoredDocument(document, "bench", name, "hash", Acl(("everyone",)), cut, rule="acl.yaml: default")


def fill(mill: Loremill, stored: Iterable[StoredDocument]) -> None:
    """Commit documents as an ingestion does, past parser and embedder."""
    from ingest.commit import commit, staging_path
    from ingest.contract_rules import Duplicates
    from rag.releases import ReleaseServing

    rooms = mill._tenant(TENANT, create=True)
    rooms.catalog.create_collection(COLLECTION)
    folder = rooms.collections / COLLECTION
    embedder: Any = mill.embedder
    with open_staging(rooms.catalog, staging_path(folder), COLLECTION) as staging:
        for batch in batched(stored, 2000):
            staging.put(batch)
            texts = [(name, chunk.text) for document in batch for chunk, name in document.chunks]
            vectors = embedder.embed_passages([text for _, text in texts])
            staging.keep(embedder.model_id, [name for name, _ in texts], vectors)
        serving = ReleaseServing.of(mill.settings)
        commit(
            rooms.catalog, folder, staging, origin=None, embedder=embedder, chunker="bench", duplicates=Duplicates(exact=False),
            serving=serving, progress=lambda *_: None,
        )  # fmt: skip


def milliseconds(work: Any) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1e3


def vector_files(mill: Loremill) -> dict[str, str]:
    """Hash of every vector file of the home."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in mill.home.rglob("vectors.index")}


def main() -> None:
    from rag.loremill import Loremill

    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--chunks", type=int, default=100_000)
    arguments.add_argument("--per-document", type=int, default=2)
    arguments.add_argument("--repeats", type=int, default=7)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder, Loremill.open(Path(folder) / "home") as mill:
        mill.__dict__["embedder"] = RandomEmbedder()
        fill(mill, documents(given.chunks, given.per_document))
        before = vector_files(mill)
        times: dict[str, list[float]] = {}

        def query(mode: str, principal: Principal) -> int:
            found = mill.search(sentence(len(times) + 7), collection=COLLECTION, principal=principal, mode=mode)
            return len(found)

        for principal in (INSIDER, OUTSIDER):
            for mode in ("dense", "lexical"):
                query(mode, principal)
        for path in ("**", "folder-7/**", "*-1*.md"):
            for turn in range(given.repeats):
                allow = ["group:insiders"] if turn % 2 == 0 else ["everyone"]
                edit = milliseconds(
                    lambda path=path, allow=allow: mill.set_acl(collection=COLLECTION, path=path, allow=allow)
                )
                times.setdefault(f"edit {path}", []).append(edit)
                for when in ("first", "later"):
                    for mode in ("dense", "lexical"):
                        took = milliseconds(lambda mode=mode: query(mode, OUTSIDER))
                        times.setdefault(f"{when} {mode} query after {path}", []).append(took)
            if path == "**" and turn % 2 == 0:
                assert query("lexical", OUTSIDER) == 0 < query("lexical", INSIDER), "the edit did not hold"
        moved = vector_files(mill) != before
    rows = [(name, statistics.median(values), max(values)) for name, values in times.items()]
    print(f"{given.chunks:,} chunks, {given.chunks // given.per_document:,} documents; vectors moved: {moved}\n")
    print(table(("what", "median ms", "worst ms"), rows))
    print(
        json.dumps(
            {"chunks": given.chunks, "vectors_moved": moved} | {name: round(median, 1) for name, median, _ in rows}
        )
    )


if __name__ == "__main__":
    main()
