"""`loremill verify`: do source, catalog, chunks, postings and vectors of the live build agree?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.builds import Build, changed_files
from indexes.catalog import Catalog
from indexes.corpus import chunks_with_vectors, documents_with_chunks, source_specs
from indexes.errors import BuildCorrupt, LoremillError
from indexes.vocabulary import Chunk
from rag.retrieve import Retriever

_TERMS = 3
"""Of each chunk, its longest ones are looked up in the postings."""
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`faults` is empty where everything agrees. `unchecked` are sources that cannot be reached from here, with the reason."""

    collection: str
    build: str
    documents: int
    chunks: int
    faults: tuple[str, ...]
    sources: int = 0
    unchecked: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        return {
            "collection": self.collection,
            "build": self.build,
            "ok": self.ok,
            "documents": self.documents,
            "chunks": self.chunks,
            "sources": self.sources,
            "faults": list(self.faults),
            "unchecked": list(self.unchecked),
        }


def verify(catalog: Catalog, retriever: Retriever, collection: str, *, sources: bool = True) -> VerifyReport:
    """Compare each source with the catalog, every chunk with its document's text, and the live build with the catalog.

    Args:
        sources: list the sources too; False where only what is stored is in question.
    Raises:
        CollectionNotFound: no such collection, or it serves nothing yet.
    Cost: reads every text and every file of the build once, and lists the sources.
    """
    faults: list[str] = []
    documents = 0
    catalog_ids: set[str] = set()
    for document_id, text, stored in documents_with_chunks(catalog, collection):
        documents += 1
        for chunk_id, chunk in stored:
            catalog_ids.add(chunk_id)
            faults += _chunk_faults(document_id, text, chunk_id, chunk)
    release = retriever.release_record(collection)
    try:
        faults += _build_faults(catalog, retriever.build(collection), collection, catalog_ids)
    except BuildCorrupt as error:
        faults.append(str(error))
    listed, unchecked = 0, []
    for name, spec in source_specs(catalog, collection).items() if sources else ():
        try:
            faults += _source_faults(catalog, collection, spec)
            listed += 1
        except LoremillError as error:
            unchecked.append(f"{name}: {error}")
    return VerifyReport(collection, release.build, documents, len(catalog_ids), tuple(faults), listed, tuple(unchecked))


def _chunk_faults(document_id: str, text: str, chunk_id: str, chunk: Chunk) -> Iterator[str]:
    if text[chunk.start : chunk.end] != chunk.text:
        yield f"chunk {chunk_id} of {document_id}: its text is not what stands at {chunk.start}-{chunk.end}"
    if chunk.chunk_id != chunk_id:
        yield f"chunk {chunk_id} of {document_id}: the id does not derive from its content"


def _build_faults(catalog: Catalog, build: Build, collection: str, catalog_ids: set[str]) -> Iterator[str]:
    for name in changed_files(build.folder):
        yield f"the file {name} of the build is not what was written"
    indexed = build.chunk_id_set()
    for name in sorted(catalog_ids - indexed):
        yield f"chunk {name} is in the catalog but not in the build"
    for name in sorted(indexed - catalog_ids):
        yield f"chunk {name} is in the build but not in the catalog"
    lengths = build.vectors.norms()
    crooked = set(np.flatnonzero(~(np.abs(lengths - 1.0) < 1e-3)).tolist())
    for name in build.chunk_ids(sorted(crooked)):
        yield f"the vector of chunk {name} is not of unit length"
    rows = build.row_numbers()
    for chunk_id, text, raw in chunks_with_vectors(catalog, collection, build.manifest.config.embedder):
        row = rows.get(chunk_id)
        if row is None:
            continue
        if raw is None:
            yield f"chunk {chunk_id} has no vector in the catalog"
        elif row not in crooked:
            vector = np.frombuffer(raw, "<f4").reshape(1, -1)
            if not abs(float(build.vectors.scores(vector, np.array([row]))[0]) - 1.0) < 1e-3:
                yield f"the vector of chunk {chunk_id} is not that of its text"
        terms = sorted(build.lexical.terms(text), key=len)[-_TERMS:]
        if not build.lexical.holds(row, terms):
            yield f"the postings of chunk {chunk_id} lack words of its text"


def _source_faults(catalog: Catalog, collection: str, spec: dict[str, Any]) -> Iterator[str]:
    from ingest.compare import differences
    from rag.intake import Intake

    source = Intake.from_spec(spec).source
    found = differences(catalog, collection, source)
    for names, what in (
        (found.missing, "not in the catalog"),
        (found.changed, "there in another version than in the catalog"),
        (found.surplus, "gone from the source and still in the catalog"),
    ):
        if names:
            shown = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
            yield f"{source.name}: {what}: {shown}; ingest it again"
