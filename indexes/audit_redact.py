"""Taking text out of an audit log for good. The chain still holds afterwards, and says which records lost their text.

The record that says so is written first: a crash leaves text that the next call removes, never a text that is missing without a word.
Logs of earlier versions have text inside the sealed lines. Such a log is written anew as a whole, into segments after the old ones: records
keep their numbers, times and all they say, but get new hashes. Moving the head is what makes the new segments the log; a crash before leaves
the old log as it was, one after it is finished by whoever writes next.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from indexes.audit_chain import Head, Sealer
from indexes.audit_files import HEAD, read_lines, segment_numbers, segment_path, segment_size
from indexes.audit_texts import (
    FIELD,
    commitment_of,
    committed,
    inline_text,
    ranges,
    read_lines_of_texts,
    text_of,
    texts_path,
    write_synced,
    write_texts,
)
from indexes.audit_write import NEW, TORN, AuditWriter, finish_rewriting
from indexes.errors import IndexBackendError

Wanted = Callable[[Mapping[str, Any], str], bool]
"""Of a record and its text: is this text to be erased?"""


def texts(folder: Path, sealer: Sealer) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each record that has a text, and the text."""
    for number in segment_numbers(folder):
        beside = read_lines_of_texts(folder, number)
        for record in _records(folder, sealer, number, segment_size(folder, number)):
            if (text := text_of(record, beside)) is not None:
                yield record, text


def redact(writer: AuditWriter, wanted: Wanted, event: Mapping[str, Any]) -> int:
    """Erase the texts that are wanted, and return how many that were; `event` is the record that says so, if there were any.

    Raises:
        IndexBackendError: the log was changed since it was written. It is evidence then: nothing is erased.
    """
    if not (writer.folder / HEAD).exists():
        return 0
    with writer.locked() as file:
        head, trouble = writer.standing(file)
        if trouble is not None and trouble["reason"] != TORN:
            raise IndexBackendError(f"audit log {writer.folder}: {trouble['reason']}; {_ADVICE}")
        _sweep(writer.folder, head)
        gone, inline, kept = _sorted_out(writer, head, wanted)
        if gone:
            detail = {**event["detail"], "redacted": ranges(gone), **({"rewrote_head": head.hash} if inline else {})}
            head = writer.write(file, head, {**event, "detail": detail}, trouble)
            kept.setdefault(head.segment, {})
        if inline:
            _rewrite(writer, file, head, gone)
        else:
            for number in range(head.first, head.segment + 1):
                if kept.get(number, {}).keys() != read_lines_of_texts(writer.folder, number).keys():
                    write_texts(texts_path(writer.folder, number), kept.get(number, {}).values())
    return len(gone)


_ADVICE = "run `loremill audit verify`, and move the log's folder out of the home if it is to be kept as evidence"


def _sorted_out(writer: AuditWriter, head: Head, wanted: Wanted) -> tuple[set[int], bool, dict[int, dict[str, bytes]]]:
    """Return the numbers of records whose text goes, whether one of them has it inline, and by segment the lines of texts that stay.

    A line that no record speaks of, which a crash may leave, does not stay.
    """
    gone: set[int] = set()
    inline = False
    kept: dict[int, dict[str, bytes]] = {}
    for number in range(head.first, head.segment + 1):
        beside = read_lines_of_texts(writer.folder, number)
        kept[number] = {}
        for record in _records(writer.folder, writer.sealer, number, _end(writer.folder, head, number)):
            text, digest = text_of(record, beside), commitment_of(record)
            if text is not None and wanted(record, text):
                gone.add(record["seq"])
                inline |= inline_text(record) is not None
            elif digest is not None and digest in beside:
                kept[number][digest] = beside[digest][1]
    return gone, inline, kept


def _rewrite(writer: AuditWriter, file: int, head: Head, gone: set[int]) -> None:
    """Write the whole log anew, text beside the chain, without the texts of the records `gone`."""
    moved = head.segment - head.first + 1
    new = replace(head, first=head.first + moved, segment=head.first + moved - 1, hash=head.anchor, seq=head.anchor_seq)
    for number in range(head.first, head.segment + 1):
        beside = read_lines_of_texts(writer.folder, number)
        new = new.next_segment()
        lines: list[bytes] = []
        kept: list[bytes] = []
        for record in _records(writer.folder, writer.sealer, number, _end(writer.folder, head, number)):
            text, digest = inline_text(record), commitment_of(record)
            said = {name: value for name, value in record.items() if name not in {"prev", "hash"}}
            if text is not None:
                commitment, line_of_text = committed(text)
                said["detail"] = {**said["detail"], FIELD: commitment}
            else:
                line_of_text = beside[digest][1] if digest in beside else b""
            line, seal = writer.sealer.seal({**said, "prev": new.hash})
            new = new.after(record, line, seal)
            lines.append(line)
            if record["seq"] not in gone:
                kept.append(line_of_text)
        write_synced(Path(f"{segment_path(writer.folder, new.segment)}{NEW}"), b"".join(lines))
        if any(kept):
            write_synced(Path(f"{texts_path(writer.folder, new.segment)}{NEW}"), b"".join(kept))
    writer.put_head(file, new)
    os.fsync(file)
    finish_rewriting(writer.folder, new)
    _sweep(writer.folder, new)


def _end(folder: Path, head: Head, number: int) -> int:
    """Where a segment's records end: the last one may have a line that a crash cut off."""
    return head.size if number == head.segment else segment_size(folder, number)


def _records(folder: Path, sealer: Sealer, number: int, size: int) -> Iterator[dict[str, Any]]:
    for place, line in enumerate(read_lines(folder, number, size=size), 1):
        record = sealer.open_record(line)
        if record is None and line.endswith(b"\n"):
            where = f"{segment_path(folder, number).name}:{place}"
            raise IndexBackendError(f"audit log, {where}: not as it was written; {_ADVICE}")
        if record is not None:
            yield record


def _sweep(folder: Path, head: Head) -> None:
    """Remove what interrupted rewritings and removals have left: it may hold text."""
    for path in (*folder.glob(f"*{NEW}"), *folder.glob("*.tmp")):
        path.unlink()
    for path in (*folder.glob("*.jsonl"), *folder.glob("*.texts")):
        if path.stem.isdecimal() and int(path.stem) < head.first:
            path.unlink()
