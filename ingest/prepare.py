"""One source item becomes text: read, parsed, held against the contract. Runs in many threads at once.

Whatever is wrong with an item ends here as a `Refused` with the stage and the error: an item never ends a run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from indexes.corpus import DocumentState, same_bytes, stored_text
from indexes.errors import DependencyMissing, IngestError, LoremillError, ParseError, TooLarge
from indexes.settings import Settings
from indexes.staging import Staging
from indexes.vocabulary import Document, Metadata, digest
from ingest.clean import normalise
from ingest.contract import Contract
from ingest.formats import parser_version
from ingest.injection import RULES as INJECTION_RULES
from ingest.isolate import parse_isolated
from ingest.parse import readable_name
from ingest.parsers import Attachment, Parsed
from ingest.pii import RULES
from ingest.policy import flag, screen
from ingest.sources import SourceItem
from ingest.sources.base import held
from ingest.versions import superseded

RECIPE = "text/3"
"""Raised when the same bytes give another text, so that unchanged files are read again."""

_MAX_DEPTH = 5


@dataclass(frozen=True, slots=True)
class Same:
    """The item's bytes are those that the stored document was made from."""

    item: SourceItem
    source_hash: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The item as a document. `parent` is the id of the item that it was attached to, however deep."""

    item: SourceItem
    source_hash: str
    document: Document
    parser: str
    pii: tuple[Mapping[str, Any], ...] = ()
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The item cannot be indexed; `error` is the name of what was raised."""

    item: SourceItem
    source_hash: str
    stage: str
    error: str
    message: str
    parent: str | None = None

    @classmethod
    def by(
        cls, error: LoremillError, item: SourceItem, source_hash: str, stage: str, parent: str | None = None
    ) -> Refused:
        return cls(item, source_hash, stage, type(error).__name__, str(error), parent)


Outcome = Same | Ready | Refused


@dataclass(frozen=True)
class Preparer:
    """Turns items into documents.

    Args:
        contract: what documents must be like.
        today: what their freshness is measured from.
    """

    settings: Settings
    contract: Contract
    staging: Staging
    today: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def recipe(self) -> str:
        """Names all that decides how bytes become text."""
        pii = RULES if self.contract.pii.policy != "off" else ""
        injection = INJECTION_RULES if self.contract.injection != "off" else ""
        return "+".join(part for part in (RECIPE, self.contract.name, pii, injection) if part)

    def prepare(self, item: SourceItem, stored: DocumentState | None, *, anew: bool) -> list[Outcome]:
        """Return the item's outcome, and those of its attachments behind it.

        Args:
            stored: what there is of it, to tell whether it changed.
            anew: parse it even if it did not.
        """
        return list(self._prepare(item, stored, anew=anew, parent=None, depth=0))

    def _prepare(
        self, item: SourceItem, stored: DocumentState | None, *, anew: bool, parent: str | None, depth: int
    ) -> Iterator[Outcome]:
        stage, hashed = "read", ""
        try:
            if item.size > self.settings.max_document_bytes:
                raise TooLarge(
                    f"{item.size} bytes are more than the limit of {self.settings.max_document_bytes}; "
                    "raise max_document_bytes or split the document"
                )
            stage = "contract"
            self.contract.check_item(format=item.format, size=item.size)
            stage = "read"
            data = item.read(self.settings.max_document_bytes)
            hashed = source_hash(item, data)
            if stored is not None and not anew and self._is_current(stored, hashed):
                yield Same(item, hashed)
                return
            stage = "parse"
            copied = None if anew or parent or item.format == "row" else self._copied(item, hashed)
            if copied is not None:
                yield copied
                return
            parsed = parse_isolated(data, uri=item.uri, format=item.format, timeout_s=self.settings.parse_timeout_s)
            stage = "contract"
            yield self._checked(item, parsed, hashed, parent)
        except (IngestError, DependencyMissing) as error:
            yield Refused.by(error, item, hashed, stage, parent)
            return
        for number, attached in enumerate(_attached(item, parsed.attachments)):
            if depth == _MAX_DEPTH:
                too_deep = TooLarge(f"attachments are nested more than {_MAX_DEPTH} deep")
                yield Refused.by(too_deep, attached, str(number), "parse", parent or item.document_id)
            else:
                yield from self._prepare(attached, None, anew=True, parent=parent or item.document_id, depth=depth + 1)

    def still_fresh(self, same: Same, stored: DocumentState) -> Same | Refused:
        """Time passes: a document that did not change may be too old by now."""
        try:
            self.contract.check_freshness(stored.metadata, today=self.today.date())
        except IngestError as error:
            return Refused.by(error, same.item, same.source_hash, "contract")
        return same

    def _is_current(self, stored: DocumentState, hashed: str) -> bool:
        return (stored.source_hash, stored.recipe) == (hashed, self.recipe)

    def _copied(self, item: SourceItem, hashed: str) -> Ready | None:
        """The same bytes were read before under another name, most likely because the file moved."""
        with self.staging.read() as db:
            twin = same_bytes(db, self.staging.collection, hashed)
            if twin is None or twin.recipe != self.recipe:
                return None
            text, pii = stored_text(db, self.staging.collection, twin.document_id)
        title = readable_name(item.uri) if twin.title == readable_name(twin.uri) else twin.title
        document = Document(item.document_id, item.uri, title, text, twin.format, twin.metadata)
        return Ready(item, hashed, document, twin.parser, tuple(pii))

    def _checked(self, item: SourceItem, parsed: Parsed, hashed: str, parent: str | None) -> Ready:
        since = superseded(parsed.text)
        standing = {} if since is None else {"superseded": since or True}
        metadata = {**parsed.metadata, **standing, **item.metadata}
        canonical(metadata)
        format = parsed.format or item.format
        self.contract.check_document(text=parsed.text, metadata=metadata, format=format)
        self.contract.check_freshness(metadata, today=self.today.date())
        title = normalise(item.title).strip() if item.title else parsed.title
        kept = screen(self.contract, title=title, text=parsed.text, metadata=metadata)
        flagged = flag(self.contract, kept.metadata, kept.title, kept.text, parsed.hidden)
        document = Document(item.document_id, item.uri, kept.title, kept.text, format, flagged)
        return Ready(item, hashed, document, parser_version(format), kept.spans, parent)


def _attached(item: SourceItem, attachments: tuple[Attachment, ...]) -> Iterator[SourceItem]:
    """An attachment is an item of its own under the rights of what it is attached to."""
    taken: dict[str, int] = {}
    for attachment in attachments:
        taken[attachment.name] = number = taken.get(attachment.name, 0) + 1
        name = attachment.name if number == 1 else f"{attachment.name}~{number}"
        yield SourceItem(
            document_id=f"{item.document_id}#{name}",
            uri=f"{item.uri}#{quote(name)}",
            path=item.path,
            format=attachment.format,
            read=held(attachment.data),
            size=len(attachment.data),
            metadata={"attached_to": item.document_id},
            acl=item.acl,
            acl_error=item.acl_error,
            mark=item.mark,
        )


def source_hash(item: SourceItem, data: bytes) -> str:
    """Names what a document was made from: equal hashes need no second look at the bytes."""
    return digest(item.format, item.title or "", canonical(item.metadata), data)


def canonical(metadata: Metadata) -> str:
    """Return the metadata as JSON with sorted keys.

    Raises:
        ParseError: a value has no place in JSON.
    """
    try:
        return json.dumps(dict(metadata), sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ParseError(f"its metadata cannot be kept as JSON: {error}") from error
