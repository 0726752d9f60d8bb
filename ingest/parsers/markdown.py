"""Markdown: front matter becomes metadata, links and images become their text, comments go."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

from ingest.parsers import Parsed
from ingest.parsers.plain import decode

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(.*?\n)?(?:---|\.\.\.)[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
# Addresses are dropped from the text: they spend tokens, match nothing a person asks, and a model that repeats one
# with a secret in its query string gives the secret away. Each part is bounded, so that no text makes the search
# quadratic.
_TARGET = r"\((?:[^()\n]{0,2000}|[^()\n]{0,1000}\([^()\n]{0,500}\)[^()\n]{0,500})\)"
_IMAGE = re.compile(r"!\[([^\[\]\n]{0,500})\]" + f"(?:{_TARGET}|" + r"\[[^\[\]\n]{0,200}\])")
_LINK = re.compile(r"(?<![\\!])\[([^\[\]]{1,500})\]" + f"(?:{_TARGET}|" + r"\[[^\[\]\n]{0,200}\])")
_DEFINITION = re.compile(r"(?m)^ {0,3}\[(?!\^)[^\[\]\n]{1,200}\]:[ \t]*\S+.*$")
_AUTOLINK = re.compile(r"<((?:https?://|mailto:)[^<>\s]{1,2000})>")
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_SCRIPT = re.compile(r"(?is)<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)")
_INLINE_CODE = re.compile(r"(`{1,2})(?!`)([^`\n]{1,1000})\1(?!`)")
_FIRST_HEADING = re.compile(r"(?m)^#[ \t]+([^\s#].*)$")
_MAX_FRONT_MATTER = 50_000
_MAX_VALUES = 5_000


def parse_markdown(data: bytes) -> Parsed:
    """Markdown, with YAML front matter or without; its title is the front matter's or the first `#` heading."""
    text = decode(data).replace("\r\n", "\n").replace("\r", "\n")
    metadata, text = _front_matter(text)
    hidden = "\n\n".join(found[0] for pattern in (_COMMENT, _IMAGE) for found in pattern.finditer(text))
    text = outside_code(text, _plain_links)
    own = metadata.pop("title", None)
    found = _FIRST_HEADING.search(outside_code(text, lambda part: part, code=lambda part: ""))
    title = own.strip() if isinstance(own, str) else found.group(1).rstrip(" \t#") if found else ""
    return Parsed(title, text, metadata, hidden=hidden)


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    match = _FRONT_MATTER.match(text)
    if match is None or match.end() > _MAX_FRONT_MATTER:
        return {}, text
    import yaml

    try:
        values = yaml.safe_load(match.group(1) or "")
        if not isinstance(values, dict) or _count(values) > _MAX_VALUES:
            return {}, text
        return {str(key): plain_value(value) for key, value in values.items()}, text[match.end() :]
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}, text


def _count(value: Any, most: int = _MAX_VALUES) -> int:
    """How many values there are, counted to `most`: a few lines of references can stand for billions."""
    counted, waiting = 0, [value]
    while waiting and counted <= most:
        entry = waiting.pop()
        counted += 1
        if isinstance(entry, dict | list | tuple | set):
            waiting.extend(entry.values() if isinstance(entry, dict) else entry)
    return counted


def plain_value(value: Any) -> Any:
    """Return `value` as JSON can hold it; dates and whatever else is strange become text."""
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, list | tuple | set):
        return [plain_value(entry) for entry in value]
    if isinstance(value, dict):
        return {str(key): plain_value(entry) for key, entry in value.items()}
    return str(value)


def outside_code(text: str, change: Callable[[str], str], *, code: Callable[[str], str] = lambda part: part) -> str:
    """Apply `change` to the text between fenced code blocks and `code` to those."""
    parts: list[str] = []
    pending: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        match = _FENCE.match(line)
        if not fence and match:
            parts.append(change("".join(pending)))
            pending, fence = [line], match.group(1)
        elif fence and match and match.group(1).startswith(fence) and not line[match.end() :].strip():
            parts.append(code("".join([*pending, line])))
            pending, fence = [], ""
        else:
            pending.append(line)
    parts.append((code if fence else change)("".join(pending)))
    return "".join(parts)


def _plain_links(text: str) -> str:
    text = _SCRIPT.sub("", _COMMENT.sub("", text))
    pieces: list[str] = []
    position = 0
    for match in _INLINE_CODE.finditer(text):
        pieces += [text[position : match.start()], match.group()]
        position = match.end()
    # Code spans are kept out of the way by a private mark, because a link's text may hold one.
    spans = pieces[1::2]
    text = "\ue000".join([*pieces[0::2], text[position:]]) if "\ue000" not in text else text
    text = _DEFINITION.sub("", text)
    text = _IMAGE.sub(r"\1", text)
    text = _LINK.sub(r"\1", text)
    text = _AUTOLINK.sub(r"\1", text)
    found = iter(spans)
    return re.sub("\ue000", lambda _: next(found, "\ue000"), text)
