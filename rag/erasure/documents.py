"""Erases documents: texts and titles, chunks in every cut, vectors, signatures, quarantine entries, rules, and every build that held them.

A build without them goes live in the same transaction that deletes them; readers of the old one finish on what they have mapped. It takes
nothing over from the old one: what that learned, it learned from the erased rows too. Other builds that held them are marked as gone, so
that a release that rests on one says that its build is not kept any more. So are builds that hold a chunk which the catalog has no longer:
of a document that was deleted or changed before nobody can say whose it was.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.batches import batched
from indexes.builds import remove_build
from indexes.catalog import Catalog
from indexes.errors import BuildCorrupt, IndexBackendError
from indexes.vectors import VectorOptions
from rag.erasure.target import Eraser, Found, NamedDocument, Target, strings_in

if TYPE_CHECKING:
    from ingest.pipeline import Ingestion
    from rag.fingerprints import Finder

Hold = Callable[[str], AbstractContextManager["Ingestion"]]
"""Holds a collection against ingestions, and gives what deletes documents in it."""


class DocumentEraser(Eraser):
    """Of one tenant. `collections` is the folder of its collections' folders."""

    def __init__(self, catalog: Catalog, collections: Path, *, hold: Hold, options: VectorOptions) -> None:
        self._catalog = catalog
        self._collections = collections
        self._hold = hold
        self._options = options

    def find(self, target: Target) -> Found:
        from indexes import tables as t

        kinds = ("documents", "chunks", "vectors", "quarantined", "signatures", "builds")
        counts = Counter(dict.fromkeys(kinds, 0))
        strings: list[str | bytes] = []
        chunk_ids: list[str] = []
        for collection in self._concerned(target):
            names = target.ids(collection)
            rows = self._rows(t.documents, collection, names)
            for row in rows:
                strings += [row.title, row.text, *strings_in(row.metadata)]
            chunks = self._rows(t.chunks, collection, names)
            cut = self._rows(t.cut_chunks, collection, names)
            chunk_ids += [row.chunk_id for row in (*chunks, *cut)]
            vectors = self._vectors(target, collection)
            strings += [vector[:32] for vector in vectors]
            signatures = self._rows(t.signatures, collection, names)
            counts.update(
                documents=len(rows), chunks=len(chunks) + len(cut), vectors=len(vectors),
                quarantined=len(self._refused(target, collection)), signatures=len(signatures),
                builds=len(self._doomed(collection, names)),
            )  # fmt: skip
        return Found(dict(counts), tuple(strings), chunk_ids=tuple(chunk_ids))

    def kept(self, target: Target) -> Iterator[str]:
        from sqlalchemy import select

        from indexes.tables import documents

        going = {(each.collection, each.document_id) for each in target.documents}
        names = ("collection", "document_id", "uri", "path", "title", "text", "metadata")
        query = select(*(documents.c[name] for name in names))
        with self._catalog.read() as db:
            for row in db.execution_options(yield_per=500).execute(query):
                if (row.collection, row.document_id) not in going:
                    yield "\n".join((*row[1:-1], *strings_in(row.metadata)))

    def erase(self, target: Target, _finder: Finder) -> None:
        from indexes import tables as t
        from ingest.commit import staging_path

        for collection in self._concerned(target):
            names = target.ids(collection)
            with self._hold(collection) as ingestion:
                if self._rows(t.documents, collection, names):
                    ingestion.delete(names, afresh=True)
                self._forget_names(target, collection)
                self._catalog.backend.drop_staging(staging_path(self._collections / collection), collection)
                self._remove_builds(collection, names)

    def _concerned(self, target: Target) -> list[str]:
        """Return the collections that may hold something: of a subject's, every one."""
        named = {each.collection for each in target.documents}
        return sorted({*named, *(self._catalog.collections() if target.subject else ())})

    def _forget_names(self, target: Target, collection: str) -> None:
        """Delete what speaks of the documents without being stored for them."""
        from sqlalchemy import delete

        from indexes import tables as t

        uris = [each.uri for each in target.documents if each.collection == collection]
        with self._catalog.write() as db:
            for batch in batched(target.ids(collection)):
                for table in (t.quarantine, t.acl_rules, t.duplicates, t.rights):
                    named = table.c.document_id.in_(batch)
                    db.execute(delete(table).where(table.c.collection == collection, named))
            for batch in batched(uris):
                db.execute(
                    delete(t.quarantine).where(t.quarantine.c.collection == collection, t.quarantine.c.uri.in_(batch))
                )

    def _remove_builds(self, collection: str, document_ids: Sequence[str]) -> None:
        """Mark builds that hold the documents as gone, then remove their files and what they have on servers."""
        from sqlalchemy import update

        from indexes.tables import builds
        from rag.releases import live_release

        live = live_release(self._catalog, collection)
        doomed = self._doomed(collection, document_ids)
        if live is not None and live.build in {path.name for path in doomed}:
            raise BuildCorrupt(
                f"the live build of collection {collection!r} does not agree with the catalog; ingest with --full, and run the "
                "same command again"
            )
        with self._catalog.write() as db:
            for batch in batched([path.name for path in doomed]):
                here = (builds.c.collection == collection) & builds.c.build_id.in_(batch)
                db.execute(update(builds).where(here).values(gone=1))
        for path in doomed:
            if not remove_build(path, self._options):
                raise IndexBackendError(
                    f"build {path.name} of collection {collection!r} lies on a server that cannot be reached: see that it "
                    "answers, and run the same command again"
                )

    def _doomed(self, collection: str, document_ids: Sequence[str]) -> list[Path]:
        """Return the builds that hold the documents, or chunks that the catalog has no longer."""
        from sqlalchemy import select

        from indexes.tables import chunks, cut_chunks

        folder = self._builds(collection)
        doomed = builds_with(folder, document_ids)
        known: set[str] = set()
        with self._catalog.read() as db:
            for table in (chunks, cut_chunks):
                known.update(db.execute(select(table.c.chunk_id).where(table.c.collection == collection)).scalars())
        rest = [path for path in sorted(folder.iterdir()) if path not in doomed] if folder.is_dir() else []
        return doomed + [path for path in rest if not _chunk_ids(path) <= known]

    def _builds(self, collection: str) -> Path:
        return self._collections / collection / "builds"

    def _rows(self, table: Any, collection: str, document_ids: Iterable[str]) -> list[Any]:
        from sqlalchemy import select

        found: list[Any] = []
        with self._catalog.read() as db:
            for batch in batched(document_ids):
                query = select(table).where(table.c.collection == collection, table.c.document_id.in_(batch))
                found += db.execute(query).all()
        return found

    def _refused(self, target: Target, collection: str) -> set[str]:
        """Return the uris of the documents' quarantine entries."""
        from sqlalchemy import select

        from indexes.tables import quarantine

        own = {each.uri for each in target.documents if each.collection == collection}
        query = select(quarantine.c.uri).where(quarantine.c.collection == collection)
        found = {row.uri for row in self._rows(quarantine, collection, target.ids(collection))}
        with self._catalog.read() as db:
            for batch in batched(sorted(own)):
                found.update(db.execute(query.where(quarantine.c.uri.in_(batch))).scalars())
        return found

    def _vectors(self, target: Target, collection: str) -> list[bytes]:
        """Return the vectors of texts that no other document has."""
        from sqlalchemy import select

        from indexes.tables import embeddings, text_uses

        going = {(each.collection, each.document_id) for each in target.documents}
        own = {row.text_hash for row in self._rows(text_uses, collection, target.ids(collection))}
        found: list[bytes] = []
        with self._catalog.read() as db:
            for batch in batched(sorted(own)):
                uses = db.execute(select(text_uses).where(text_uses.c.text_hash.in_(batch))).all()
                shared = {use.text_hash for use in uses if (use.collection, use.document_id) not in going}
                query = select(embeddings.c.vector).where(embeddings.c.text_hash.in_(sorted({*batch} - shared)))
                found += db.execute(query).scalars()
        return found


