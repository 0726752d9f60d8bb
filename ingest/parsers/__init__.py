"""One small file per family of formats; each parser takes the bytes and returns what they say as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Attachment", "Parsed"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came inside another one: a mail's attachment, an archive's member.

    `name` is a relative path with `/`, without `..`, control characters or a drive; `format` is what the name promises,
    empty where that is nothing known. `data` are as they came: nobody has looked at them yet.
    """

    name: str
    data: bytes = field(repr=False)
    format: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text as Markdown: headings `#`, lists `-` or `1.`, tables as pipe tables, links and images as text.

    `title` is the document's own, empty where it has none. `metadata` holds JSON values only. `format` is the key of
    `ingest.formats.FORMATS` that it was read as, by its content if its name promised another. `text` may be empty where
    there are attachments: an archive has no text of its own. `hidden` is what the document holds and no reader sees, such as
    comments and invisible elements: it is looked at for planted instructions, and never stored.
    """

    title: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    format: str = ""
    hidden: str = ""
