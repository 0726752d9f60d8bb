"""Writing an audit log: one record after the other, whatever the last writer left behind.

What is found amiss is put on record before anything else is. A line that a crash cut off is cut away; all else is left as it
is, as evidence, and the chain goes on in a new segment from where the head says it stood, so that the gap stays to be seen.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from indexes.audit_chain import Head, Sealer
from indexes.audit_files import locked_head, read_head, read_lines, segment_numbers, segment_path, segment_size
from indexes.audit_texts import texts_path
from indexes.errors import ConfigError, IndexBackendError

RECOVERED = "recovered"
TORN = "torn"
"""Why a log was `recovered`: a crash cut off a record before its `append` returned. Every other reason is a fault."""

NEW = ".new"
"""Ends the names of files that a rewriting of the whole log has written and not yet put in place."""

_Trouble = Mapping[str, Any] | None


def stamp(time: datetime) -> str:
    """Return a time as records have it: UTC to the microsecond, so that later is greater. Without a zone it is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC).isoformat(timespec="microseconds")
    except OverflowError:
        raise ConfigError(f"the time {time.isoformat()} is too far away") from None


def new_event(kind: str, *, subject: str, **given: Any) -> dict[str, Any]:
    """Return a record without its place in the chain; members not given are empty."""
    event = {"kind": kind, "subject": subject, "actor": None, "via": "library", "collection": None}
    return {**event, "build": None, "release": None, "chunks": [], "detail": {}, **given}


