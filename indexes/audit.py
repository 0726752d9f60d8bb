"""The audit log: who saw which chunk by which rule, and who changed what. One append-only log a tenant, in plain files.

It is no table of the catalog, so that a query need not wait for an ingestion's commit, and so that the files can be shipped
elsewhere as they are: `audit_chain` says how a line is sealed, `audit_files` where it lies, `audit_write` what a crash leaves.

What the chain proves: with a key (setting `audit_key`), that whoever lacks the key changed, dropped or added nothing. Without
one, whoever can write the files can write them anew. Then, and against an old copy of the whole folder put back, it takes a
hash noted elsewhere to compare with (`verify(expected_head=...)`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from indexes.audit_chain import Sealer
from indexes.audit_read import AuditQuery, read_records
from indexes.audit_redact import Wanted, redact, texts
from indexes.audit_texts import FIELD, committed
from indexes.audit_verify import AuditVerdict, verify_log
from indexes.audit_write import AuditWriter, new_event, stamp
from indexes.errors import ConfigError

if TYPE_CHECKING:
    from indexes.settings import Settings


class AuditKind(StrEnum):
    """What happened."""

    SEARCH = "search"
    ASK = "ask"
    AROUND = "around"
    DOCUMENT = "document"
    LISTING = "listing"
    DENIED = "denied"
    RIGHTS = "rights"
    DOCUMENT_PUT = "document.put"
    DOCUMENT_DELETE = "document.delete"
    INGEST = "ingest"
    DIRECTORY = "directory"
    KEY = "key"
    ACT_AS = "act-as"
    RELEASE = "release"
    """A release was made, promoted or rolled back, or a gate was recorded."""
    FEEDBACK = "feedback"
    """An answer was rated, or ratings were read or deleted."""
    EVALUATION = "evaluation"
    """An evaluation was asked for, cancelled, or its report was read."""
    REMEMBER = "memory.remember"
    RECALL = "memory.recall"
    MEMORY_CHANGE = "memory.change"
    """An item was updated, a decision undone, or old sessions consolidated."""
    SHARE = "memory.share"
    FORGET = "memory.forget"
    RETENTION = "retention"
    ERASURE = "erasure"
    """Something was erased for good, or text was taken out of this log."""
    RECOVERED = "recovered"
    """Written by the log itself: what it found amiss when it was next appended to."""


@dataclass(frozen=True, slots=True)
class SeenChunk:
    """A chunk that left, and why it could: its ACL class, and which of the principal's names that class allows."""

    chunk_id: str
    document_id: str
    acl_class: int
    by: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "chunk_id": self.chunk_id,
            "document_id": self.document_id,
            "class": self.acl_class,
            "by": list(self.by),
        }


