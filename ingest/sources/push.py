"""Documents handed over by a program instead of lying in a source: one, or a file of them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from indexes.errors import ConfigError, IngestError, ParseError
from indexes.vocabulary import NOBODY, Acl
from ingest.parse import format_of
from ingest.sources.base import Place, SourceItem, checked, held
from ingest.sources.files import open_regular
from ingest.sources.rows import Row, body, check_row, items_of, load_object, numbered_lines, own_rights

MAX_ID = 1024


@dataclass(frozen=True)
class PushedDocument:
    """A source of one document; all pushed documents of a collection count as one source, from which nothing is deleted unasked."""

    name: ClassVar[str] = "push:"

    document_id: str
    text: str
    title: str
    format: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: Acl = Acl()  # noqa: RUF009 - frozen

    def __post_init__(self) -> None:
        if not self.document_id.strip() or len(self.document_id) > MAX_ID:
            raise ConfigError(f"a document id must have 1 to {MAX_ID:,} characters")

    @property
    def spec(self) -> dict[str, str]:
        return {}  # its text lies nowhere else: it must be pushed again

    def items(self) -> Iterator[SourceItem]:
        data = self.text.encode("utf-8", "surrogatepass")
        yield SourceItem(
            document_id=self.document_id,
            uri=f"push:{self.document_id}",
            path=self.document_id,
            format=self.format,
            read=held(data),
            size=len(data),
            title=self.title or None,
            metadata=self.metadata,
            acl=self.acl,
        )

    def read_control(self, name: str) -> bytes | None:
        return None


@dataclass(frozen=True)
class PushedBatch:
    """A JSONL file of pushed documents; to be ingested with `partial=True`, for what it leaves out is not gone.

    Rows: {"document_id", "text" or "content_base64", "format"?, "title"?, "metadata"?, "acl": {"allow", "deny"}}. A row
    without `acl` may be read by nobody. The format is that of the id's extension where none is given, else `md` for a text.
    """

    name: ClassVar[str] = "push:"

    path: Path

    @property
    def spec(self) -> dict[str, str]:
        return {"location": str(self.path.resolve()), "format": "push"}

    def items(self) -> Iterator[SourceItem]:
        return checked(self._items())

    def read_control(self, name: str) -> bytes | None:
        return None

    def _items(self) -> Iterator[SourceItem]:
        try:
            with open_regular(str(self.path)) as file:
                place = Place("push", "push:", alone=True)
                yield from items_of(numbered_lines(file), place, _load, _item)
        except OSError as error:
            raise IngestError(f"the pushed documents cannot be read: {error.strerror}; push them again") from error


def _load(line: bytes) -> Row:
    row = load_object(line)
    row["id"] = row.get("document_id")
    if not isinstance(row["id"], str) or not row["id"].strip() or len(row["id"]) > MAX_ID:
        raise ParseError(f'a row needs "document_id", a string of 1 to {MAX_ID:,} characters')
    check_row(row)
    if (row.get("text") is None) == (row.get("content_base64") is None):
        raise ParseError('a row needs either "text" or "content_base64"')
    if row.get("text") is None:
        try:
            row["data"] = base64.b64decode(row["content_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise ParseError(f'"content_base64" is not valid base64: {error}') from error
    return row


def _item(row: Row, mark: str, place: Place) -> SourceItem:
    data = row["data"] if row.get("text") is None else body(row)
    acl, acl_error = (
        own_rights(row["acl"]) if "acl" in row else (NOBODY, 'the row has no "acl": nobody may read the document')
    )
    return SourceItem(
        document_id=row["id"],
        uri=f"push:{row['id']}",
        path=row["id"],
        format=row.get("format") or format_of(row["id"]) or ("" if row.get("text") is None else "md"),
        read=held(data),
        size=len(data),
        title=row.get("title") or None,
        metadata=row.get("metadata") or {},
        acl=acl,
        acl_error=acl_error,
        mark=mark,
    )
