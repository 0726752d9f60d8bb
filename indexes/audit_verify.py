"""Is an audit log whole? Every byte of it is checked, in one pass that keeps no writer waiting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from indexes.audit_chain import Head, Sealer
from indexes.audit_files import HEAD, Snapshot, read_lines, segment_numbers, segment_path, take_snapshot
from indexes.audit_texts import commitment_of, outside, read_lines_of_texts, redacted_ranges
from indexes.audit_write import RECOVERED, TORN
from indexes.errors import ConfigError

MOST_FAULTS = 100
"""Verification stops there: what is wrong everywhere need not be said of each line."""


@dataclass(frozen=True, slots=True)
class AuditFault:
    """One thing wrong: in which file, at which line (from 1; None for the file as a whole), and what."""

    segment: str
    line: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.segment}{'' if self.line is None else f':{self.line}'}: {self.what}"

    def to_json(self) -> dict[str, Any]:
        return {"segment": self.segment, "line": self.line, "what": self.what}


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """`records` were read, the last one `seq`; `head` is its hash: note it elsewhere, to compare with later."""

    records: int
    seq: int
    head: str
    faults: tuple[AuditFault, ...]

    @property
    def ok(self) -> bool:
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        faults = [fault.to_json() for fault in self.faults]
        return {"ok": self.ok, "records": self.records, "seq": self.seq, "head": self.head, "faults": faults}


def verify_log(folder: Path, sealer: Sealer, *, expected_head: str | None = None) -> AuditVerdict:
    """See `AuditLog.verify`."""
    while True:
        seen = take_snapshot(folder)
        verdict = _Walk(folder, sealer, seen, expected_head).verdict()
        # Retention may have taken away what was being read; then look at what is left.
        if verdict.ok or seen.segments.keys() <= set(segment_numbers(folder)):
            return verdict


class _Walk:
    """One pass over a snapshot. After a fault it goes on from what the line claims, so one change is a fault or two."""

    def __init__(self, folder: Path, sealer: Sealer, seen: Snapshot, expected_head: str | None) -> None:
        self._folder = folder
        self._sealer = sealer
        self._segments = seen.segments
        self._faults: list[AuditFault] = []
        self._records = 0
        self._texts: Mapping[str, object] = {}
        self._without_text: dict[int, tuple[int, int]] = {}
        self._redacted: list[tuple[int, int]] = []
        self._head = self._read_head(seen.head)
        start = self._head or Head()
        self._seq, self._hash = start.anchor_seq, start.anchor
        self._head_found = self._head is None or (self._head.seq, self._head.hash) == (self._seq, self._hash)
        self._expected = expected_head.strip().lower() if expected_head else self._hash
        self._expected_found = self._expected == self._hash

    def verdict(self) -> AuditVerdict:
        first = self._head.first if self._head else min(self._segments, default=1)
        for number in sorted(number for number in self._segments if number < first):
            self._fault(number, None, "left over by a removal that was interrupted; prune again")
        for number in range(first, max(self._segments, default=0) + 1):
            if len(self._faults) >= MOST_FAULTS:
                break
            self._walk(number)
        self._compare_with_head()
        self._compare_with_redactions()
        if not self._expected_found:
            why = "the log was rewritten or cut back, or retention has removed the record"
            self._fault(HEAD, None, f"no record has the expected hash: {why}")
        return AuditVerdict(self._records, self._seq, self._hash, tuple(self._faults[:MOST_FAULTS]))

    def _fault(self, where: int | str, line: int | None, what: str) -> None:
        name = where if isinstance(where, str) else segment_path(self._folder, where).name
        self._faults.append(AuditFault(name, line, what))

    def _read_head(self, raw: bytes) -> Head | None:
        try:
            head = Head.decode(raw, self._sealer)
        except ConfigError as error:
            self._fault(HEAD, None, str(error))
            return None
        if head is None and (raw or self._segments):
            self._fault(HEAD, None, f"{'changed' if raw else 'missing'}: records may be missing at the end")
        elif head is None:
            self._fault(HEAD, None, "missing: nothing was logged yet, or all of it is gone")
        return head

    def _walk(self, number: int) -> None:
        """Check one segment's lines, each against the one before."""
        if number not in self._segments:
            self._fault(number, None, "the segment is missing")
            return
        self._texts = read_lines_of_texts(self._folder, number)
        end = 0
        for place, line in enumerate(read_lines(self._folder, number, size=self._segments[number]), 1):
            if len(self._faults) >= MOST_FAULTS:
                return
            end += len(line)
            record = self._sealer.open_record(line)
            if record is not None:
                self._check(record, number, place, end)
            elif number < max(self._segments) or not Head(self._seq, self._hash).precedes_torn(line):
                self._fault(number, place, "changed: the line is not as it was written")
                self._seq, self._hash = self._seq + 1, line[-67:-3].decode("ascii", "replace")

    def _check(self, record: Mapping[str, Any], number: int, place: int, end: int) -> None:
        seq = record["seq"]
        if seq != self._seq + 1:
            why = "records are missing, repeated or in another order"
            self._fault(number, place, f"record {seq} follows record {self._seq}: {why}")
        elif record["prev"] != self._hash:
            self._fault(number, place, f"record {seq} was written after another record {self._seq} than this one")
        if record["kind"] == RECOVERED and (reason := record["detail"].get("reason")) != TORN:
            why = f"when this was written, the log was at fault ({reason})"
            self._fault(number, place, f"{why}: records before it may be missing or changed")
        self._records += 1
        if (digest := commitment_of(record)) is not None and digest not in self._texts:
            self._without_text[seq] = (number, place)
        self._redacted += redacted_ranges(record)
        self._expected_found |= record["detail"].get("rewrote_head") == self._expected
        self._seq, self._hash = seq, record["hash"]
        self._expected_found |= self._hash == self._expected
        if self._head and (self._head.seq, self._head.hash) == (seq, self._hash):
            # The head of a segment that was only begun names the last record of the one before.
            self._head_found = (self._head.segment, self._head.size) in {(number, end), (number + 1, 0)}

    def _compare_with_redactions(self) -> None:
        for seq in outside(self._without_text, self._redacted):
            number, place = self._without_text[seq]
            self._fault(number, place, "the text that the record speaks of is missing or changed; no erasure says so")

    def _compare_with_head(self) -> None:
        if self._head is None or self._head_found:
            return
        if self._head.seq > self._seq:
            self._fault(HEAD, None, f"records {self._seq + 1} to {self._head.seq} are missing at the end")
        else:
            self._fault(HEAD, None, f"record {self._head.seq} is not the one that the head names, or lies elsewhere")
