"""Staging: what one ingestion prepares, in a place of its own until one transaction moves it into the catalog.

The catalog is not written to before that, so searches and changes of rights never wait for an ingestion; and memory holds
a window of documents, however many there are. What a killed run leaves is thrown away by the next one, but for the
vectors: those were paid for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from indexes.arrays import Float32Matrix
from indexes.batches import batched
from indexes.catalog import Catalog
from indexes.catalog_backend import Database, faults
from indexes.catalog_file import now
from indexes.dialects import insert_or_replace
from indexes.vocabulary import Acl, Chunk, Document, digest

if TYPE_CHECKING:
    from sqlalchemy import Connection


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document with what the catalog adds to it.

    Args:
        source_hash: of the raw item.
        chunks: in order, each with the hash of the text that is embedded.
        rule: what decided `acl`.
        mark: the item's version mark in its source.
        recipe: names how the item became text.
        parser: the parser and its libraries, with versions.
        parent: document id of what it was attached to.
        pii: `{"type", "start", "end"}` of what was found in the text, never the value.
        signature, bands: of the text, where near-duplicates are wanted.
        same_text: the stored version has this text too, so what was embedded of it stays known.
    """

    document: Document
    source: str
    path: str
    source_hash: str
    acl: Acl
    chunks: Sequence[tuple[Chunk, str]]
    mark: str = ""
    recipe: str = ""
    parser: str = ""
    parent: str | None = None
    pii: Sequence[Mapping[str, Any]] = ()
    signature: bytes = b""
    bands: Sequence[bytes] = ()
    same_text: bool = False
    rule: str = ""


@dataclass(frozen=True, slots=True)
class QuarantineEntry:
    """A source item that could not be indexed, and why. `stage` is read, parse or contract."""

    uri: str
    source: str
    document_id: str
    source_hash: str
    stage: str
    error: str
    message: str
    mark: str = ""
    recipe: str = ""
    parent: str | None = None

    def to_json(self) -> dict[str, str]:
        return {name: getattr(self, name) for name in ("uri", "stage", "error", "message")}


@dataclass(frozen=True, slots=True)
class Touch:
    """A stored document whose text stays: where it lies now and who may read it. `served` is False if only `mark` changed."""

    document_id: str
    source: str
    path: str
    uri: str
    mark: str
    acl: Acl
    rule: str = ""
    served: bool = True


