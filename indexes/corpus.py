"""What ingestion reads of a collection: its documents as stored, and its chunks as they will be once staging is moved over.

Nothing here asks a principal: these are for building indexes and for `verify`, never for text that leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.catalog import Catalog
from indexes.dialects import Sql
from indexes.staging import QuarantineEntry, Staging, StoredDocument
from indexes.vocabulary import Acl, Chunk, Document

if TYPE_CHECKING:
    from sqlalchemy import Connection, Select


@dataclass(frozen=True, slots=True)
class DocumentState:
    """What an ingestion must know of a stored document to tell whether its source item changed."""

    document_id: str
    source: str
    path: str
    uri: str
    title: str
    format: str
    metadata: Mapping[str, Any]
    source_hash: str
    content_hash: str
    mark: str
    recipe: str
    parser: str
    parent: str | None
    rule: str
    acl: Acl


def _states() -> Select[Any]:
    from sqlalchemy import select

    from indexes.tables import acl_classes, documents

    names = [name for name in DocumentState.__slots__ if name != "acl"]
    joined = documents.join(acl_classes, acl_classes.c.class_id == documents.c.class_id)
    return select(*(documents.c[name] for name in names), acl_classes.c.allow, acl_classes.c.deny).select_from(joined)


def _state(row: Any) -> DocumentState:
    values = dict(row._mapping)
    acl = Acl(tuple(values.pop("allow")), tuple(values.pop("deny")))
    return DocumentState(**values, acl=acl)


def states(db: Connection, collection: str, document_ids: Sequence[str]) -> dict[str, DocumentState]:
    """Return what is stored of those of the documents that are, by document id."""
    from indexes.tables import documents

    query = _states().where(documents.c.collection == collection)
    rows = (
        row for batch in batched(document_ids) for row in db.execute(query.where(documents.c.document_id.in_(batch)))
    )
    return {row.document_id: _state(row) for row in rows}


def children(db: Connection, collection: str, parents: Sequence[str]) -> dict[str, list[DocumentState]]:
    """Return the stored attachments of documents, by the document's id."""
    from indexes.tables import documents

    query = _states().where(documents.c.collection == collection)
    found: dict[str, list[DocumentState]] = {}
    for batch in batched(parents):
        for row in db.execute(query.where(documents.c.parent.in_(batch))):
            found.setdefault(row.parent, []).append(_state(row))
    return found


def of_sources(db: Connection, collection: str, sources: Sequence[str]) -> Iterator[DocumentState]:
    """Yield the stored documents of the sources, by id."""
    from indexes.tables import documents

    query = _states().where(documents.c.collection == collection, documents.c.source.in_(list(sources)))
    for row in db.execute(query.order_by(documents.c.document_id)):
        yield _state(row)


def unlisted(db: Connection, collection: str, sources: Sequence[str]) -> Iterator[DocumentState]:
    """Yield the stored documents of the sources that staging has not seen listed, by id."""
    from sqlalchemy import select

    from indexes.tables import documents, staged_seen

    query = _states().where(documents.c.collection == collection, documents.c.source.in_(list(sources)))
    query = query.where(documents.c.document_id.not_in(select(staged_seen.c.document_id)))
    for row in db.execute(query.order_by(documents.c.document_id)):
        yield _state(row)


def staying(staging: Staging) -> Iterator[StoredDocument]:
    """Yield the stored documents that staging neither replaces nor drops, to be cut anew from their texts."""
    from sqlalchemy import select

    from indexes.tables import documents, staged_gone

    stays = documents.c.document_id.not_in(select(staged_gone.c.document_id))
    query = _states().add_columns(documents.c.text, documents.c.pii)
    query = query.where(documents.c.collection == staging.collection, stays)
    with staging.read() as db:
        for row in db.execution_options(yield_per=100).execute(query):
            values = dict(row._mapping)
            text, pii = values.pop("text"), values.pop("pii")
            acl = Acl(tuple(values.pop("allow")), tuple(values.pop("deny")))
            state = DocumentState(**values, acl=acl)
            document = Document(state.document_id, state.uri, state.title, text, state.format, state.metadata)
            yield StoredDocument(
                document, state.source, state.path, state.source_hash, acl, (), mark=state.mark, recipe=state.recipe,
                parser=state.parser, parent=state.parent, pii=pii or (), same_text=True, rule=state.rule,
            )  # fmt: skip


