"""The spine of ingestion: source -> parse -> clean -> chunk -> embed -> commit.

Nothing that is served changes before the last step, which is one transaction: a crash or an error at any moment leaves the old state.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from indexes.catalog import Catalog, DocumentState
from indexes.changes import CatalogChange, QuarantineEntry, StoredDocument
from indexes.embedder import Embedder
from indexes.errors import IngestError, ParseError, TooLarge
from indexes.settings import Settings
from indexes.vocabulary import NOBODY, Acl, Document, Metadata, digest
from ingest.acl_file import AclRules
from ingest.chunk import CHUNKER, chunk
from ingest.clean import normalise
from ingest.commit import Outcome, Serving, commit, exclusive
from ingest.embed import Progress, embed_hash, embedding_text
from ingest.isolate import parse_isolated
from ingest.report import ChunkCounts, DocumentCounts, IngestReport
from ingest.sources import Source, SourceItem
from ingest.versions import superseded

PARSER = "parse/2"
"""Raised when a parser's output changes, so that unchanged files are parsed again."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Where a document's ACL comes from: its own row, else `rules`, else `allow`, else nobody may read it."""

    rules: AclRules | None = None
    allow: tuple[str, ...] | None = None

    def of(self, item: SourceItem) -> Acl:
        return item.acl if item.acl is not None else self.of_path(item.path)

    def of_path(self, path: str) -> Acl:
        if self.rules is not None:
            return self.rules.resolve(path)[0]
        return Acl(self.allow) if self.allow is not None else NOBODY


@dataclass(slots=True)
class _Run:
    """One run's tally while it goes through the source."""

    stored: dict[str, DocumentState]
    change: CatalogChange = field(default_factory=CatalogChange)
    texts: dict[str, str] = field(default_factory=dict)
    """Embedding texts by hash."""
    seen: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    """Items that could not be read; what lies below one that is a folder was not listed, which does not mean that it is gone."""
    added: int = 0
    updated: int = 0
    unchanged: int = 0
    unreadable: int = 0
    warnings: list[str] = field(default_factory=list)