@dataclass(frozen=True, slots=True)
class AuditWriter:
    """Appends to the log in `folder`; see `indexes.audit.AuditLog` for the rest."""

    folder: Path
    sealer: Sealer
    fsync: bool
    segment_records: int
    clock: Callable[[], datetime]

    def append(self, event: Mapping[str, Any], text: bytes = b"") -> tuple[int, bool]:
        """Return the new record's number, and whether it began a segment.

        Args:
            text: the line of `audit_texts` that keeps what the record speaks of.
        """
        with self.locked() as file:
            head, trouble = self.standing(file)
            written = self.write(file, head, event, trouble, text)
        return written.seq, written.segment > head.segment

    def prune(self, before: str) -> int:
        """See `AuditLog.prune`. The head is moved before files go: a crash leaves files that the next call removes."""
        with self.locked() as file:
            head, trouble = self.standing(file)
            if trouble is None and head.count and head.time < before:
                head = head.next_segment()  # an idle log's last segment is old as a whole
                self.put_head(file, head)
            kept = self._without_older(head, before)
            removed = kept.anchor_seq - head.anchor_seq
            if kept.first > head.first:
                detail = {"before": before, "records": removed, "seq": kept.anchor_seq, "hash": kept.anchor}
                event = new_event("retention", subject="service:loremill", detail=detail)
                written = self.write(file, head, event, trouble)
                kept = replace(written, first=kept.first, anchor_seq=kept.anchor_seq, anchor=kept.anchor)
                self.put_head(file, kept)
            for number in segment_numbers(self.folder):
                if number < kept.first:
                    if (beside := texts_path(self.folder, number)).exists():
                        beside.unlink()
                    segment_path(self.folder, number).unlink()
        return removed

    @contextmanager
    def locked(self) -> Iterator[int]:
        try:
            with locked_head(self.folder) as file:
                yield file
        except OSError as error:
            raise IndexBackendError(f"the audit log in the home cannot be written: {error.strerror}") from error

    def standing(self, file: int) -> tuple[Head, _Trouble]:
        """Return where the chain stands, and what is amiss, if anything is."""
        raw = read_head(file)
        if not raw and not segment_numbers(self.folder):
            self.put_head(file, Head())  # before the first record, so that a missing head is never a crash's doing
            return Head(), None
        head = Head.decode(raw, self.sealer)
        if head is None:
            os.ftruncate(file, 0)  # it may be longer than a head
            return self._rebuilt(), {"reason": "the head was missing or changed"}
        size = segment_size(self.folder, head.segment)
        if size < head.size:
            finish_rewriting(self.folder, head)
            size = segment_size(self.folder, head.segment)
        return (head, None) if size == head.size else self._caught_up(head, size)

    def _caught_up(self, head: Head, size: int) -> tuple[Head, _Trouble]:
        """As `standing`, for a segment of another size than the head says."""
        rest = b""
        for line in read_lines(self.folder, head.segment, start=head.size, size=size):
            record = self.sealer.open_record(line)
            if rest or record is None or not head.precedes(record):
                rest += line
            else:  # its writer stopped before the head was put
                head = head.after(record, line, record["hash"])
        if rest and head.precedes_torn(rest):
            return head, {"reason": TORN, "bytes": len(rest)}
        if rest or size < head.size:
            return head, {"reason": "the last segment was not as the head says", "segment": head.segment}
        return head, None

    def _rebuilt(self) -> Head:
        """Return a head made from the last record there is that bears our seal."""
        numbers = segment_numbers(self.folder)
        head = Head(segment=max(numbers, default=1), first=min(numbers, default=1))
        for number in reversed(numbers):
            lines = read_lines(self.folder, number, size=segment_size(self.folder, number))
            records = [self.sealer.open_record(line) for line in lines]
            if sealed := [record for record in records if record is not None]:
                last = sealed[-1]
                head = replace(head, seq=last["seq"], hash=last["hash"], time=last["time"])
                break
        return head

    def write(self, file: int, head: Head, event: Mapping[str, Any], trouble: _Trouble, text: bytes = b"") -> Head:
        """Write a record, before it what was amiss and the text that it speaks of, and the head after all."""
        now = max(stamp(self.clock()), head.time)  # a clock that goes back must not put later records in an earlier day
        torn = trouble is not None and trouble["reason"] == TORN
        new_day = head.count > 0 and head.time[:10] < now[:10]
        before = head
        if (trouble and not torn) or head.count >= self.segment_records or new_day:
            head = head.next_segment()
        amiss = [new_event(RECOVERED, subject="service:loremill", detail=trouble)] if trouble else []
        after, lines = head, b""
        for each in (*amiss, event):
            record = {"seq": after.seq + 1, "time": now, **each, "prev": after.hash}
            line, digits = self.sealer.seal(record)
            after, lines = after.after(record, line, digits), lines + line
        if torn:
            os.truncate(segment_path(self.folder, before.segment), before.size)
        if head.size == 0:
            self.put_head(file, head)  # a crash then leaves what it wrote where the head says
        if (
            text
        ):  # before the record: a crash between leaves a text that none speaks of, and that goes with the next erasure
            self._extend(texts_path(self.folder, head.segment), text)
        self._extend(segment_path(self.folder, head.segment), lines)
        self.put_head(file, after)
        return after

    def _extend(self, path: Path, lines: bytes) -> None:
        """Append to a segment all or nothing."""
        segment = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            end = os.fstat(segment).st_size
            try:
                if os.write(segment, lines) < len(lines):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if self.fsync:
                    os.fsync(segment)
            except OSError:
                os.ftruncate(segment, end)
                raise
        finally:
            os.close(segment)
        if self.fsync and end == 0:
            self._fsync_folder()

    def _fsync_folder(self) -> None:
        """Make the names of new files last too."""
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def put_head(self, file: int, head: Head) -> None:
        os.pwrite(file, head.encode(self.sealer), 0)

    def _without_older(self, head: Head, before: str) -> Head:
        """Return the head with its anchor moved past the segments that are wholly older."""
        for number in range(head.first, head.segment):
            last = self._last_record(number)
            if last is None or last["time"] >= before:
                break
            head = replace(head, first=number + 1, anchor_seq=last["seq"], anchor=last["hash"])
        return head

    def _last_record(self, number: int) -> dict[str, Any] | None:
        """Return a segment's last record, None if its seal does not hold."""
        size = segment_size(self.folder, number)
        last, window = b"", 1 << 16
        while size and last.count(b"\n") < 2 and len(last) < size:
            last = b"".join(read_lines(self.folder, number, start=max(size - window, 0), size=size))
            window *= 4
        return self.sealer.open_record(last.splitlines(keepends=True)[-1]) if last else None


def finish_rewriting(folder: Path, head: Head) -> None:
    """Put in place what a rewriting of the log wrote, once the head names it. The last segment comes last: while it is missing, this is not done."""
    waiting = (path for path in folder.glob(f"*{NEW}") if int(path.name[:6]) in range(head.first, head.segment + 1))
    for path in sorted(waiting, key=lambda path: (path.name.endswith(f"{head.segment:06d}.jsonl{NEW}"), path.name)):
        os.replace(path, path.with_name(path.name.removesuffix(NEW)))
