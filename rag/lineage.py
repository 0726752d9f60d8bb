"""Where a chunk comes from: chunk -> document version -> source item -> parser, chunker and embedder -> builds.

For operators: it names places, versions and hashes, and holds no text of the document.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from indexes.builds import Build
from indexes.catalog import Catalog
from indexes.errors import BuildCorrupt, CollectionNotFound
from indexes.vectors import VectorOptions
from rag.releases import list_releases


def lineage(
    catalog: Catalog, folder: Path, collection: str, chunk_id: str, *, options: VectorOptions | None = None
) -> dict[str, Any] | None:
    """Return the chunk's history as JSON, None if the collection has no such chunk.

    Args:
        folder: of the tenant's collections.
        options: how the builds' backends run here.
    Cost: opens the builds that are kept, three at most.
    """
    from sqlalchemy import select

    from indexes.tables import chunks, documents, duplicates, sources

    owner = (documents.c.collection == chunks.c.collection) & (documents.c.document_id == chunks.c.document_id)
    columns = [c for c in documents.c if c.name not in {"text", "title", "metadata", "collection"}]
    query = select(*columns, *(chunks.c[name] for name in ("ordinal", "start", "end", "headings", "embed_hash")))
    named = (chunks.c.collection == collection) & (chunks.c.chunk_id == chunk_id)
    with catalog.read() as db:
        row = db.execute(query.select_from(chunks.join(documents, owner)).where(named)).first()
        if row is None:
            return None
        spec = db.execute(
            select(sources.c.spec).where(sources.c.collection == collection, sources.c.name == row.source)
        ).scalar()
        repeated = db.execute(
            select(duplicates.c.of, duplicates.c.similarity).where(
                duplicates.c.collection == collection, duplicates.c.document_id == row.document_id
            )
        ).first()
    builds = _builds(catalog, folder / collection / "builds", collection, chunk_id, options)
    live = next((build for build in builds if build["live"]), builds[0] if builds else None)
    return {
        "chunk_id": chunk_id,
        "collection": collection,
        "tenant": catalog.tenant,
        "chunk": {name: getattr(row, name) for name in ("ordinal", "start", "end", "headings", "embed_hash")},
        "document": {
            "document_id": row.document_id,
            "content_hash": row.content_hash,
            "ingested": row.ingested,
            "attached_to": row.parent,
            "duplicate_of": None if repeated is None else dict(repeated._mapping),
            "pii": row.pii or [],
        },
        "source": {
            "name": row.source,
            "uri": row.uri,
            "path": row.path,
            "format": row.format,
            "mark": row.mark,
            "source_hash": row.source_hash,
            "opened_as": spec,
        },
        "made_by": {
            "parser": row.parser,
            "recipe": row.recipe,
            "chunker": None if live is None else live["chunker"],
            "embedder": None if live is None else live["embedder"],
        },
        "builds": builds,
    }


def _builds(
    catalog: Catalog, folder: Path, collection: str, chunk_id: str, options: VectorOptions | None
) -> list[dict[str, Any]]:
    """The kept builds that hold the chunk, newest first, each with the releases that serve it."""
    found = []
    try:
        releases = list_releases(catalog, collection)
    except CollectionNotFound:
        return []
    for build_id in dict.fromkeys(release.build for release in releases):
        try:
            build = Build(folder / build_id, options)
        except BuildCorrupt:  # collected, or damaged, which is verify's to tell
            continue
        if chunk_id in build.chunk_id_set():
            own = [release for release in releases if release.build == build_id]
            config = build.manifest.config
            found.append(
                {
                    "build": build_id,
                    "live": any(release.live for release in own),
                    "releases": [release.id for release in own],
                    "embedder": config.embedder,
                    "chunker": config.chunker,
                    "vector_index": config.vector_index,
                    "lexical_index": config.lexical_index,
                }
            )
    return found