def builds_with(folder: Path, document_ids: Sequence[str]) -> list[Path]:
    """Return the folders of builds that hold a chunk of one of the documents, and of those that cannot say."""
    wanted = {*document_ids}
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        try:
            held = json.loads((path / "documents.json").read_text("utf-8"))
            if wanted & {*held}:
                found.append(path)
        except (OSError, ValueError, TypeError):
            found.append(path)
    return found


def _chunk_ids(path: Path) -> set[str]:
    """Return the ids of a build's chunks; one that no catalog has if they cannot be read."""
    from zipfile import BadZipFile

    import numpy as np

    try:
        with np.load(path / "rows.npz", allow_pickle=False) as rows:
            return {name.decode("ascii") for name in rows["chunk_ids"].tolist()}
    except (OSError, ValueError, KeyError, BadZipFile):
        return {""}


def named(catalog: Catalog, collections: Path, asked: str, *, only: str | None = None) -> tuple[NamedDocument, ...]:
    """Return the documents of that id or uri with their attachments, wherever something of them is: stored, quarantined or in a build.

    Args:
        only: look in this collection alone.
    """
    from sqlalchemy import select

    from indexes.tables import documents, quarantine

    found: set[NamedDocument] = set()
    for collection in [only] if only is not None else catalog.collections():
        with catalog.read() as db:
            for table in (documents, quarantine):
                query = select(table.c.collection, table.c.document_id, table.c.uri).where(
                    table.c.collection == collection
                )
                either = (table.c.document_id == asked) | (table.c.uri == asked)
                found |= {NamedDocument(*row) for row in db.execute(query.where(either))}
        if not found and any(_holds(path, asked) for path in builds_with(collections / collection / "builds", [asked])):
            found.add(NamedDocument(collection, asked, asked))
    return with_attachments(catalog, found)


