"""Reading an audit log: who saw what. Only lines that can matter are parsed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from indexes.audit_chain import Sealer, json_bytes
from indexes.audit_files import read_lines, segment_path, take_snapshot
from indexes.audit_texts import FIELD, commitment_of, read_lines_of_texts, text_of
from indexes.errors import IndexBackendError


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """What records are wanted; None leaves that open. Times are stamps, `until` is the first that is too late."""

    document: str | None = None
    subject: str | None = None
    kind: str | None = None
    since: str | None = None
    until: str | None = None
    after_seq: int = 0

    def needles(self) -> list[bytes]:
        """Bytes that a record which counts must have."""
        return [json_bytes(value) for value in (self.document, self.subject, self.kind) if value is not None]

    def holds(self, record: Mapping[str, Any]) -> bool:
        return (
            record["seq"] > self.after_seq
            and (self.kind is None or record["kind"] == self.kind)
            and (self.subject is None or self.subject in (record["subject"], record["actor"]))
            and (self.since is None or record["time"] >= self.since)
            and (self.until is None or record["time"] < self.until)
            and (self.document is None or self.document in _documents(record))
        )

    def is_past(self, following: Mapping[str, Any]) -> bool:
        """Whether nothing counts that stands before the record `following`."""
        early = self.since is not None and following["time"] < self.since
        return early or bool(following["seq"] <= self.after_seq + 1)


def _documents(record: Mapping[str, Any]) -> set[str]:
    """The documents that a record is about."""
    return {chunk["document_id"] for chunk in record["chunks"]} | {record["detail"].get("document_id")}


def read_records(folder: Path, sealer: Sealer, query: AuditQuery) -> Iterator[dict[str, Any]]:
    """Yield the records that count, oldest first; see `AuditLog.read`."""
    segments = take_snapshot(folder).segments
    needles = query.needles()
    for number in _segments_that_matter(folder, sealer, segments, query):
        texts = None
        for place, line in enumerate(read_lines(folder, number, size=segments[number]), 1):
            if not line.endswith(b"\n") or not all(needle in line for needle in needles):
                continue
            record = sealer.open_record(line)
            if record is None:
                where = f"{segment_path(folder, number).name}:{place}"
                raise IndexBackendError(f"audit log, {where}: not as it was written; run `loremill audit verify`")
            if query.until is not None and record["time"] >= query.until:
                return
            if query.holds(record):
                if commitment_of(record) is not None:
                    texts = read_lines_of_texts(folder, number) if texts is None else texts
                    record["detail"][FIELD] = text_of(record, texts)
                yield record


def _segments_that_matter(
    folder: Path, sealer: Sealer, segments: Mapping[int, int], query: AuditQuery
) -> Iterator[int]:
    """Leave out the segments before the one in which the first wanted record can be."""
    numbers = sorted(segments)
    skipped = 0
    for place, (_, following) in enumerate(pairwise(numbers), 1):
        first = next(read_lines(folder, following, size=segments[following]), b"")
        record = sealer.open_record(first)
        if record is None or not query.is_past(record):
            break
        skipped = place
    yield from numbers[skipped:]