def source_names(db: Connection, collection: str) -> set[str]:
    """Return the names of all sources that a stored document comes from."""
    from sqlalchemy import select

    from indexes.tables import documents

    return set(db.execute(select(documents.c.source).where(documents.c.collection == collection).distinct()).scalars())


def source_specs(catalog: Catalog, collection: str) -> dict[str, dict[str, Any]]:
    """Return how each source of the collection was opened, by its name."""
    from sqlalchemy import select

    from indexes.tables import sources

    query = select(sources.c.name, sources.c.spec).where(sources.c.collection == collection).order_by(sources.c.name)
    with catalog.read() as db:
        return {row.name: dict(row.spec) for row in db.execute(query)}


_QUICK = Sql("SELECT 1 FROM documents WHERE collection = ? AND source_hash = ? LIMIT 1")


def same_bytes(db: Connection, collection: str, source_hash: str) -> DocumentState | None:
    """Return a stored document without attachments that was made from these very bytes, under any name.

    Cost: one look-up in an index where there is none, which is the rule.
    """
    from sqlalchemy import exists

    from indexes.tables import documents, quarantine

    if db.exec_driver_sql(_QUICK.on(db), (collection, source_hash)).first() is None:
        return None
    query = _states().where(documents.c.collection == collection, documents.c.source_hash == source_hash)
    for table in (documents.alias(), quarantine):
        attached = exists().where(table.c.collection == collection, table.c.parent == documents.c.document_id)
        query = query.where(~attached)
    row = db.execute(query.order_by(documents.c.document_id).limit(1)).first()
    return None if row is None else _state(row)


def stored_text(db: Connection, collection: str, document_id: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a stored document's text and what PII was found in it."""
    from sqlalchemy import select

    from indexes.tables import documents

    query = select(documents.c.text, documents.c.pii)
    row = db.execute(query.where(documents.c.collection == collection, documents.c.document_id == document_id)).one()
    return row.text, row.pii or []


def quarantined(
    db: Connection, collection: str, *, uris: Sequence[str] | None = None, parents: Sequence[str] | None = None
) -> list[QuarantineEntry]:
    """Return the quarantine by uri: all of it, or the entries of some uris, or of some documents' attachments."""
    from sqlalchemy import select

    from indexes.tables import quarantine

    query = select(*(quarantine.c[name] for name in QuarantineEntry.__slots__)).where(
        quarantine.c.collection == collection
    )
    column, values = (quarantine.c.parent, parents) if uris is None else (quarantine.c.uri, uris)
    if values is None:
        return [QuarantineEntry(*row) for row in db.execute(query.order_by(quarantine.c.uri))]
    return [QuarantineEntry(*row) for batch in batched(values) for row in db.execute(query.where(column.in_(batch)))]


def documents_with_chunks(catalog: Catalog, collection: str) -> Iterator[tuple[str, str, list[tuple[str, Chunk]]]]:
    """Yield (document_id, text, its (chunk_id, chunk) pairs), by document id. For `verify`."""
    from sqlalchemy import select

    from indexes.tables import chunks, documents

    texts = select(documents.c.document_id, documents.c.text).where(documents.c.collection == collection)
    parts = select(chunks).where(chunks.c.collection == collection)
    with catalog.read() as db:
        for row in db.execution_options(yield_per=100).execute(texts.order_by(documents.c.document_id)):
            found = db.execute(parts.where(chunks.c.document_id == row.document_id).order_by(chunks.c.ordinal)).all()
            yield row.document_id, row.text, [(part.chunk_id, as_chunk(part)) for part in found]


def chunks_with_vectors(catalog: Catalog, collection: str, model_id: str) -> Iterator[tuple[str, str, bytes | None]]:
    """Yield (chunk_id, text, its cached vector) of every chunk, by ascending chunk id. For `verify`."""
    from sqlalchemy import select

    from indexes.tables import chunks, embeddings

    vector = (embeddings.c.model_id == model_id) & (embeddings.c.text_hash == chunks.c.embed_hash)
    query = select(chunks.c.chunk_id, chunks.c.text, embeddings.c.vector)
    query = query.select_from(chunks.outerjoin(embeddings, vector)).where(chunks.c.collection == collection)
    with catalog.read() as db:
        for row in db.execution_options(yield_per=1000).execute(query.order_by(chunks.c.chunk_id)):
            yield row.chunk_id, row.text, row.vector


def as_chunk(row: Any) -> Chunk:
    """A row of the table `chunks` as the vocabulary's word."""
    return Chunk(row.document_id, row.ordinal, row.start, row.end, row.text, tuple(row.headings))