class Staging:
    """Opened with `open_staging`. One thread writes documents while another writes vectors."""

    def __init__(self, database: Database, catalog: Catalog, collection: str, *, dry: bool) -> None:
        self._database = database
        self._catalog = catalog
        self._dry = dry
        self._classes: dict[Acl, int] = {}
        self._lock = Lock()
        self.collection = collection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Catalog and staging together, as they are at this moment."""
        with faults("read"), self._database.connect("read") as db:
            yield db

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write to staging."""
        with self._lock, faults("written"), self._database.connect("stage") as db:
            yield db
            db.commit()

    @contextmanager
    def commit(self) -> Iterator[Connection]:
        """The transaction that may write to the catalog: everything in it happens, or nothing."""
        with self._lock, faults("written, nothing was changed"), self._database.connect("write") as db:
            yield db
            self._catalog.backend.loaded(db)
            db.commit()

    # -- documents ---------------------------------------------------------------------------------------------------

    def put(self, documents: Sequence[StoredDocument]) -> None:
        """Stage documents, new ones and new versions of stored ones."""
        from indexes import tables

        rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in _COPIES()}
        gone = []
        for stored in documents:
            where = {"collection": self.collection, "document_id": stored.document.document_id}
            gone.append({"document_id": where["document_id"], "replaced": True, "same_text": stored.same_text})
            rows[tables.staged_documents].append(where | self._document_row(stored))
            rows[tables.staged_chunks] += [where | _chunk_row(chunk, text_hash) for chunk, text_hash in stored.chunks]
            hashes = dict.fromkeys(text_hash for _, text_hash in stored.chunks)
            rows[tables.staged_text_uses] += [where | {"text_hash": text_hash} for text_hash in hashes]
            if stored.signature:
                rows[tables.staged_signatures].append(where | {"signature": stored.signature})
                rows[tables.staged_bands] += [where | {"band": band} for band in dict.fromkeys(stored.bands)]
        with self.write() as db:
            _insert(db, tables.staged_gone, gone)
            for table, values in rows.items():
                _insert(db, table, values)

    def _document_row(self, stored: StoredDocument) -> dict[str, Any]:
        document = stored.document
        return {
            **{
                name: getattr(stored, name)
                for name in ("source", "path", "source_hash", "mark", "recipe", "parser", "parent", "rule")
            },
            **{name: getattr(document, name) for name in ("uri", "title", "format", "text", "content_hash")},
            "metadata": dict(document.metadata),
            "text_hash": digest(document.text),
            "class_id": self._class_id(stored.acl),
            "pii": [dict(span) for span in stored.pii] or None,
            "ingested": now(),
        }

    def _class_id(self, acl: Acl) -> int:
        if acl not in self._classes:
            self._classes[acl] = 0 if self._dry else self._catalog.class_id(acl)
        return self._classes[acl]

    def touch(self, touches: Sequence[Touch]) -> None:
        """Stage what changes of documents whose text stays."""
        from indexes.tables import staged_touched

        columns = ("document_id", "source", "path", "uri", "mark", "rule", "served")
        rows = [
            {name: getattr(touch, name) for name in columns} | {"class_id": self._class_id(touch.acl)}
            for touch in touches
        ]
        with self.write() as db:
            _insert(db, staged_touched, rows)

    def see(self, document_ids: Iterable[str]) -> None:
        """Note that the source lists these, whatever became of them."""
        from indexes.tables import staged_seen

        with self.write() as db:
            _insert(db, staged_seen, [{"document_id": name} for name in document_ids])

    def drop(self, document_ids: Iterable[str]) -> None:
        """Stage the deletion of documents; ids that are not stored are passed over."""
        from indexes.tables import staged_gone

        rows = [{"document_id": name, "replaced": False, "same_text": False} for name in document_ids]
        with self.write() as db:
            _insert(db, staged_gone, rows)

    def quarantine(self, entries: Sequence[QuarantineEntry]) -> None:
        """Stage entries of the quarantine."""
        from indexes.tables import staged_quarantine

        rows = [asdict(entry) | {"collection": self.collection, "at": now()} for entry in entries]
        with self.write() as db:
            _insert(db, staged_quarantine, rows)

    def departures(self) -> tuple[int, int]:
        """Return how many stored documents go for good, quarantined ones aside, and how many of those come back elsewhere.

        A document moved if another one is staged that was made from the same bytes.
        """
        from sqlalchemy import case, func, select

        from indexes.tables import documents, staged_documents, staged_gone, staged_quarantine

        gone = select(staged_gone.c.document_id).where(~staged_gone.c.replaced)
        refused = select(staged_quarantine.c.document_id)
        leaving = documents.c.document_id.in_(gone) & documents.c.document_id.not_in(refused)
        deleted = select(documents.c.source_hash).where(documents.c.collection == self.collection, leaving).subquery()
        left = select(deleted.c.source_hash, func.count().label("n")).group_by(deleted.c.source_hash).subquery()
        came = (
            select(staged_documents.c.source_hash, func.count().label("n"))
            .where(staged_documents.c.source_hash.in_(select(deleted.c.source_hash)))
            .group_by(staged_documents.c.source_hash)
            .subquery()
        )
        fewer = case((left.c.n < came.c.n, left.c.n), else_=came.c.n)
        moved = select(func.sum(fewer)).select_from(left.join(came, left.c.source_hash == came.c.source_hash))
        with self.read() as db:
            return (
                db.execute(select(func.count()).select_from(deleted)).scalar_one(),
                int(db.execute(moved).scalar_one() or 0),
            )

    # -- vectors -----------------------------------------------------------------------------------------------------

    def missing(self, model_id: str, hashes: Iterable[str]) -> set[str]:
        """Return those of `hashes` of which neither catalog nor staging holds a vector."""
        from sqlalchemy import select

        from indexes.tables import embeddings, staged_embeddings

        wanted = set(hashes)
        with self.read() as db:
            for table in (embeddings, staged_embeddings):
                query = select(table.c.text_hash).where(table.c.model_id == model_id)
                for batch in batched(sorted(wanted)):
                    wanted.difference_update(db.execute(query.where(table.c.text_hash.in_(batch))).scalars())
        return wanted

    def keep(self, model_id: str, hashes: Sequence[str], vectors: Float32Matrix) -> None:
        """Stage vectors, float32, shape (len(hashes), dim); from here on a crash does not lose them."""
        from indexes.tables import staged_embeddings

        rows = [
            {"model_id": model_id, "text_hash": name, "vector": vector.astype("<f4").tobytes()}
            for name, vector in zip(hashes, vectors, strict=True)
        ]
        with self.write() as db:
            _insert(db, staged_embeddings, rows)


def _COPIES() -> tuple[Any, ...]:
    from indexes import tables

    return (
        tables.staged_documents,
        tables.staged_chunks,
        tables.staged_text_uses,
        tables.staged_signatures,
        tables.staged_bands,
    )


@contextmanager
def open_staging(catalog: Catalog, path: Path, collection: str, *, dry: bool = False) -> Iterator[Staging]:
    """Open an empty staging; it is removed when the block ends well, and kept after a fault.

    Args:
        path: of its file, where the catalog is a file too.
        dry: nothing will be committed, so nothing is written to the catalog either, not even a new class of rights.
    What an earlier run left is removed, all but its vectors.
    Raises:
        IndexBackendError: it cannot be made.
    """
    with catalog.backend.staging(path, collection, dry=dry) as database:
        yield Staging(database, catalog, collection, dry=dry)


def _insert(db: Connection, table: Any, rows: list[dict[str, Any]]) -> None:
    if rows:
        db.execute(insert_or_replace(db, table), rows)


def _chunk_row(chunk: Chunk, embed_hash: str) -> dict[str, Any]:
    return {
        "chunk_id": chunk.chunk_id,
        "ordinal": chunk.ordinal,
        "start": chunk.start,
        "end": chunk.end,
        "headings": list(chunk.headings),
        "text": chunk.text,
        "embed_hash": embed_hash,
    }
