"""A collection as it will be once staging is moved over: what a build is made of, streamed in the order of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from indexes.builds import BuildRow, ChunkKey
from indexes.errors import IndexBackendError
from indexes.staging import Staging

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, Select

_FETCH = 1000
"""Rows that are in memory at a time."""


class Upcoming:
    """The `Corpus` that `write_build` reads; nothing of it is kept in memory."""

    def __init__(self, staging: Staging, *, model_id: str) -> None:
        self._staging = staging
        self._model_id = model_id

    def document_ids(self) -> list[str]:
        """Ids of the documents that have chunks, ascending."""
        from sqlalchemy import select, union

        from indexes.tables import chunks, staged_chunks

        kept = select(chunks.c.document_id).where(self._stays(chunks))
        both = union(kept, select(staged_chunks.c.document_id)).order_by("document_id")
        with self._staging.read() as db:
            return list(db.execute(both).scalars())

    def keys(self) -> Iterator[ChunkKey]:
        """By ascending chunk id."""
        from sqlalchemy import select, union_all

        from indexes.tables import chunks, staged_chunks

        def columns(table: Any) -> Select[Any]:
            return select(table.c.chunk_id, table.c.document_id, table.c.embed_hash)

        both = union_all(columns(chunks).where(self._stays(chunks)), columns(staged_chunks)).order_by("chunk_id")
        with self._staging.read() as db:
            for row in db.execution_options(yield_per=_FETCH).execute(both):
                yield ChunkKey(*row)

    def rows(self) -> Iterator[BuildRow]:
        """By ascending chunk id."""
        from sqlalchemy import union_all

        from indexes.tables import chunks, documents, staged_chunks, staged_documents

        both = union_all(
            _rows_of(chunks, documents).where(self._stays(chunks)), _rows_of(staged_chunks, staged_documents)
        ).order_by("chunk_id")
        with self._staging.read() as db:
            for row in db.execution_options(yield_per=_FETCH).execute(both):
                place = " ".join(dict.fromkeys((row.title, *row.headings)))
                yield BuildRow(row.chunk_id, row.document_id, row.class_id, place, row.text)

    def vectors(self) -> Iterator[bytes]:
        """By ascending chunk id.

        Raises:
            IndexBackendError: one was never computed.
        """
        from sqlalchemy import func, select, union_all

        from indexes.tables import chunks, embeddings, staged_chunks, staged_embeddings

        def vector(table: Any, chunks: Any) -> Any:
            named = (table.c.model_id == self._model_id) & (table.c.text_hash == chunks.c.embed_hash)
            return select(table.c.vector).where(named).scalar_subquery()

        def columns(chunks: Any) -> Select[Any]:
            either = func.coalesce(vector(embeddings, chunks), vector(staged_embeddings, chunks))
            return select(chunks.c.chunk_id, either.label("vector"))

        both = union_all(columns(chunks).where(self._stays(chunks)), columns(staged_chunks)).order_by("chunk_id")
        with self._staging.read() as db:
            for row in db.execution_options(yield_per=_FETCH).execute(both):
                if row.vector is None:
                    raise IndexBackendError(f"chunk {row.chunk_id} has no vector; ingest again")
                yield row.vector

    def _stays(self, chunks: Any) -> ColumnElement[bool]:
        from sqlalchemy import and_, select

        from indexes.tables import staged_gone

        gone = select(staged_gone.c.document_id)
        return and_(chunks.c.collection == self._staging.collection, chunks.c.document_id.not_in(gone))

    def __len__(self) -> int:
        """How many chunks there will be."""
        from sqlalchemy import func, select

        from indexes.tables import chunks, staged_chunks

        with self._staging.read() as db:
            kept = db.execute(select(func.count()).select_from(chunks).where(self._stays(chunks))).scalar_one()
            return int(kept + db.execute(select(func.count()).select_from(staged_chunks)).scalar_one())

    def differences(self) -> tuple[int, int]:
        """Return how many chunks the commit adds and removes, by chunk id."""
        from sqlalchemy import exists, func, select

        from indexes.tables import chunks, staged_chunks, staged_gone

        stored, coming = chunks.alias(), staged_chunks.alias()
        here = exists().where(
            stored.c.collection == staged_chunks.c.collection, stored.c.chunk_id == staged_chunks.c.chunk_id
        )
        again = exists().where(coming.c.collection == chunks.c.collection, coming.c.chunk_id == chunks.c.chunk_id)
        added = select(func.count()).select_from(staged_chunks).where(~here)
        leaving = chunks.c.document_id.in_(select(staged_gone.c.document_id))
        removed = (
            select(func.count())
            .select_from(chunks)
            .where(chunks.c.collection == self._staging.collection, leaving, ~again)
        )
        with self._staging.read() as db:
            return db.execute(added).scalar_one(), db.execute(removed).scalar_one()


def _rows_of(chunks: Any, documents: Any) -> Select[Any]:
    from sqlalchemy import func, select

    from indexes.tables import staged_touched

    moved_to = select(staged_touched.c.class_id).where(staged_touched.c.document_id == documents.c.document_id)
    owner = (documents.c.collection == chunks.c.collection) & (documents.c.document_id == chunks.c.document_id)
    return select(
        chunks.c.chunk_id,
        chunks.c.document_id,
        func.coalesce(moved_to.scalar_subquery(), documents.c.class_id).label("class_id"),
        documents.c.title,
        chunks.c.headings,
        chunks.c.text,
    ).select_from(chunks.join(documents, owner))
