"""JSON and XML: what people keep in them is read as lines of `name: value`, so that a value stands beside its name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from indexes.errors import ParseError
from ingest.parsers import Parsed, blocks
from ingest.parsers.plain import decode

_SHORT = 120
_MAX_DEPTH = 60
_ENTITY_DECLARATION = re.compile(r"<!ENTITY\s", re.IGNORECASE)


def parse_json(data: bytes) -> Parsed:
    """One value, or one a line (NDJSON); objects of the same plain fields become a table.

    What is no valid JSON, or is nested beyond 60 levels, is read as the text it is.
    """
    text = decode(data)
    try:
        values = _values(text)
        return Parsed("", blocks.join(_outline(values[0] if len(values) == 1 else values)))
    except (ValueError, RecursionError):
        return Parsed("", text)


def _values(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]


def _outline(value: Any, name: str = "", depth: int = 0) -> Iterator[str]:
    """One list item for each plain value, what is inside a value indented under its name, or its number in a list."""
    if depth > _MAX_DEPTH:
        raise RecursionError
    if isinstance(value, list) and _is_table(value):
        yield blocks.paragraph(f"{name}:") if name else ""
        fields = list(value[0])
        yield blocks.table([fields, *([_plain(row[field]) for field in fields] for row in value)])
    elif isinstance(value, dict | list):
        if name:
            yield blocks.item(f"{name}:", depth=depth)
        named = value.items() if isinstance(value, dict) else _numbered(value)
        for key, entry in named:
            yield from _outline(entry, key, depth + bool(name))
    elif _plain(value):
        yield blocks.item(f"{name}: {_plain(value)}" if name else _plain(value), depth=depth)


def _numbered(values: list[Any]) -> Iterator[tuple[str, Any]]:
    for number, entry in enumerate(values, start=1):
        yield (str(number) if isinstance(entry, dict | list) else "", entry)


def _is_table(rows: list[Any]) -> bool:
    """At least two objects with the same few fields, none of which holds others or a long text."""
    first = rows[0] if rows else None
    if len(rows) < 2 or not isinstance(first, dict) or not 2 <= len(first) <= 12:
        return False
    return all(
        isinstance(row, dict)
        and row.keys() == first.keys()
        and not any(isinstance(cell, dict | list) or len(_plain(cell)) > _SHORT for cell in row.values())
        for row in rows
    )


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return blocks.inline(value) if isinstance(value, str) and len(value) < _SHORT else str(value)


def parse_xml(data: bytes) -> Parsed:
    """The elements' text: short ones as `name: text`, one below the other where they have one parent.

    Entities of its own are not resolved: they are how a small file claims to be a large one. A page of XHTML inside,
    as in a stylesheet, gives its text alike.
    """
    from lxml import etree

    text = decode(data, declared=_declared(data))
    if _ENTITY_DECLARATION.search(text[:100_000]) and "&" in text:
        text = _without_entities(text)
    body = re.sub(r"^\s*<\?xml[^>]{0,500}\?>", "", text).encode("utf-8", "replace")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, recover=True
    )
    root = etree.fromstring(body, parser)
    if root is None:
        raise ParseError("no XML elements were found")
    if any(entry.type_name == "ERR_RESOURCE_LIMIT" or "depth" in entry.message for entry in parser.error_log):
        raise ParseError("the elements are nested too deeply")
    return Parsed("", blocks.join(_paragraphs(root)))


def _declared(data: bytes) -> str | None:
    match = re.search(rb"""<\?xml[^>]{0,200}encoding\s*=\s*["']([\w.:-]{2,40})""", data[:400])
    return match.group(1).decode("ascii") if match else None


def _without_entities(text: str) -> str:
    """Drop the document type, which ends at the first `]>`, or at the first `>` where it has no inner part."""
    start = text.find("<!DOCTYPE")
    end = text.find("]>", start)
    return text[:start] + text[end + 2 :] if 0 <= start < end else text


def _paragraphs(root: Any) -> Iterator[str]:
    """Walk without recursion: depth is the document's choice."""
    lines: list[str] = []
    for element in root.iter():
        own = blocks.inline(element.text or "") if isinstance(element.tag, str) else ""  # else an entity
        if own and not len(element) and len(own) <= _SHORT and not own.endswith((".", ":")):
            lines.append(f"{element.tag.rsplit('}', 1)[-1]}: {own}")
        elif own or len(element):
            yield blocks.paragraph("\n".join(lines))
            lines = []
            yield blocks.paragraph(own)
        if element is not root and element.tail and not element.tail.isspace():
            lines.append(blocks.inline(element.tail))
    yield blocks.paragraph("\n".join(lines))
