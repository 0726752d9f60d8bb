"""One small file per family of formats; each parser takes the bytes and returns what they say as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Parsed"]


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's text as Markdown: headings `#`, lists `-` or `1.`, tables as pipe tables, links and images as text.

    `title` is the document's own, empty where it has none. `metadata` holds JSON values only.
    """

    title: str
    text: str
    metadata: dict[str, Any] = field(default_factory=dict)
