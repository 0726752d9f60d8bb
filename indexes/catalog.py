"""The catalog: documents, chunks, rights, builds and releases of one tenant, in a database; see `indexes.catalog_backend`.

It is the truth that indexes are made from and that hits are confirmed against. Each change is one transaction: readers see the state
before it or after it, in this process and in any other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from indexes.access import AccessFilter, Members, Readers, deciding, readable_classes
from indexes.batches import batched
from indexes.catalog_file import CatalogFile, now
from indexes.dialects import Sql
from indexes.errors import AccessDenied, CollectionNotFound
from indexes.plain_views import fetch
from indexes.vocabulary import Acl, Chunk, Principal, check_name
from indexes.where import OWN, Filter, matches

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from indexes.audit import SeenChunk
    from indexes.catalog_backend import CatalogBackend
    from indexes.plain_views import View


@dataclass(frozen=True, slots=True)
class CollectionState:
    """What is served at this moment. `epoch` grows with every change of rights or documents."""

    collection: str
    live: str | None
    epoch: int
    newest_class: int
    governed: bool = False
    """Its settings are those of the live release, until another one is promoted."""


@dataclass(frozen=True, slots=True)
class ConfirmedChunk:
    """A chunk as it may leave: its document was readable when this was read, for it is of `acl_class`."""

    chunk: Chunk
    uri: str
    title: str
    metadata: Mapping[str, Any]
    acl_class: int
    format: str = ""

    @property
    def fields(self) -> dict[str, Any]:
        """What a metadata filter sees of the document."""
        own = {"document_id": self.chunk.document_id, "uri": self.uri, "title": self.title, "format": self.format}
        return {**self.metadata, **own}


@dataclass(frozen=True, slots=True)
class DocumentInfo:
    """A document as listings show it, without its text."""

    document_id: str
    uri: str
    title: str
    format: str
    metadata: Mapping[str, Any]
    content_hash: str
    chunks: int

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class Catalog(CatalogFile):
    """One tenant's catalog. Safe for many threads and processes; its writers come one after the other.

    Open it with `Catalog.open`; close it when done.
    """

    def __init__(self, backend: CatalogBackend, tenant: str, members: Members | None = None) -> None:
        super().__init__(backend, tenant, members)
        self._readers = Readers()

    # -- collections -------------------------------------------------------------------------------------------------

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        from sqlalchemy import select

        from indexes.tables import collections

        with self.read() as db:
            return list(db.execute(select(collections.c.name).order_by(collections.c.name)).scalars())

    def create_collection(self, name: str) -> None:
        """Make the collection if it does not exist."""
        from indexes.dialects import insert_new
        from indexes.tables import collections

        row = {"name": check_name(name, "collection"), "created": now(), "epoch": 0}
        with self.write() as db:
            db.execute(insert_new(db, collections), row)

    def state(self, collection: str) -> CollectionState:
        """Return what is served now.

        Raises:
            CollectionNotFound: no such collection in this tenant.
        """
        from indexes.queries import collection_state

        with self.read() as db:
            row = db.execute(collection_state(), {"collection": collection}).first()
        if row is None:
            raise CollectionNotFound(
                f"no collection {collection!r}; run: loremill ingest SOURCE --collection {collection}"
            )
        return CollectionState(collection, row[0], row[1], row[2], bool(row[3]))

    # -- rights ------------------------------------------------------------------------------------------------------

    def access(
        self,
        principal: Principal,
        *,
        state: CollectionState | None = None,
        view: View | None = None,
        before: AccessFilter | None = None,
    ) -> AccessFilter:
        """Turn a principal into the ACL classes it may read at this moment.

        Args:
            state: of the collection that is asked; spares a look at the database while no class was added.
            view: looked at instead of a new one, where there is no state.
            before: what it might read a moment ago holds still, but for classes added since, where it is in the same groups: a class
                never changes its meaning.
        Raises:
            AccessDenied: the principal belongs to another tenant, or may do nothing any more.
        """
        if principal.tenant != self.tenant:  # before the directory could tell whether it knows the name
            raise AccessDenied(principal)
        if self._members is not None:
            principal = self._members.effective(principal)
        if before is not None and before.principal == principal:
            return before
        if state is None or state.newest_class > self._readers.newest:
            with nullcontext(view) if view is not None else self.look() as db:
                self._readers.add(_classes_after(db, self._readers.newest))
        epoch = 0 if state is None else state.epoch
        classes = self._readers.admitting(principal)
        return readable_classes(classes, tenant=self.tenant, principal=principal, epoch=epoch)

    def class_id(self, acl: Acl) -> int:
        """Return the id of the ACL's class, making it if it is new. A class never changes its meaning."""
        from indexes.rights import class_id

        with self.write() as db:
            return class_id(db, acl)

    def document_classes(self, collection: str, *, since: int | None = None) -> dict[str, int]:
        """Return the ACL class of the collection's documents, `UNREADABLE` for a withdrawn one.

        Args:
            since: only of those whose rights changed after this epoch.
        """
        from sqlalchemy import select

        from indexes.tables import rights

        query = select(rights.c.document_id, rights.c.class_id).where(rights.c.collection == collection)
        if since is not None:
            query = query.where(rights.c.epoch > since)
        with self.read() as db:
            return {row[0]: row[1] for row in db.execute(query)}

    def confirm(
        self, collection: str, chunk_ids: Sequence[str], *, access: AccessFilter, where: Filter | None = None
    ) -> dict[str, ConfirmedChunk]:
        """Return those of the chunks whose documents `access` may read and `where` admits at this moment, by chunk id.

        This is the last look before text leaves: a right taken away a moment ago holds here, whatever an index still says; and
        what leaves shows the metadata of this moment, so the filter must hold for that.
        Cost: one indexed look-up a chunk.
        """
        from indexes.queries import chunks_with_rights

        confirmed: dict[str, ConfirmedChunk] = {}
        with self.read() as db:
            for other_cuts in (False, True):
                left = [name for name in chunk_ids if name not in confirmed]
                for batch in batched(left):
                    named = {"collection": collection, "chunk_ids": list(batch)}
                    for row in db.execute(chunks_with_rights(other_cuts=other_cuts), named).all():
                        if row.class_id in access.classes:
                            confirmed[row.chunk_id] = ConfirmedChunk(
                                _chunk(row), row.uri, row.title, row.metadata, row.class_id, row.format
                            )
        if where is None:
            return confirmed
        return {name: found for name, found in confirmed.items() if matches(where, found.fields)}

    def seen(self, confirmed: Iterable[ConfirmedChunk], *, access: AccessFilter) -> tuple[SeenChunk, ...]:
        """Return what the audit log says of chunks that leave: which, and by which of the principal's names."""
        from indexes.audit import SeenChunk

        leaving = list(confirmed)
        by = {
            one: deciding(self._readers.classes[one], access.principal)
            for one in {chunk.acl_class for chunk in leaving}
        }
        return tuple(
            SeenChunk(one.chunk.chunk_id, one.chunk.document_id, one.acl_class, by[one.acl_class]) for one in leaving
        )

    # -- documents ---------------------------------------------------------------------------------------------------

    def listing(
        self, collection: str, *, access: AccessFilter, limit: int = 100, after: str | None = None
    ) -> list[DocumentInfo]:
        """Return the readable documents in order of document id, at most `limit`, those after `after`."""
        return self._infos(collection, access, limit=limit, after=after)

    def document_info(self, collection: str, document_id: str, *, access: AccessFilter) -> DocumentInfo | None:
        """Return one document, or None if there is none that `access` may read."""
        found = self._infos(collection, access, limit=1, document_id=document_id)
        return found[0] if found else None

    def may_read(self, collection: str, document_id: str, *, access: AccessFilter) -> bool:
        """Return whether there is such a document that `access` may read."""
        from sqlalchemy import select

        from indexes.tables import rights

        query = select(rights.c.class_id).where(rights.c.collection == collection, rights.c.document_id == document_id)
        with self.read() as db:
            return db.execute(query).scalar() in access.classes

    def _infos(
        self,
        collection: str,
        access: AccessFilter,
        *,
        limit: int,
        after: str | None = None,
        document_id: str | None = None,
    ) -> list[DocumentInfo]:
        from sqlalchemy import func, select

        from indexes.cuts import other_cut
        from indexes.queries import rights_of_documents
        from indexes.tables import chunks, cut_chunks, documents, rights

        with self.read() as db:
            cut = other_cut(db, collection)
        counted = chunks if cut is None else select(cut_chunks).where(cut_chunks.c.cut == cut).subquery()
        of_document = (counted.c.collection == documents.c.collection) & (
            counted.c.document_id == documents.c.document_id
        )
        count = select(func.count()).select_from(counted).where(of_document).scalar_subquery().label("chunks")
        names = [name for name in DocumentInfo.__slots__ if name != "chunks"]
        query = (
            select(*(documents.c[name] for name in names), count)
            .select_from(documents.join(rights, rights_of_documents()))
            .where(documents.c.collection == collection, rights.c.class_id.in_(sorted(access.classes)))
        )
        if document_id is not None:
            query = query.where(documents.c.document_id == document_id)
        if after is not None:
            query = query.where(documents.c.document_id > after)
        with self.read() as db:
            rows = db.execute(query.order_by(documents.c.document_id).limit(limit))
            return [DocumentInfo(**row._mapping) for row in rows]

    def field_values(
        self, collection: str, keys: Sequence[str], *, since: int | None = None
    ) -> Iterator[tuple[str, list[Any]]]:
        """Yield each document's id and what it has under the keys: metadata as read from JSON, None where there is none.

        Nothing of it may leave: it is for `indexes.columns`, whose filters are ANDed with access.

        Args:
            keys: those in `indexes.where.OWN` mean the document's own fields.
            since: only documents that changed after this epoch, in whatever way.
        Cost: reads through all metadata, whichever the keys are; with `since`, that of the changed documents.
        """
        own = {name: place for place, name in enumerate(("document_id", *sorted({*OWN[1:]} & {*keys})))}
        in_json = not own.keys() >= {*keys}
        with self.read() as db:
            for row in _fields(db, collection, [*own], since=since):
                stored = _parsed(row[-1]) if in_json else {}
                yield row[0], [row[own[key]] if key in own else stored.get(key) for key in keys]

    def siblings(self, collection: str, chunk_id: str, *, access: AccessFilter) -> list[Chunk]:
        """Return all chunks of a chunk's document in reading order; none where there is none that `access` may read.

        Cut as the live release cuts them, or else as one that is not live and has this chunk.
        """
        from indexes.tables import chunks

        return self._siblings(collection, chunk_id, access, chunks) or self._other_siblings(
            collection, chunk_id, access
        )

    def _other_siblings(self, collection: str, chunk_id: str, access: AccessFilter) -> list[Chunk]:
        from sqlalchemy import func, select

        from indexes.tables import cut_chunks

        held = (cut_chunks.c.collection == collection) & (cut_chunks.c.chunk_id == chunk_id)
        with self.read() as db:
            cut = db.execute(select(func.min(cut_chunks.c.cut)).where(held)).scalar()
        one = select(cut_chunks).where(cut_chunks.c.cut == cut).subquery()
        return self._siblings(collection, chunk_id, access, one)

    def _siblings(self, collection: str, chunk_id: str, access: AccessFilter, chunks: Any) -> list[Chunk]:
        from sqlalchemy import select

        from indexes.tables import rights

        own = select(chunks.c.document_id).where(chunks.c.collection == collection, chunks.c.chunk_id == chunk_id)
        owner = (rights.c.collection == chunks.c.collection) & (rights.c.document_id == chunks.c.document_id)
        query = (
            select(*chunks.c)
            .select_from(chunks.join(rights, owner))
            .where(chunks.c.collection == collection, chunks.c.document_id == own.scalar_subquery())
            .where(rights.c.class_id.in_(sorted(access.classes)))
            .order_by(chunks.c.ordinal)
        )
        with self.read() as db:
            return [_chunk(row) for row in db.execute(query)]

    def document_text(self, collection: str, document_id: str, *, access: AccessFilter) -> str | None:
        """Return a document's text, or None if there is none that `access` may read."""
        from sqlalchemy import select

        from indexes.queries import rights_of_documents
        from indexes.tables import documents, rights

        query = (
            select(documents.c.text, rights.c.class_id)
            .select_from(documents.join(rights, rights_of_documents()))
            .where(documents.c.collection == collection, documents.c.document_id == document_id)
        )
        with self.read() as db:
            row = db.execute(query).first()
        return row.text if row is not None and row.class_id in access.classes else None


