"""The statements that every search runs, built once: composing them anew would cost more than the database does."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, func, select

from indexes.tables import acl_classes, collections, cut_chunks, documents, rights
from indexes.tables import chunks as standing_chunks


@cache
def collection_state() -> Select[Any]:
    """(live release, epoch, newest ACL class, governed) of `:collection`."""
    newest = select(func.coalesce(func.max(acl_classes.c.class_id), 0)).scalar_subquery()
    return select(collections.c.live, collections.c.epoch, newest, collections.c.governed).where(
        collections.c.name == bindparam("collection")
    )


def rights_of_documents() -> ColumnElement[bool]:
    """Join condition: the row of `rights` that says who may read the row of `documents`."""
    return (rights.c.collection == documents.c.collection) & (rights.c.document_id == documents.c.document_id)


@cache
def chunks_with_rights(*, other_cuts: bool = False) -> Select[Any]:
    """Columns of the chunks `:chunk_ids` of `:collection`, with fields, metadata and present ACL class of their documents.

    Args:
        other_cuts: those of releases that cut the documents in another way.
    """
    chunks = cut_chunks if other_cuts else standing_chunks
    joined = chunks.join(
        documents,
        (documents.c.collection == chunks.c.collection) & (documents.c.document_id == chunks.c.document_id),
    ).join(rights, rights_of_documents())
    of_document = (documents.c[name] for name in ("uri", "title", "format", "metadata"))
    columns = (*chunks.c, *of_document, rights.c.class_id)
    return (
        select(*columns)
        .select_from(joined)
        .where(chunks.c.collection == bindparam("collection"))
        .where(chunks.c.chunk_id.in_(bindparam("chunk_ids", expanding=True)))
    )
