"""A document handed over by a program instead of lying in a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from indexes.errors import ConfigError
from indexes.vocabulary import Acl
from ingest.source import SourceItem


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
        if not self.document_id.strip() or len(self.document_id) > 1024:
            raise ConfigError("a document id must have 1 to 1,024 characters")

    def items(self) -> Iterator[SourceItem]:
        data = self.text.encode("utf-8", "surrogatepass")
        yield SourceItem(
            document_id=self.document_id,
            uri=f"push:{self.document_id}",
            path=self.document_id,
            format=self.format,
            read=lambda: data,
            size=len(data),
            title=self.title or None,
            metadata=self.metadata,
            acl=self.acl,
        )
