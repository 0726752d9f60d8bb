"""Writing to the catalog: what one ingestion changes, applied in one transaction."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.catalog import Catalog, DocumentState, now
from indexes.vocabulary import Acl, Chunk, Document

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with what the catalog adds to it."""

    document: Document
    source: str
    path: str
    source_hash: str
    acl: Acl
    chunks: Sequence[tuple[Chunk, str]]
    """Chunks in order, each with the hash of the text that was embedded."""


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A source item that could not be indexed, and why."""

    uri: str
    source: str
    document_id: str
    source_hash: str
    stage: str
    error: str
    message: str

    def to_json(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("uri", "stage", "error", "message")}


@dataclass(slots=True)
class CatalogChange:
    """Everything one ingestion changes, applied in one transaction by `Catalog.apply`."""

    upserts: list[StoredDocument] = field(default_factory=list)
    touched: list[DocumentState] = field(default_factory=list)
    """Same text; place, title-independent metadata or rights changed."""
    deletes: list[str] = field(default_factory=list)
    quarantined: list[QuarantineEntry] = field(default_factory=list)
    sources_seen: set[str] = field(default_factory=set)
    """Sources whose old quarantine entries this run replaces."""

    def changes_documents(self) -> bool:
        return bool(self.upserts or self.touched or self.deletes)


def quarantined(catalog: Catalog, collection: str) -> list[QuarantineEntry]:
    """Return the collection's quarantine, by uri."""
    from sqlalchemy import select

    from indexes.tables import quarantine

    columns = [quarantine.c[name] for name in QuarantineEntry.__slots__]
    query = select(*columns).where(quarantine.c.collection == collection).order_by(quarantine.c.uri)
    with catalog.read() as db:
        return [QuarantineEntry(*row) for row in db.execute(query)]


def apply_change(db: Connection, collection: str, change: CatalogChange) -> None:
    """Write a change inside the transaction `db`; bumps the epoch if any document changed."""
    from sqlalchemy import delete, insert, update

    from indexes.tables import chunks, collections, documents, quarantine

    gone = [*change.deletes, *(stored.document.document_id for stored in change.upserts)]
    for batch in batched(gone):
        for table in (chunks, documents):
            db.execute(delete(table).where(table.c.collection == collection, table.c.document_id.in_(batch)))
    for stored in change.upserts:
        db.execute(insert(documents), _document_row(db, collection, stored))
        if stored.chunks:
            db.execute(insert(chunks), [_chunk_row(collection, chunk, hash_) for chunk, hash_ in stored.chunks])
    for state in change.touched:
        values: dict[str, Any] = {"uri": state.uri, "path": state.path, "source": state.source}
        values |= {
            "metadata": dict(state.metadata),
            "class_id": class_id(db, state.acl),
            "source_hash": state.source_hash,
        }
        db.execute(
            update(documents)
            .where(documents.c.collection == collection, documents.c.document_id == state.document_id)
            .values(**values)
        )
    for source in change.sources_seen:
        db.execute(delete(quarantine).where(quarantine.c.collection == collection, quarantine.c.source == source))
    for entry in change.quarantined:
        row = {name: getattr(entry, name) for name in QuarantineEntry.__slots__}
        db.execute(insert(quarantine).prefix_with("OR REPLACE"), row | {"collection": collection, "at": now()})
    if change.changes_documents():
        bump = update(collections).where(collections.c.name == collection)
        db.execute(bump.values(epoch=collections.c.epoch + 1))


def _document_row(db: Connection, collection: str, stored: StoredDocument) -> dict[str, Any]:
    document = stored.document
    return {
        "collection": collection,
        "document_id": document.document_id,
        "source": stored.source,
        "path": stored.path,
        "uri": document.uri,
        "title": document.title,
        "format": document.format,
        "metadata": dict(document.metadata),
        "content_hash": document.content_hash,
        "source_hash": stored.source_hash,
        "class_id": class_id(db, stored.acl),
        "text": document.text,
        "ingested": now(),
    }


def class_id(db: Connection, acl: Acl) -> int:
    """Return the id of the ACL's class, making it if it is new. A class never changes its meaning."""
    from sqlalchemy import insert, select

    from indexes.tables import acl_classes as table

    key = json.dumps([acl.allow, acl.deny])
    found = db.execute(select(table.c.class_id).where(table.c.key == key)).scalar()
    if found is None:
        row = {"allow": list(acl.allow), "deny": list(acl.deny), "key": key}
        found = db.execute(insert(table).returning(table.c.class_id), row).scalar_one()
    return int(found)


def _chunk_row(collection: str, chunk: Chunk, embed_hash: str) -> dict[str, Any]:
    return {
        "collection": collection,
        "chunk_id": chunk.chunk_id,
        "document_id": chunk.document_id,
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "headings": list(chunk.headings),
        "text": chunk.text,
        "embed_hash": embed_hash,
    }


def record_build(db: Connection, collection: str, build_id: str, manifest: dict[str, Any]) -> None:
    """Write down a build; one that is known gets the present time, so that it counts as the newest."""
    from sqlalchemy import insert

    from indexes.tables import builds

    row = {"build_id": build_id, "collection": collection, "manifest": manifest, "created": now()}
    db.execute(insert(builds).prefix_with("OR REPLACE"), row)


def prune_embeddings(db: Connection, hashes: set[str]) -> None:
    """Remove the cached vectors of texts that no chunk of the tenant has any more."""
    from sqlalchemy import delete, exists, select

    from indexes.tables import chunks, embeddings

    used = exists(select(1).where(chunks.c.embed_hash == embeddings.c.text_hash))
    for batch in batched(sorted(hashes)):
        db.execute(delete(embeddings).where(embeddings.c.text_hash.in_(batch), ~used))