class Ingestion:
    """Brings one collection in line with one source.

    Args:
        catalog: of the tenant.
        folder: the collection's folder, for builds.
        embedder: whose space and tokenizer the collection uses.
    """

    def __init__(
        self,
        *,
        catalog: Catalog,
        folder: Path,
        collection: str,
        embedder: Embedder,
        settings: Settings,
        serving: Serving,
    ) -> None:
        self._catalog = catalog
        self._folder = folder
        self._collection = collection
        self._embedder = embedder
        self._settings = settings
        self._serving = serving
        self._max_tokens = min(settings.chunk_tokens, embedder.max_tokens)

    @property
    def chunker(self) -> str:
        """Names how texts are cut: another name means that every text is cut again."""
        return f"{CHUNKER}/{self._max_tokens}/{self._settings.chunk_overlap}/{self._embedder.model_id}"

    def run(
        self,
        source: Source,
        *,
        rights: Rights,
        full: bool = False,
        progress: Progress | None = None,
        partial: bool = False,
    ) -> IngestReport:
        """Ingest what the source lists; delete what it listed before and lists no more.

        Args:
            full: parse and chunk everything again; embeddings come from the cache all the same.
            progress: called with (stage, done, total).
            partial: the source names only what changed, so nothing is deleted.
        Raises:
            IndexBackendError: the state could not be written; the old one is served on.
        """
        started = time.perf_counter()
        progress = progress or (lambda _stage, _done, _total: None)
        recut = self._serving.chunker(self._catalog, self._collection) != self.chunker
        run = _Run(self._catalog.document_states(self._collection))
        adopted = _adopted_sources(source, run.stored)
        run.change.sources_seen = set() if partial else {source.name, *adopted}
        items = list(source.items())
        for number, item in enumerate(items, start=1):
            self._take(item, run, source=source.name, adopted=adopted, rights=rights, full=full or recut)
            progress("parse", number, len(items))
        if not partial:
            self._drop_unlisted(run, source=source.name, adopted=adopted, rights=rights)
        if recut:
            self._recut_others(run)
        outcome = self._commit(run, progress)
        quarantined = {entry.document_id for entry in run.change.quarantined}
        deleted = sum(name not in quarantined for name in run.change.deletes)
        return IngestReport(
            collection=self._collection,
            tenant=self._catalog.tenant,
            build=outcome.build,
            release=outcome.release,
            seconds=time.perf_counter() - started,
            documents=DocumentCounts(run.added, run.updated, run.unchanged, deleted, len(run.change.quarantined)),
            chunks=ChunkCounts(outcome.chunks_added, outcome.chunks_removed, outcome.embedded, outcome.reused),
            unreadable_by_anyone=run.unreadable,
            quarantine=tuple(run.change.quarantined),
            warnings=tuple(run.warnings),
        )

    def delete(self, document_ids: Iterable[str]) -> Outcome:
        """Delete documents by id; ids that are not stored are passed over."""
        run = _Run(self._catalog.document_states(self._collection))
        run.change.deletes = sorted(set(document_ids) & run.stored.keys())
        return self._commit(run, lambda _stage, _done, _total: None)

    def _commit(self, run: _Run, progress: Progress) -> Outcome:
        return commit(
            self._catalog,
            self._folder,
            self._collection,
            run.change,
            texts=run.texts,
            embedder=self._embedder,
            chunker=self.chunker,
            serving=self._serving,
            progress=progress,
        )

    def _take(self, item: SourceItem, run: _Run, *, source: str, adopted: set[str], rights: Rights, full: bool) -> None:
        """Sort one item into the run's change, or into quarantine under the error that it raised."""
        item = _own_id(item, run.stored, source=source, adopted=adopted)
        stage, source_hash = "read", ""
        try:
            if item.size > self._settings.max_document_bytes:
                raise TooLarge(
                    f"{item.size} bytes are more than the limit of {self._settings.max_document_bytes}; "
                    "raise max_document_bytes or split the document"
                )
            data = item.read()
            source_hash = _source_hash(item, data)
            stage = "parse"
            acl = rights.of(item)
            before = run.stored.get(item.document_id)
            if before is not None and before.source_hash == source_hash and not full:
                self._keep(item, before, acl, run, source=source)
            else:
                self._renew(item, data, source_hash, acl, before, run, source=source)
        except IngestError as error:
            if stage == "read":
                run.refused.append(item.document_id)
            entry = QuarantineEntry(
                item.uri, source, item.document_id, source_hash, stage, type(error).__name__, str(error)
            )
            run.change.quarantined.append(entry)
            if item.document_id in run.stored:
                run.change.deletes.append(item.document_id)
        else:
            run.unreadable += not acl.allow
            if item.acl_error:
                run.warnings.append(f"{item.uri}: {item.acl_error}; nobody may read it")
        run.seen.add(item.document_id)

    def _drop_unlisted(self, run: _Run, *, source: str, adopted: set[str], rights: Rights) -> None:
        """Delete what the source lists no more, but keep what lies below a folder that could not be listed."""
        below = tuple("" if name == "." else f"{name}/" for name in run.refused)
        kept = 0
        for name, before in sorted(run.stored.items()):
            if before.source not in {source, *adopted} or name in run.seen:
                continue
            if not name.startswith(below):
                run.change.deletes.append(name)
                continue
            acl = rights.of_path(before.path)
            if before.format == "row" and acl != before.acl:  # its own rights, if it has any, are out of sight
                acl = NOBODY
            after = replace(before, source=source, acl=acl)
            if after != before:
                run.change.touched.append(after)
            run.unreadable += not acl.allow
            kept += 1
        run.unchanged += kept
        if kept:
            run.warnings.append(
                f"{kept} documents below {', '.join(run.refused)} could not be listed and are kept as they were"
            )

    def _keep(self, item: SourceItem, before: DocumentState, acl: Acl, run: _Run, *, source: str) -> None:
        """The same text: nothing is parsed or embedded; place and rights are brought up to date."""
        after = replace(before, source=source, path=item.path, uri=item.uri, acl=acl)
        if after != before:
            run.change.touched.append(after)
        run.unchanged += 1

    def _renew(
        self,
        item: SourceItem,
        data: bytes,
        source_hash: str,
        acl: Acl,
        before: DocumentState | None,
        run: _Run,
        *,
        source: str,
    ) -> None:
        parsed = parse_isolated(data, uri=item.uri, format=item.format, timeout_s=self._settings.parse_timeout_s)
        text = normalise(parsed.text)
        since = superseded(text)
        standing = {} if since is None else {"superseded": since or True}
        document = Document(
            document_id=item.document_id,
            uri=item.uri,
            title=normalise(item.title or parsed.title).strip(),
            text=text,
            format=item.format,
            metadata={**parsed.metadata, **standing, **item.metadata},
        )
        _canonical(document.metadata)
        run.change.upserts.append(
            self._cut(document, run, source=source, path=item.path, source_hash=source_hash, acl=acl)
        )
        if before is None:
            run.added += 1
        elif before.content_hash == document.content_hash:
            run.unchanged += 1
        else:
            run.updated += 1

    def _cut(
        self, document: Document, run: _Run, *, source: str, path: str, source_hash: str, acl: Acl
    ) -> StoredDocument:
        chunks = []
        for piece in chunk(
            document,
            max_tokens=self._max_tokens,
            overlap=self._settings.chunk_overlap,
            count_tokens=self._embedder.count_tokens,
        ):
            text = embedding_text(document.title, piece.headings, piece.text)
            name = embed_hash(text)
            run.texts[name] = text
            chunks.append((piece, name))
        return StoredDocument(document, source, path, source_hash, acl, chunks)

    def _recut_others(self, run: _Run) -> None:
        """Cut the documents of the collection's other sources anew, from their stored texts."""
        done = {stored.document.document_id for stored in run.change.upserts} | set(run.change.deletes)
        for name, state in run.stored.items():
            if name in done or name in run.seen:
                continue
            text = self._catalog.stored_text(self._collection, name)
            document = Document(name, state.uri, state.title, text, state.format, state.metadata)
            run.change.upserts.append(
                self._cut(
                    document, run, source=state.source, path=state.path, source_hash=state.source_hash, acl=state.acl
                )
            )