class AuditLog:
    """One tenant's log. Safe among threads and processes; holds no file open between calls."""

    def __init__(
        self,
        folder: Path,
        *,
        key: str = "",
        keep_queries: bool = False,
        keep_days: int = 0,
        fsync: bool = False,
        segment_records: int = 100_000,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """
        Args:
            folder: made at the first append.
            key: seals the records; see the module's note on what that proves.
            keep_queries: write down what was asked; else `query` is dropped.
            keep_days: whenever a segment begins, remove what is older; 0 keeps all.
            fsync: an append returns when the record has reached the disk, not only the operating system.
            segment_records: most records in a segment; a new day begins a new one too, so that retention keeps to the day.
        """
        self._folder = folder
        self._sealer = Sealer(key)
        self._writer = AuditWriter(folder, self._sealer, fsync, segment_records, clock)
        self._keep_queries = keep_queries
        self._keep = timedelta(days=keep_days)
        self._clock = clock

    @classmethod
    def of(cls, tenant_folder: Path, settings: Settings) -> AuditLog:
        """Return the log of a tenant, as the settings want it."""
        return cls(
            tenant_folder / "audit",
            key=settings.audit_key,
            keep_queries=settings.audit_queries,
            keep_days=settings.audit_days,
            fsync=settings.audit_fsync,
        )

    def append(
        self,
        kind: AuditKind | str,
        *,
        subject: str,
        actor: str | None = None,
        via: str = "library",
        collection: str | None = None,
        build: str | None = None,
        release: str | None = None,
        chunks: Sequence[SeenChunk] = (),
        query: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> int:
        """Write down that something happened, and return the record's number, from 1.

        Args:
            subject: as whom it was done; `actor` is who really did it, where that is somebody else.
            via: `library`, `cli`, `key:ID` or `token`.
            query: what was asked; kept only by a log that keeps queries, and beside the chain, so that it can be erased.
            detail: more about it, in JSON; `document_id` there is found by `read`. Never text of documents.
        Raises:
            IndexBackendError: it could not be written, and nothing of it is left in the log.
            ConfigError: the log was written with another key.
        """
        more, text = dict(detail or {}), b""
        if query is not None and self._keep_queries:
            more[FIELD], text = committed(query)
        event = new_event(
            _kind(kind), subject=subject, actor=actor, via=via, collection=collection, build=build, release=release,
            chunks=[chunk.to_json() for chunk in chunks], detail=more,
        )  # fmt: skip
        seq, began_segment = self._writer.append(event, text)
        if began_segment and self._keep:
            self.prune(self._clock() - self._keep)
        return seq

    def verify(self, *, expected_head: str | None = None) -> AuditVerdict:
        """Check every byte: nothing changed, dropped, added or in another order since it was written.

        Args:
            expected_head: the `head` of an earlier verdict; some record must still have it.
        Cost: reads all of it; appends go on meanwhile.
        """
        return verify_log(self._folder, self._sealer, expected_head=expected_head)

    def read(
        self,
        *,
        document: str | None = None,
        subject: str | None = None,
        kind: AuditKind | str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after_seq: int = 0,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the records that all conditions hold for, oldest first.

        Args:
            document: a chunk of it was seen, or `detail.document_id` names it.
            subject: as whom, or by whom, it was done.
            since: at this time or later; `until`: before this time. Without a zone they are UTC.
            after_seq: records with a higher number.
            limit: at most so many.
        Raises:
            IndexBackendError: a record that would count was changed; `verify` says more.
        Cost: reads the segments that times and numbers leave.
        """
        query = AuditQuery(
            document=document,
            subject=subject,
            kind=None if kind is None else _kind(kind),
            since=None if since is None else stamp(since),
            until=None if until is None else stamp(until),
            after_seq=after_seq,
        )
        return islice(read_records(self._folder, self._sealer, query), limit)

    def texts(self) -> Iterator[tuple[dict[str, Any], str]]:
        """Yield each record that has a text, and the text; for erasing."""
        return texts(self._folder, self._sealer)

    def redact(self, wanted: Wanted, *, subject: str, detail: Mapping[str, Any] | None = None) -> int:
        """Erase the texts that are wanted, and return how many; a record says of which records. The log verifies as before.

        A log of an earlier version, with text inside its records, is written anew if one of those goes: its records get new hashes, and of
        the heads that were noted elsewhere only the very last one is still recognised.

        Args:
            wanted: told each record that has a text, and the text.
            subject: who erases.
            detail: more about it. Never text.
        Raises:
            IndexBackendError: a record was changed; nothing is erased.
        Cost: reads all of it, and lets no append in meanwhile.
        """
        event = new_event(AuditKind.ERASURE.value, subject=subject, detail=dict(detail or {}))
        return redact(self._writer, wanted, event)

    def prune(self, before: datetime) -> int:
        """Remove the segments all of whose records are older, and return how many records that were.

        The last removed record's number and hash stay as the chain's anchor, and a record says what was removed. A segment
        whose end was changed is evidence: it stays, with all that follow it.
        """
        return self._writer.prune(stamp(before))


def _kind(name: str) -> str:
    try:
        return AuditKind(name).value
    except ValueError:
        raise ConfigError(f"no audit event is of kind {name!r}: use {', '.join(AuditKind)}") from None
