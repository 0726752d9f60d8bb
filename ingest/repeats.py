"""Which documents of a collection nearly repeat another one: found by an SQL index over bands, settled by their signatures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ingest.duplicates import THRESHOLD, bands, rows, similarity

if TYPE_CHECKING:
    from sqlalchemy import Connection


def band_keys(signature: bytes, *, threshold: float) -> tuple[bytes, ...]:
    """Return the keys under which the index holds a signature: equal ones make two documents candidates."""
    return tuple(
        bytes((rows(threshold), place)) + band for place, band in enumerate(bands(signature, threshold=threshold))
    )


def near_duplicates(
    db: Connection, collection: str, *, threshold: float = THRESHOLD
) -> Iterator[tuple[str, str, float]]:
    """Yield (document id, id of the one that it repeats most, estimated Jaccard similarity), by document id.

    Each document is compared with the first one, by id, of every band that it shares: of a family of copies all are said
    to repeat its first.

    Args:
        threshold: least similarity.
    Cost: O(documents x bands), whatever the size of the families.
    """
    from sqlalchemy import func, select

    from indexes.tables import bands as index
    from indexes.tables import signatures

    first = func.min(index.c.document_id).over(partition_by=index.c.band)
    shared = (
        select(index.c.document_id, first.label("first")).where(index.c.collection == collection).distinct().subquery()
    )
    one, other = signatures.alias(), signatures.alias()
    query = (
        select(shared.c.document_id, shared.c.first, one.c.signature, other.c.signature)
        .join(one, (one.c.collection == collection) & (one.c.document_id == shared.c.document_id))
        .join(other, (other.c.collection == collection) & (other.c.document_id == shared.c.first))
        .where(shared.c.document_id != shared.c.first)
        .order_by(shared.c.document_id, shared.c.first)
    )
    best: tuple[str, str, float] | None = None
    for document_id, candidate, signature, of_candidate in db.execute(query):
        if best is not None and best[0] != document_id:
            yield best
            best = None
        score = similarity(signature, of_candidate)
        if score >= threshold and (best is None or score > best[2]):
            best = (document_id, candidate, score)
    if best is not None:
        yield best
