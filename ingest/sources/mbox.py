"""Mailboxes: an mbox file is one item a message, streamed in one pass.

Source: RFC 4155 for the form; the mboxrd variant for the quoting of lines that begin with "From ".
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO

from indexes.errors import LoremillError, ParseError, TooLarge
from ingest.sources.base import MAX_PART_BYTES, Place, SourceItem, failing, held

LINE_BYTES = 65_536
HEAD_BYTES = 65_536
_DATED = re.compile(rb"\d\d:\d\d")
_FIELD = re.compile(rb"[!-9;-~]{1,80}:")
_QUOTED = re.compile(rb">+From ")
_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r?\n[ \t]+)?<?([^\s<>]{1,500})", re.IGNORECASE | re.MULTILINE)


def message_items(file: BinaryIO, place: Place) -> Iterator[SourceItem]:
    """List the messages, each named by its Message-ID, else by a digest of itself.

    A second message of the same id gets `~2` behind it. What has no header fields is listed and refuses to be read.
    """
    counts: dict[str, int] = {}
    for data, size in _messages(file):
        own = _identity(data)
        counts[own] = counts.get(own, 0) + 1
        while counts[own] > 1 and f"{own}~{counts[own]}" in counts:  # a message may have been called so
            counts[own] += 1
        name = own if counts[own] == 1 else f"{own}~{counts[own]}"
        counts.setdefault(name, 1)
        error = _fault(data, size)
        yield SourceItem(
            document_id=place.item_id(name),
            uri=f"{place.uri}#{name}",
            path=place.name,
            format="eml",
            read=held(data) if error is None else failing(type(error)(f"{place.name}, message {name}: {error}")),
            size=len(data) if error is None else 0,
            mark="" if error else f"mbox/1:{hashlib.sha256(data).hexdigest()}",
        )


def _messages(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Cut the file into messages: at most MAX_PART_BYTES of each, and how long it is; envelope lines are left out."""
    message, size, begun = bytearray(), 0, False
    for line, is_start in _marked_lines(file):
        if is_start:
            if begun or message.strip():
                yield _trimmed(message), size
            message, size, begun = bytearray(), 0, True
            continue
        size += len(line)
        if len(message) < MAX_PART_BYTES:
            message += line[1:] if line[:1] == b">" and _QUOTED.match(line) else line
    if begun or message.strip():
        yield _trimmed(message), size


def _marked_lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Go through the lines, saying of each whether it is the envelope line that begins a message.

    Writers differ in whether they quote such lines, date them and set a blank line before them. So two of three signs
    decide: a blank line before, a time of day in it, a header field after it.
    """
    fresh, blank = True, True
    line = file.readline(LINE_BYTES)
    while line:
        following = file.readline(LINE_BYTES)
        is_start = fresh and line.startswith(b"From ")
        if is_start:
            is_start = blank + bool(_DATED.search(line)) + bool(_FIELD.match(following)) >= 2
        yield line, is_start
        blank = fresh and not line.strip(b"\r\n")
        fresh = line.endswith(b"\n")
        line = following


def _trimmed(message: bytearray) -> bytes:
    """Without the blank lines that part it from the next, so that a message appended later does not change it."""
    return bytes(message).rstrip(b"\r\n") + b"\n"


def _head(data: bytes) -> bytes:
    return re.split(rb"\r?\n\r?\n", data[:HEAD_BYTES], maxsplit=1)[0]


def _identity(data: bytes) -> str:
    found = _MESSAGE_ID.search(_head(data))
    if found:
        return found[1].decode("utf-8", "backslashreplace")
    return f"sha256-{hashlib.sha256(data).hexdigest()[:32]}"


def _fault(data: bytes, size: int) -> LoremillError | None:
    if size > MAX_PART_BYTES:
        return TooLarge(f"a message of more than {MAX_PART_BYTES:,} bytes")
    if not _FIELD.match(data):
        return ParseError("it does not begin with header fields such as Subject: or From:")
    return None
