"""Going through a source: what is new, changed, the same, gone or bad ends in staging, window by window."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from indexes import corpus
from indexes.batches import batched
from indexes.corpus import DocumentState
from indexes.staging import QuarantineEntry, Staging, StoredDocument, Touch
from indexes.vocabulary import NOBODY, digest
from ingest.contract import Contract
from ingest.cut import Cutter
from ingest.duplicates import signature
from ingest.encode import Encoder, Progress
from ingest.policy import is_flagged
from ingest.prepare import Outcome, Preparer, Ready, Refused, Same
from ingest.repeats import band_keys
from ingest.rights import Rights, Ruling
from ingest.sources import Source, SourceItem
from ingest.sources.base import held

_WINDOW = 256
"""Items that are looked up in the catalog, and documents that are cut, at a time."""
_WINDOW_CHARS = 4_000_000
_NAMED = 10
"""Most documents that one warning names."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to ingest and how.

    Args:
        rights: who may read the documents.
        contract: what they must be like.
        spec: how to give this order again, for a retry; empty for what a program pushed.
        full: parse and chunk everything again; embeddings come from the cache all the same.
        retry: uris of quarantined items to look at again although they have not changed.
        partial: the source names only what changed, so nothing is deleted.
    """

    source: Source
    rights: Rights
    contract: Contract = field(default_factory=Contract)
    spec: Mapping[str, Any] = field(default_factory=dict)
    full: bool = False
    retry: frozenset[str] = frozenset()
    partial: bool = False


@dataclass(slots=True)
class Tally:
    """What became of the items so far. `planted`: documents read in this run that talk to a model, the first by name."""

    added: int = 0
    updated: int = 0
    unchanged: int = 0
    unreadable: int = 0
    planted: int = 0
    planted_in: list[str] = field(default_factory=list)
    quarantine: list[QuarantineEntry] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Listed:
    """An item with what is stored under its id."""

    item: SourceItem
    before: DocumentState | None
    children: list[DocumentState]
    refused: QuarantineEntry | None
    refused_children: list[QuarantineEntry]


class Scan:
    """One pass over a source.

    Args:
        recut: the stored texts are to be cut anew as well.
        workers: documents parsed at once; 0 means one a core.
    """

    def __init__(
        self,
        order: Order,
        staging: Staging,
        *,
        cutter: Cutter,
        preparer: Preparer,
        encoder: Encoder,
        progress: Progress,
        recut: bool,
        workers: int = 0,
    ) -> None:
        self.tally = Tally()
        self.adopted: frozenset[str] = frozenset()
        self._order = order
        self._staging = staging
        self._cutter = cutter
        self._preparer = preparer
        self._encoder = encoder
        self._progress = progress
        self._recut = recut
        self._workers = workers or len(os.sched_getaffinity(0))
        self._seen: list[str] = []
        self._touched: list[Touch] = []
        self._ready: list[StoredDocument] = []
        self._ready_chars = 0
        self._refused: list[str] = []

    def run(self) -> Tally:
        """Stage what the source lists and, unless the order is partial, the end of what it lists no more."""
        self.adopted = self._adopted()
        for number, (listed, outcomes) in enumerate(self._outcomes(), start=1):
            self._settle(listed, outcomes)
            self._progress("parse", number, None)
        self._flush()
        if not self._order.partial:
            self._drop_unlisted()
        if self._recut:
            self._recut_rest()
        self._flush()
        self._staging.quarantine(self.tally.quarantine)
        self._warn_of_planted()
        return self.tally

    # -- listing -----------------------------------------------------------------------------------------------------

    def _outcomes(self) -> Iterator[tuple[_Listed, list[Outcome]]]:
        """Prepare the items, several at once; of rows, which need no parser, each as it comes."""
        pending: deque[tuple[_Listed, Future[list[Outcome]]]] = deque()
        pool = ThreadPoolExecutor(self._workers, thread_name_prefix="parse")
        try:
            for listed in self._listed():
                if (settled := self._known(listed)) is not None:
                    yield listed, settled
                elif listed.item.format == "row":
                    yield listed, self._prepare(listed)
                else:
                    pending.append((listed, pool.submit(self._prepare, listed)))
                    if len(pending) > 2 * self._workers:
                        first, future = pending.popleft()
                        yield first, future.result()
            while pending:
                first, future = pending.popleft()
                yield first, future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _listed(self) -> Iterator[_Listed]:
        source, collection = self._order.source.name, self._staging.collection
        own = {source, *self.adopted}
        for items in batched(self._order.source.items(), _WINDOW):
            other = {item.document_id: marked_id(item.document_id, source) for item in items}
            with self._staging.read() as db:
                stored = corpus.states(db, collection, [*other, *other.values()])
                refused = {
                    entry.uri: entry for entry in corpus.quarantined(db, collection, uris=[i.uri for i in items])
                }
                children = corpus.children(db, collection, list(stored))
                refused_children: dict[str | None, list[QuarantineEntry]] = {}
                for entry in corpus.quarantined(db, collection, parents=list(stored)):
                    refused_children.setdefault(entry.parent, []).append(entry)
            for item in items:
                before = stored.get(item.document_id)
                if before is not None and before.source not in own:  # another source has a document of that id
                    item = replace(item, document_id=other[item.document_id])
                    before = stored.get(item.document_id)
                name = item.document_id
                yield _Listed(
                    item, before, children.get(name, []), refused.get(item.uri), refused_children.get(name, [])
                )

    def _known(self, listed: _Listed) -> list[Outcome] | None:
        """Return the outcome of an item that need not be read, None for one that must be."""
        item, before, refused = listed.item, listed.before, listed.refused
        if self._order.full or not item.mark or self._is_retried(listed):
            return None
        now = (item.mark, self._preparer.recipe)
        if before is not None:
            return [Same(item, before.source_hash)] if (before.mark, before.recipe) == now else None
        if refused is not None and refused.stage != "read" and (refused.mark, refused.recipe) == now:
            return [Refused(item, refused.source_hash, refused.stage, refused.error, refused.message)]
        return None

    def _prepare(self, listed: _Listed) -> list[Outcome]:
        anew = self._order.full or self._is_retried(listed)
        return self._preparer.prepare(listed.item, listed.before, anew=anew)

    def _is_retried(self, listed: _Listed) -> bool:
        return listed.item.uri in self._order.retry or any(
            entry.uri in self._order.retry for entry in listed.refused_children
        )

    def _adopted(self) -> frozenset[str]:
        """Sources of the collection whose place is gone while this source lists the same document ids: it moved."""
        if self._order.partial:
            return frozenset()
        with self._staging.read() as db:
            others = corpus.source_names(db, self._staging.collection) - {self._order.source.name}
            gone = {name for name in others if _is_gone(name)}
            if not gone:
                return frozenset()
            found: set[str] = set()
            for items in batched(self._order.source.items(), _WINDOW):
                stored = corpus.states(db, self._staging.collection, [item.document_id for item in items])
                found |= {state.source for state in stored.values()} & gone
            return frozenset(found)

    # -- outcomes ----------------------------------------------------------------------------------------------------

    def _settle(self, listed: _Listed, outcomes: list[Outcome]) -> None:
        """Stage the outcomes of an item and of its attachments; what was attached before and is no more goes."""
        earlier = {child.document_id: child for child in listed.children}
        states = earlier | ({} if listed.before is None else {listed.item.document_id: listed.before})
        for outcome in outcomes:
            before = states.get(outcome.item.document_id)
            earlier.pop(outcome.item.document_id, None)
            ruling = self._order.rights.of(outcome.item)
            self._see(outcome.item.document_id)
            if isinstance(outcome, Same) and before is not None:
                outcome = self._preparer.still_fresh(outcome, before)
            if isinstance(outcome, Same):
                assert before is not None
                self._keep(outcome.item, before, ruling)
                for child in listed.children:
                    earlier.pop(child.document_id, None)
                    self._see(child.document_id)
                    uri = outcome.item.uri + child.uri.removeprefix(before.uri)
                    self._keep(replace(outcome.item, document_id=child.document_id, uri=uri), child, ruling)
                self.tally.quarantine += listed.refused_children  # what was attached and is bad still is
            elif isinstance(outcome, Ready):
                self._take(outcome, before, ruling)
            else:
                self._refuse(outcome, before)
                continue
            if outcome.item.acl_error:
                self.tally.warnings.append(f"{outcome.item.uri}: {outcome.item.acl_error}; nobody may read it")
        if earlier:
            self._staging.drop(earlier)

    def _see(self, document_id: str) -> None:
        self._seen.append(document_id)
        if len(self._seen) >= 2 * _WINDOW:
            self._flush_seen()

    def _keep(self, item: SourceItem, before: DocumentState, ruling: Ruling) -> None:
        """The same text: nothing is parsed or embedded; place and rights are brought up to date."""
        touch = Touch(before.document_id, self._order.source.name, item.path, item.uri, item.mark, *ruling)
        if (touch.source, touch.path, touch.uri, touch.mark, *ruling) != (
            before.source, before.path, before.uri, before.mark, before.acl, before.rule,
        ):  # fmt: skip
            served = (touch.acl, touch.path, touch.uri) != (before.acl, before.path, before.uri)
            self._touched.append(replace(touch, served=served))
        self.tally.unchanged += 1
        self.tally.unreadable += not touch.acl.allow

    def _take(self, ready: Ready, before: DocumentState | None, ruling: Ruling) -> None:
        document, item = ready.document, ready.item
        near = self._order.contract.duplicates.near
        marked = signature(document.text) if near and document.text else b""
        same = before is not None and before.content_hash == document.content_hash
        self._ready.append(
            StoredDocument(
                document, self._order.source.name, item.path, ready.source_hash, ruling.acl, (),
                mark=item.mark, recipe=self._preparer.recipe, parser=ready.parser, parent=ready.parent, pii=ready.pii,
                signature=marked, bands=band_keys(marked, threshold=near) if marked and near else (), same_text=same, rule=ruling.rule,
            )
        )  # fmt: skip
        self._ready_chars += len(document.text)
        if len(self._ready) >= _WINDOW or self._ready_chars >= _WINDOW_CHARS:
            self._flush()
        self.tally.unreadable += not ruling.acl.allow
        if is_flagged(self._order.contract, document.metadata):
            self.tally.planted += 1
            self.tally.planted_in = sorted([*self.tally.planted_in, document.uri])[:_NAMED]
        if before is None:
            self.tally.added += 1
        elif same:
            self.tally.unchanged += 1
        else:
            self.tally.updated += 1

    def _refuse(self, refused: Refused, before: DocumentState | None) -> None:
        item = refused.item
        if refused.stage == "read" and refused.parent is None:
            self._refused.append(item.document_id)
        self.tally.quarantine.append(
            QuarantineEntry(
                item.uri, self._order.source.name, item.document_id, refused.source_hash, refused.stage, refused.error,
                refused.message, mark=item.mark, recipe=self._preparer.recipe, parent=refused.parent,
            )
        )  # fmt: skip
        if before is not None:
            self._staging.drop([before.document_id])

    def _warn_of_planted(self) -> None:
        tally = self.tally
        if tally.planted:
            more = f" and {tally.planted - _NAMED} more" if tally.planted > _NAMED else ""
            tally.warnings.append(
                f"{tally.planted} documents hold text that talks to a model; answers leave it out: {', '.join(tally.planted_in)}{more}"
            )

    # -- the rest ----------------------------------------------------------------------------------------------------

    def _drop_unlisted(self) -> None:
        """Delete what the source lists no more, but keep what lies below a folder that could not be listed."""
        below = unlisted_below(self._refused)
        kept = 0
        with self._staging.read() as db:
            sources = [self._order.source.name, *self.adopted]
            for states in batched(corpus.unlisted(db, self._staging.collection, sources)):
                self._staging.drop(state.document_id for state in states if not state.document_id.startswith(below))
                for state in states:
                    if below and state.document_id.startswith(below):
                        self._keep_unlisted(state)
                        kept += 1
        if kept:
            self.tally.warnings.append(
                f"{kept} documents below {', '.join(self._refused)} could not be listed and are kept as they were"
            )

    def _keep_unlisted(self, before: DocumentState) -> None:
        ruling = self._order.rights.of_path(before.path)
        if before.format == "row" and ruling.acl != before.acl:  # its own rights, if it has any, are out of sight
            ruling = Ruling(NOBODY, "its own acl could not be read")
        item = SourceItem(before.document_id, before.uri, before.path, before.format, held(b""), 0, mark=before.mark)
        self._keep(item, before, ruling)

    def _recut_rest(self) -> None:
        """Cut every document that stays as it is anew, from its stored text, whatever source it came from."""
        for documents in batched(corpus.staying(self._staging), _WINDOW):
            self._staging.put(self._cutter.cut(documents, self._encoder))

    def _flush(self) -> None:
        self._flush_seen()
        self._staging.touch(self._touched)
        self._touched = []
        if self._ready:
            self._staging.put(self._cutter.cut(self._ready, self._encoder))
            self._ready, self._ready_chars = [], 0

    def _flush_seen(self) -> None:
        self._staging.see(self._seen)
        self._seen = []


def unlisted_below(refused: list[str]) -> tuple[str, ...]:
    """What the ids begin with of all that may lie in items that cannot be read: folders, and files of many items."""
    return tuple(start for name in refused for start in (("",) if name == "." else (f"{name}/", f"{name}#")))


def marked_id(document_id: str, source: str) -> str:
    """The id that an item gets where another source has a document of its own one."""
    return f"{document_id}@{digest(source)[:8]}"


def _is_gone(name: str) -> bool:
    from urllib.parse import unquote, urlparse

    url = urlparse(name)
    return url.scheme == "file" and not Path(unquote(url.path)).exists()
