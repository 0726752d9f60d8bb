"""Rows: {"id" or "_id", "text", "title"?, "metadata"?, "acl"?, "uri"?}, one JSON object a line, streamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

from indexes.errors import ConfigError, ParseError, TooLarge
from indexes.vocabulary import NOBODY, Acl, digest
from ingest.sources.base import MAX_PART_BYTES, Place, SourceItem, failing, held

Row = dict[str, Any]


def row_items(file: BinaryIO, place: Place) -> Iterator[SourceItem]:
    """List the rows; one that is broken, over-long or whose id stands already on an earlier line refuses to be read.

    A row's rights are its own, else those of the rules for its file; where the file is the whole source, for its id.
    """
    return items_of(numbered_lines(file), place, _load_row, _row_item)


def are_records(file: BinaryIO) -> bool:
    """Are the lines JSON values that do not mean to be documents: none has an id of its own, and none has rights?"""
    line = b""
    for _, line in numbered_lines(file):
        try:
            value = json.loads(_bare(line))
        except (ValueError, RecursionError):
            return False
        if isinstance(value, dict) and value.keys() & {"id", "_id", "acl"}:
            return False
    return bool(line)


def items_of(
    lines: Iterator[tuple[int, bytes]],
    place: Place,
    load: Callable[[bytes], Row],
    make: Callable[[Row, str, Place], SourceItem],
) -> Iterator[SourceItem]:
    """Make items of lines: `load` reads a row and checks it (its id stands under "id" then), `make` takes its mark too."""
    first: dict[str, int] = {}
    for number, line in lines:
        try:
            row = load(line)
            identity = str(row["id"])
            if first.setdefault(identity, number) != number:
                raise ParseError(f"the id {identity!r} stands already on line {first[identity]}")
        except (ParseError, TooLarge) as error:
            yield broken_part(place, f"{number}", f"line {number}", error)
        else:
            yield make(row, f"row/1:{digest(_bare(line))}", place)


def broken_part(place: Place, number: str, where: str, error: ParseError | TooLarge) -> SourceItem:
    """A part of a file that cannot be read; nobody may, for its own rights are out of sight."""
    name = f"{place.name}:{number}"
    message = type(error)(f"{place.name.rsplit('/', 1)[-1]}, {where}: {error}")
    path = name if place.alone else place.name
    return SourceItem(name, f"{place.uri}#L{number}", path, "row", failing(message), 0, acl=NOBODY)


def numbered_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Number the lines from 1; of an over-long one only the beginning comes, which is more than MAX_PART_BYTES."""
    number = 0
    while line := file.readline(MAX_PART_BYTES + 1):
        number += 1
        rest = line
        while len(rest) > MAX_PART_BYTES and not rest.endswith(b"\n"):
            rest = file.readline(MAX_PART_BYTES + 1)
        if _bare(line):
            yield number, line


def load_object(line: bytes) -> Row:
    """Read one line as a JSON object."""
    if len(line) > MAX_PART_BYTES:
        raise TooLarge(f"a row of more than {MAX_PART_BYTES:,} bytes")
    try:
        row = json.loads(line.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not valid JSON in UTF-8: {error}") from error
    if not isinstance(row, dict):
        raise ParseError("a row must be a JSON object")
    return row


def check_row(row: Mapping[str, Any]) -> None:
    """Raise ParseError where an optional part is of the wrong kind."""
    for key, kind in (("text", str), ("title", str), ("uri", str), ("format", str), ("metadata", dict)):
        if row.get(key) is not None and not isinstance(row[key], kind):
            raise ParseError(f'"{key}" must be {"an object" if kind is dict else "a string"}')


def body(row: Mapping[str, Any]) -> bytes:
    """A row's text; its title where that is all it has, as some documents of BEIR."""
    text = row["text"] if row["text"].strip() else row.get("title") or ""
    return str(text).encode("utf-8", "surrogatepass")


def own_rights(value: object) -> tuple[Acl, str | None]:
    """Read a row's own rights; whatever is malformed is NOBODY, with the fault, for a guess could open it."""
    form = 'must be {"allow": [...], "deny": [...]}'
    if not isinstance(value, dict) or not value.keys() <= {"allow", "deny"} or not value:
        return NOBODY, f"acl {form}, got {json.dumps(value, default=repr)[:200]}; nobody may read it"
    lists = [value.get(key, []) for key in ("allow", "deny")]
    if not all(isinstance(names, list) for names in lists):
        return NOBODY, f"acl {form}, got {json.dumps(value)[:200]}; nobody may read it"
    try:
        return Acl(tuple(lists[0]), tuple(lists[1])), None
    except ConfigError as error:
        return NOBODY, f"{error}; nobody may read it"


def _load_row(line: bytes) -> Row:
    row = load_object(line)
    row["id"] = row.get("_id", row.get("id"))
    if not isinstance(row["id"], str | int) or isinstance(row["id"], bool) or not str(row["id"]).strip():
        raise ParseError('a row needs "_id" or "id", a string or a whole number')
    check_row(row)
    if row.get("text") is None:
        raise ParseError('a row needs "text"')
    return row


def _row_item(row: Row, mark: str, place: Place) -> SourceItem:
    document_id = place.item_id(str(row["id"]))
    data = body(row)
    acl, acl_error = own_rights(row["acl"]) if "acl" in row else (None, None)
    return SourceItem(
        document_id=document_id,
        uri=row.get("uri") or f"{place.uri}#{row['id']}",
        path=document_id if place.alone else place.name,
        format="row",
        read=held(data),
        size=len(data),
        title=row.get("title") or "",
        metadata=row.get("metadata") or {},
        acl=acl,
        acl_error=acl_error,
        mark=mark,
    )


def _bare(line: bytes) -> bytes:
    return line.strip(b"\xef\xbb\xbf \t\r\n")
