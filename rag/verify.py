"""`loremill verify`: do catalog, chunks, postings and vectors of the live build agree?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from indexes.builds import changed_files
from indexes.catalog import Catalog
from indexes.errors import BuildCorrupt
from indexes.vocabulary import Chunk
from rag.retrieve import Retriever


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """`faults` is empty where everything agrees."""

    collection: str
    build: str
    documents: int
    chunks: int
    faults: tuple[str, ...]

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
            "faults": list(self.faults),
        }


def verify(catalog: Catalog, retriever: Retriever, collection: str) -> VerifyReport:
    """Compare every chunk of the catalog with its document's text, and the live build with the catalog.

    Raises:
        CollectionNotFound: no such collection, or it serves nothing yet.
    Cost: reads every text and every file of the build once.
    """
    faults: list[str] = []
    documents = chunks = 0
    catalog_ids: set[str] = set()
    for document_id, text, stored in catalog.documents_with_chunks(collection):
        documents += 1
        for chunk_id, chunk in stored:
            chunks += 1
            catalog_ids.add(chunk_id)
            faults += _chunk_faults(document_id, text, chunk_id, chunk)
    release = retriever.release_record(collection)
    try:
        build = retriever.build(collection)
        faults += [f"the file {name} of the build is not what was written" for name in changed_files(build.folder)]
    except BuildCorrupt as error:
        return VerifyReport(collection, release.build, documents, chunks, (*faults, str(error)))
    indexed = build.chunk_id_set()
    faults += [f"chunk {name} is in the catalog but not in the build" for name in sorted(catalog_ids - indexed)]
    faults += [f"chunk {name} is in the build but not in the catalog" for name in sorted(indexed - catalog_ids)]
    lengths = build.vectors.norms()
    crooked = np.flatnonzero(~(np.abs(lengths - 1.0) < 1e-3))
    faults += [f"the vector of chunk {name} is not of unit length" for name in build.chunk_ids(crooked.tolist())]
    return VerifyReport(collection, release.build, documents, chunks, tuple(faults))


def _chunk_faults(document_id: str, text: str, chunk_id: str, chunk: Chunk) -> list[str]:
    faults = []
    if text[chunk.start : chunk.end] != chunk.text:
        faults.append(f"chunk {chunk_id} of {document_id}: its text is not what stands at {chunk.start}-{chunk.end}")
    if chunk.chunk_id != chunk_id:
        faults.append(f"chunk {chunk_id} of {document_id}: the id does not derive from its content")
    return faults
