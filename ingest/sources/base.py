"""What a source is, and what it lists.

A source lists everything that lies there, also what cannot be read or parsed: such an item raises when it is read, so
that the pipeline quarantines it with a reason instead of losing it. Nothing is opened before its `read` is called, but
files of many items (rows, messages), which are streamed.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Protocol

from indexes.errors import IngestError, LoremillError, TooLarge
from indexes.vocabulary import Acl

CONTROL_FILES = frozenset({"acl.yaml", "principals.yaml", "contract.yaml", "gates.yaml", "questions.jsonl"})
MAX_PART_BYTES = 64_000_000
"""A row or a message of more is refused: those of a file are cut apart in memory."""
MAX_ID = 4096
"""Characters: as long as a path may be."""


class Read(Protocol):
    """Returns an item's bytes, or raises an IngestError that says why there are none.

    With a `limit`, TooLarge where there are more; no more than `limit` + 1 bytes are then held.
    """

    def __call__(self, limit: int | None = None) -> bytes: ...


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One thing that may become a document.

    Args:
        document_id: stable across versions: the path below the source's root, or a row's own id.
        uri: where it lies, for people; never holds credentials.
        path: what acl.yaml's rules match.
        format: by its extension; `row` for a row, `` for an extension that is not known.
        read: returns the bytes, or raises an IngestError that says why there are none.
        size: bytes that `read` will return, known beforehand; 0 where it is not, then `read(limit)` bounds them.
        acl: a row's own rights, above those of any file; NOBODY where they are malformed, and `acl_error` says how.
        mark: the version, known without reading. Equal marks under one id of one source mean the same bytes, title
            and metadata; rights may differ. An empty mark says nothing: read it.
    """

    document_id: str
    uri: str
    path: str
    format: str
    read: Read
    size: int
    title: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: Acl | None = None
    acl_error: str | None = None
    mark: str = ""


class Source(Protocol):
    """Lists items, in the same order each time."""

    @property
    def name(self) -> str:
        """The source's identity: what was listed under it before and is no more was deleted."""
        ...

    @property
    def spec(self) -> dict[str, str]:
        """What `open_source_spec` opens it by again, as JSON and without secrets; empty where it cannot be."""
        ...

    def items(self) -> Iterator[SourceItem]:
        """List everything, or raise: a listing that stopped half-way would look like a deletion."""
        ...

    def read_control(self, name: str) -> bytes | None:
        """Return the control file (one of CONTROL_FILES) in the source's root; None where there is none.

        Raises:
            ConfigFileError, IngestError: it cannot be read, which must never pass for its absence.
        """
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file of many items lies: `name` below the root, `uri`; `alone` where it is the whole source."""

    name: str
    uri: str
    alone: bool = False

    def item_id(self, own: str) -> str:
        """The id of an item within: its own, below the file's name unless the file is all there is."""
        return own if self.alone else f"{self.name}#{own}"


def held(data: bytes) -> Read:
    """Read bytes that are in memory already."""

    def read(limit: int | None = None) -> bytes:
        return _within(data, limit)

    return read


def failing(error: LoremillError) -> Read:
    """Refuse to be read."""

    def read(limit: int | None = None) -> bytes:
        raise error

    return read


def read_stream(file: BinaryIO, limit: int | None) -> bytes:
    """Read all there is, piece by piece, for a network stream may give less than it is asked for."""
    data = bytearray()
    while limit is None or len(data) <= limit:
        piece = file.read(1_000_000 if limit is None else min(1_000_000, limit + 1 - len(data)))
        if not piece:
            break
        data += piece
    return _within(bytes(data), limit)


def _within(data: bytes, limit: int | None) -> bytes:
    if limit is not None and len(data) > limit:
        raise TooLarge(f"more than the limit of {limit} bytes; raise max_document_bytes or split the document")
    return data


def refused(name: str, uri: str, why: str) -> SourceItem:
    """An item that stands in the listing only to say why it cannot be read."""
    return SourceItem(name, uri, name, "", failing(IngestError(f"{name}: {why}")), 0)


def printable(name: str) -> str:
    """Return the name as text that can be stored and matched, whatever a file system or a row holds."""
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace") if _half(name) else name
    return unicodedata.normalize("NFC", text)


def _half(text: str) -> bool:
    """Whether there are surrogates, which no UTF-8 can hold."""
    return not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)


def checked(items: Iterator[SourceItem]) -> Iterator[SourceItem]:
    """Let no two items through under one id, and none under an id that cannot be stored: the later one is refused.

    Cost: holds the ids, which the pipeline holds as well.
    """
    seen: set[str] = set()
    numbers: dict[str, int] = {}
    for item in items:
        why = _unusable(item.document_id, seen)
        if why is not None:
            wanted = _storable(item.document_id)[:MAX_ID]
            numbers[wanted] = numbers.get(wanted, 1) + 1
            while (name := f"{wanted}~{numbers[wanted]}") in seen:
                numbers[wanted] += 1
            error = IngestError(f"{item.uri}: {why}")
            item = replace(item, document_id=name, read=failing(error), size=0, mark="")
        if _half(item.uri + item.path):
            item = replace(item, uri=_storable(item.uri), path=_storable(item.path))
        seen.add(item.document_id)
        yield item


def _unusable(document_id: str, seen: set[str]) -> str | None:
    if document_id in seen:
        return f"another item has the id {document_id!r} already; give each its own"
    if _half(document_id):
        return "its id is not valid Unicode"
    if not document_id.strip() or len(document_id) > MAX_ID:
        return f"its id must have 1 to {MAX_ID:,} characters"
    return None


def _storable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