_AFTER = Sql("SELECT class_id, allow, deny FROM acl_classes WHERE class_id > ?")


def _classes_after(db: View, newest: int) -> dict[int, Acl]:
    """Return the classes that were made after another one; a class is never changed or removed."""
    found = fetch(db, _AFTER, (newest,))
    return {row[0]: Acl(tuple(_parsed(row[1])), tuple(_parsed(row[2]))) for row in found}


def _parsed(value: Any) -> Any:
    """Return what a column of JSON holds, which SQLite's driver gives as text."""
    return json.loads(value) if isinstance(value, str) else value


def _fields(db: Connection, collection: str, own: Sequence[str], *, since: int | None) -> Iterator[Sequence[Any]]:
    """Yield the fields `own` of each document and, last, its metadata as JSON; only of those that changed after `since`."""
    from sqlalchemy import Text, select, type_coerce

    from indexes.tables import documents, rights

    columns = (*(documents.c[name] for name in own), type_coerce(documents.c.metadata, Text))
    query = select(*columns).where(documents.c.collection == collection)
    if since is None:
        yield from db.execute(query)
        return
    changed = select(rights.c.document_id).where(rights.c.collection == collection, rights.c.epoch > since)
    for batch in batched(db.execute(changed).scalars().all()):  # joined, SQLite would read all documents instead
        yield from db.execute(query.where(documents.c.document_id.in_(batch)))


def _chunk(row: Any) -> Chunk:
    return Chunk(row.document_id, row.ordinal, row.start, row.end, row.text, tuple(row.headings))
