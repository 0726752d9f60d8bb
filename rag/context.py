"""What stands around a hit, for those who may read it."""

from __future__ import annotations

from indexes.catalog import Catalog
from indexes.errors import AccessDenied
from indexes.vocabulary import Chunk, Principal
from ingest.neighbours import neighbours, section_of


def around(
    catalog: Catalog,
    chunk_id: str,
    *,
    collection: str,
    principal: Principal,
    before: int = 1,
    after: int = 1,
    levels_up: int | None = None,
) -> list[Chunk]:
    """Return the chunks around one, itself among them, in reading order; none if `principal` may not read its document.

    Args:
        chunk_id: of a hit.
        before, after: neighbours wanted on each side.
        levels_up: the chunk's whole section instead (0), its parent section (1), and so on.
    Raises:
        AccessDenied: the principal belongs to another tenant.
    """
    if principal.tenant != catalog.tenant:
        raise AccessDenied(principal)
    chunks = catalog.siblings(collection, chunk_id, access=catalog.access(principal))
    ordinal = next((number for number, chunk in enumerate(chunks) if chunk.chunk_id == chunk_id), None)
    if ordinal is None:
        return []
    if levels_up is not None:
        return section_of(chunks, ordinal, levels_up=levels_up)
    return neighbours(chunks, ordinal, before=before, after=after)
