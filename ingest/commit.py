"""The last steps of an ingestion: embed what is new, write the build aside, then switch catalog and release in one transaction."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from indexes.builds import BuildConfig, Manifest, write_build
from indexes.catalog import Catalog, ChunkKey
from indexes.changes import CatalogChange, StoredDocument, apply_change, class_id, prune_embeddings, record_build
from indexes.embedder import Embedder
from indexes.errors import IngestError
from ingest.embed import Progress, embed_missing, load_vectors

if TYPE_CHECKING:
    from sqlalchemy import Connection

_BUILDS_KEPT = 3


class Serving(Protocol):
    """How a new build becomes what is served; releases live on a floor above this one."""

    def chunker(self, catalog: Catalog, collection: str) -> str | None:
        """Return the name of the chunker of the live build, None if nothing is live."""

    def vector_index(self) -> str:
        """Return the vector backend for new builds."""

    def serve(self, db: Connection, collection: str, manifest: Manifest) -> str:
        """Put the build live inside the transaction and return its release id."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a commit did."""

    build: str
    release: str
    chunks_added: int
    chunks_removed: int
    embedded: int
    reused: int


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold the collection for one ingestion at a time; the lock falls with the process that holds it.

    Raises:
        IngestError: another ingestion of this collection is running.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "ingest.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise IngestError(
                f"another ingestion of collection {folder.name!r} is running; wait for it to end"
            ) from None
        yield


def commit(
    catalog: Catalog,
    folder: Path,
    collection: str,
    change: CatalogChange,
    *,
    texts: Mapping[str, str],
    embedder: Embedder,
    chunker: str,
    serving: Serving,
    progress: Progress,
) -> Outcome:
    """Make `change` the served state.

    Args:
        folder: the collection's folder; builds lie in `builds/` below it.
        texts: embedding texts by hash, for every chunk of `change.upserts`.
    Raises:
        EmbedderError, IndexBackendError: nothing served has changed.
    """
    embedded = embed_missing(catalog, embedder, texts, progress=progress)
    before = catalog.chunk_keys(collection)
    after = _keys_after(before, change)
    config = BuildConfig(embedder.model_id, embedder.dim, chunker, serving.vector_index())
    progress("build", 0, 1)
    manifest = write_build(
        folder / "builds",
        after,
        vectors=load_vectors(catalog, embedder, [key.embed_hash for key in after]),
        texts=_texts(catalog, collection, change, after),
        classes=_classes_after(catalog, collection, change),
        config=config,
    )
    progress("build", 1, 1)
    with catalog.write() as db:
        apply_change(db, collection, change)
        record_build(db, collection, manifest.build_id, manifest.to_json())
        release = serving.serve(db, collection, manifest)
        prune_embeddings(db, {key.embed_hash for key in before} - {key.embed_hash for key in after})
        kept = _kept_builds(db, collection, manifest.build_id)
    _collect_builds(folder / "builds", kept)
    old, new = {key.chunk_id for key in before}, {key.chunk_id for key in after}
    added = len(new - old)
    return Outcome(manifest.build_id, release, added, len(old - new), embedded, max(0, added - embedded))


def _keys_after(before: list[ChunkKey], change: CatalogChange) -> list[ChunkKey]:
    """Return the chunk keys as they will be, by ascending chunk id."""
    replaced = {*change.deletes, *(stored.document.document_id for stored in change.upserts)}
    keys = [key for key in before if key.document_id not in replaced]
    for stored in change.upserts:
        keys += [ChunkKey(chunk.chunk_id, chunk.document_id, name) for chunk, name in stored.chunks]
    return sorted(keys, key=lambda key: key.chunk_id)


def _texts(catalog: Catalog, collection: str, change: CatalogChange, keys: list[ChunkKey]) -> Iterator[tuple[str, str]]:
    """Yield (title and headings, text) of each key in order: new chunks from the change, the others from the catalog."""
    new = {
        chunk.chunk_id: (_place(stored, chunk.headings), chunk.text)
        for stored in change.upserts
        for chunk, _ in stored.chunks
    }
    wanted = {key.chunk_id for key in keys} - new.keys()
    stored_texts = (
        (chunk_id, (" ".join(dict.fromkeys((title, *headings))), text))
        for chunk_id, _, title, headings, text in catalog.chunk_texts(collection)
        if chunk_id in wanted
    )
    for key in keys:
        if key.chunk_id in new:
            yield new[key.chunk_id]
            continue
        for chunk_id, texts in stored_texts:  # both run by ascending chunk id
            if chunk_id == key.chunk_id:
                yield texts
                break


def _place(stored: StoredDocument, headings: tuple[str, ...]) -> str:
    return " ".join(dict.fromkeys((stored.document.title, *headings)))


def _classes_after(catalog: Catalog, collection: str, change: CatalogChange) -> dict[str, int]:
    """Return the ACL class of each document as it will be."""
    acls = {stored.document.document_id: stored.acl for stored in change.upserts}
    acls |= {state.document_id: state.acl for state in change.touched}
    with catalog.write() as db:
        ids = {acl: class_id(db, acl) for acl in sorted(set(acls.values()), key=lambda acl: (acl.allow, acl.deny))}
    return catalog.document_classes(collection) | {name: ids[acl] for name, acl in acls.items()}


def _kept_builds(db: Connection, collection: str, newest: str) -> set[str]:
    from sqlalchemy import select

    from indexes.tables import builds

    rows = db.execute(
        select(builds.c.build_id).where(builds.c.collection == collection).order_by(builds.c.created.desc())
    )
    return {newest, *list(rows.scalars())[:_BUILDS_KEPT]}


def _collect_builds(folder: Path, kept: set[str]) -> None:
    """Remove builds that no kept record names, and what crashed runs left; readers of an open one finish on their mapping."""
    for path in folder.iterdir():
        if path.name not in kept:
            shutil.rmtree(path, ignore_errors=True)
