"""The commit's statements: what staging holds becomes the catalog, inside the transaction of `Staging.commit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from indexes.catalog_file import now
from indexes.cuts import keep_cut
from indexes.dialects import insert_new, insert_or_replace
from indexes.rights import raise_epoch, settle
from indexes.vocabulary import digest_all

if TYPE_CHECKING:
    from sqlalchemy import Connection


def apply_staged(db: Connection, collection: str, *, sources: Iterable[str], cut: str | None = None) -> None:
    """Move everything staged into the catalog; bump the epoch if anything that is served changed.

    Args:
        sources: whose old quarantine entries the staged ones replace.
        cut: how texts are cut now; with another one than before, all of them were staged anew. None: as before.
    """
    from sqlalchemy import delete, select, true

    from indexes import tables as t

    served = changes_served(db)
    epoch = raise_epoch(db, collection) if served else None
    freed = _freed(db, collection)
    gone = select(t.staged_gone.c.document_id)
    retold = gone.where(~t.staged_gone.c.same_text)
    if cut is not None:
        keep_cut(db, collection, cut)
    leaving = {
        t.chunks: gone, t.documents: gone, t.cut_chunks: retold, t.text_uses: retold, t.signatures: retold,
        t.bands: retold,
    }  # fmt: skip
    for table, names in leaving.items():
        db.execute(delete(table).where(table.c.collection == collection, table.c.document_id.in_(names)))
    db.execute(
        delete(t.quarantine).where(t.quarantine.c.collection == collection, t.quarantine.c.source.in_(list(sources)))
    )
    for table in t.MOVED:
        copy = t.staged.tables[f"staged.{table.name}"]
        rows = select(*copy.c).where(true())
        db.execute(insert_or_replace(db, table).from_select([c.name for c in table.c], rows))
    _apply_touched(db, collection)
    if epoch is not None:
        _settle_rights(db, collection, epoch)
    move_embeddings(db)
    _forget(db, freed)


def changes_served(db: Connection) -> bool:
    """Is anything staged that a search could tell?"""
    from sqlalchemy import literal, select

    from indexes.tables import staged_gone, staged_touched

    found = db.execute(select(literal(1)).select_from(staged_gone).limit(1)).first()
    return bool(found or db.execute(select(literal(1)).where(staged_touched.c.served).limit(1)).first())


def _apply_touched(db: Connection, collection: str) -> None:
    from sqlalchemy import select, update

    from indexes.tables import documents, staged_touched

    names = ("source", "path", "uri", "mark", "class_id", "rule")
    values = {
        name: select(staged_touched.c[name])
        .where(staged_touched.c.document_id == documents.c.document_id)
        .scalar_subquery()
        for name in names
    }
    touched = documents.c.document_id.in_(select(staged_touched.c.document_id))
    db.execute(update(documents).where(documents.c.collection == collection, touched).values(**values))


def _settle_rights(db: Connection, collection: str, epoch: int) -> None:
    """Say who may read what came or changed; what is gone for good has no rights left."""
    from sqlalchemy import delete, select, union

    from indexes.tables import documents, rights, staged_documents, staged_gone, staged_touched

    lost = rights.c.document_id.in_(select(staged_gone.c.document_id)) & rights.c.document_id.not_in(
        select(documents.c.document_id).where(documents.c.collection == collection)
    )
    db.execute(delete(rights).where(rights.c.collection == collection, lost))
    changed = union(select(staged_documents.c.document_id), select(staged_touched.c.document_id))
    settle(db, collection, db.execute(changed).scalars().all(), epoch)


def move_embeddings(db: Connection) -> None:
    """Keep the staged vectors that a chunk uses; a run that was killed may have left others."""
    from sqlalchemy import exists, select

    from indexes.tables import embeddings, staged_embeddings, text_uses

    used = exists().where(text_uses.c.text_hash == staged_embeddings.c.text_hash)
    rows = select(*staged_embeddings.c).where(used)
    db.execute(insert_new(db, embeddings).from_select([c.name for c in embeddings.c], rows))


def _freed(db: Connection, collection: str) -> list[str]:
    """Embedding texts of documents that go or change: candidates for forgetting."""
    from sqlalchemy import select

    from indexes.tables import staged_gone, text_uses

    retold = select(staged_gone.c.document_id).where(~staged_gone.c.same_text)
    query = select(text_uses.c.text_hash).where(
        text_uses.c.collection == collection, text_uses.c.document_id.in_(retold)
    )
    return list(db.execute(query.distinct()).scalars())


def _forget(db: Connection, hashes: list[str]) -> None:
    """Remove the vectors of texts that no document of the tenant has any more."""
    from sqlalchemy import delete, exists

    from indexes.batches import batched
    from indexes.tables import embeddings, text_uses

    used = exists().where(text_uses.c.text_hash == embeddings.c.text_hash)
    for batch in batched(hashes):
        db.execute(delete(embeddings).where(embeddings.c.text_hash.in_(batch), ~used))


def record_duplicates(db: Connection, collection: str, near: Iterable[tuple[str, str, float]], *, exact: bool) -> None:
    """Write down which documents repeat another: equal texts as they are found here, near ones as given.

    Args:
        near: (document id, that of the first like it, similarity); an equal text counts above them.
        exact: record equal texts.
    """
    from sqlalchemy import delete, func, insert, literal, select

    from indexes.tables import documents, duplicates

    db.execute(delete(duplicates).where(duplicates.c.collection == collection))
    rows = [
        {"collection": collection, "document_id": document_id, "of": of, "similarity": similarity}
        for document_id, of, similarity in near
    ]
    if rows:
        db.execute(insert(duplicates), rows)
    if not exact:
        return
    first = func.min(documents.c.document_id).over(partition_by=documents.c.text_hash)
    texts = (
        select(documents.c.document_id, first.label("of"))
        .where(documents.c.collection == collection, documents.c.text != "")
        .subquery()
    )
    equal = select(literal(collection), texts.c.document_id, texts.c.of, literal(1.0)).where(
        texts.c.of != texts.c.document_id
    )
    columns = ["collection", "document_id", "of", "similarity"]
    db.execute(insert_or_replace(db, duplicates).from_select(columns, equal))


def record_build(
    db: Connection, collection: str, build_id: str, manifest: dict[str, Any], *, recipe: Mapping[str, Any]
) -> None:
    """Write down a build of the documents as they are now; one that is known gets the present time, so that it counts as the newest.

    Args:
        recipe: the settings that it was made with.
    Cost: reads the hash of every document.
    """
    from sqlalchemy import select

    from indexes.tables import builds, documents

    own = select(documents.c.document_id, documents.c.content_hash).where(documents.c.collection == collection)
    hashes = db.execute(own.order_by(documents.c.document_id))
    row = {"build_id": build_id, "collection": collection, "manifest": manifest, "created": now()}
    row |= {"recipe": dict(recipe), "corpus": digest_all([], (f"{name} {text}" for name, text in hashes))}
    db.execute(insert_or_replace(db, builds), row)


def record_source(
    db: Connection, collection: str, name: str, spec: Mapping[str, Any], *, adopted: Iterable[str]
) -> None:
    """Write down how a source was opened, so that a retry can open it again; `adopted` are names it had before."""
    from sqlalchemy import delete

    from indexes.tables import sources

    db.execute(delete(sources).where(sources.c.collection == collection, sources.c.name.in_(list(adopted))))
    row = {"collection": collection, "name": name, "spec": dict(spec), "ingested": now()}
    db.execute(insert_or_replace(db, sources), row)