@contextmanager
def open_ingestion(
    *, catalog: Catalog, folder: Path, collection: str, embedder: Embedder, settings: Settings, serving: Serving
) -> Iterator[Ingestion]:
    """Hold the collection, made if it does not exist, for one ingestion.

    Raises:
        IngestError: another ingestion of it is running.
    """
    with exclusive(folder):
        catalog.create_collection(collection)
        yield Ingestion(
            catalog=catalog, folder=folder, collection=collection, embedder=embedder, settings=settings, serving=serving
        )


def _source_hash(item: SourceItem, data: bytes) -> str:
    """Names what a document was made from: equal hashes need no second look at the bytes."""
    return digest(PARSER, item.format, item.title or "", _canonical(item.metadata), data)


def _canonical(metadata: Metadata) -> str:
    try:
        return json.dumps(dict(metadata), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParseError(f"its metadata cannot be kept as JSON: {error}") from error


def _adopted_sources(source: Source, stored: dict[str, DocumentState]) -> set[str]:
    """Return sources of the collection whose place is gone while this source lists the same document ids: it moved."""
    from urllib.parse import unquote, urlparse

    def is_gone(name: str) -> bool:
        url = urlparse(name)
        return url.scheme == "file" and not Path(unquote(url.path)).exists()

    others = {state.source for state in stored.values()} - {source.name}
    gone = {name for name in others if is_gone(name)}
    if not gone:
        return set()
    ids: Iterable[str] = {item.document_id for item in source.items()}
    return {stored[name].source for name in ids if name in stored and stored[name].source in gone}


def _own_id(item: SourceItem, stored: dict[str, DocumentState], *, source: str, adopted: set[str]) -> SourceItem:
    """Give the item an id that no other source's document has: its own, else with a mark of its source behind it."""
    before = stored.get(item.document_id)
    if before is None or before.source == source or before.source in adopted:
        return item
    return replace(item, document_id=f"{item.document_id}@{digest(source)[:8]}")