def of_subject(catalog: Catalog, subject: str) -> tuple[NamedDocument, ...]:
    """Return the documents whose metadata say `"subject": SUBJECT`, or have it in a list there, with their attachments."""
    from sqlalchemy import Text, cast, select

    from indexes.tables import documents

    query = select(*(documents.c[name] for name in ("collection", "document_id", "uri", "metadata")))
    with catalog.read() as db:
        rows = db.execute(query.where(cast(documents.c.metadata, Text).contains('"subject"')))
        found = {NamedDocument(*row[:3]) for row in rows if subject in _listed(row.metadata.get("subject"))}
    return with_attachments(catalog, found)


def with_attachments(catalog: Catalog, found: set[NamedDocument]) -> tuple[NamedDocument, ...]:
    """Return documents with all that was attached to them, to attachments too, in order."""
    from sqlalchemy import select

    from indexes.tables import documents, quarantine

    fresh = found
    while fresh:
        parents = fresh
        fresh = set()
        with catalog.read() as db:
            for table in (documents, quarantine):
                query = select(table.c.collection, table.c.document_id, table.c.uri)
                for batch in batched(sorted(parents, key=_order)):
                    ids = [each.document_id for each in batch]
                    for row in db.execute(query.where(table.c.parent.in_(ids))):
                        if any(row.collection == each.collection for each in batch):
                            fresh.add(NamedDocument(*row))
        fresh -= found
        found |= fresh
    return tuple(sorted(found, key=_order))


def _order(document: NamedDocument) -> tuple[str, str, str]:
    return (document.collection, document.document_id, document.uri)


def _listed(value: object) -> Sequence[object]:
    return value if isinstance(value, list) else [value]


def _holds(path: Path, document_id: str) -> bool:
    try:
        return document_id in json.loads((path / "documents.json").read_text("utf-8"))
    except (OSError, ValueError, TypeError):
        return False
