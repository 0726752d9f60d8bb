"""The rules of a data contract; each says what it allows and what is wrong with a document that breaks it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sized
from datetime import UTC, date, datetime
from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from indexes.errors import ConfigError, PiiFound
from ingest.pii import THRESHOLD, PiiSpan, check_types, find, redact


def false_is_off(value: object) -> object:
    return "off" if value is False else value  # YAML reads a bare `off` as false


def _off_is_none(value: object) -> object:
    return None if value is False or value == "off" else value


class Part(BaseModel):
    """What every part of a contract is: immutable, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Size(Part):
    """Bounds, inclusive: of the item as it lies in the source in bytes, of its text in characters."""

    max_bytes: int | None = Field(default=None, ge=1, strict=True)
    min_chars: int | None = Field(default=None, ge=0, strict=True)
    max_chars: int | None = Field(default=None, ge=1, strict=True)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.max_chars is not None and (self.min_chars or 0) > self.max_chars:
            raise ValueError(f"no text fits: min_chars {self.min_chars} is more than max_chars {self.max_chars}")
        return self

    def faults_of_item(self, size: int) -> Iterator[str]:
        """Say what is wrong with an item of `size` bytes."""
        if self.max_bytes is not None and size > self.max_bytes:
            yield f"size: {size:,} bytes, max_bytes is {self.max_bytes:,}; split the document or raise the limit"

    def faults_of_text(self, text: str) -> Iterator[str]:
        """Say what is wrong with the length of a text."""
        found = f"size: {len(text):,} characters of text"
        if self.min_chars is not None and len(text) < self.min_chars:
            yield f"{found}, min_chars is {self.min_chars:,}; see that its text is not a picture, or lower the limit"
        if self.max_chars is not None and len(text) > self.max_chars:
            yield f"{found}, max_chars is {self.max_chars:,}; split the document or raise the limit"


class Freshness(Part):
    """The date under `field` in the metadata is at most `max_age_days` ago; it may be missing only if `optional`."""

    field: str = Field(min_length=1, strict=True)
    max_age_days: int = Field(ge=0, strict=True)
    optional: bool = Field(default=False, strict=True)

    def faults(self, metadata: Mapping[str, object], today: date) -> Iterator[str]:
        """Say what is wrong with the date of a document."""
        value = metadata.get(self.field)
        day = _day(value)
        if day is None:
            if not self.optional:
                found = "is missing" if is_empty(value) else f"is {str(value)[:40]!r}, not an ISO date"
                yield f"freshness: {self.field} {found}; write a date such as 2026-01-31, or make the rule optional"
        elif (age := (today - day).days) > self.max_age_days:
            found = f"{self.field} is {day}, {age:,} days ago, max_age_days is {self.max_age_days:,}"
            yield f"freshness: {found}; review the document and its date, or exclude it"


class Pii(Part):
    """What happens to personal data of `types` (None: ingest.pii.TYPES) that scores `threshold` or more.

    off: it is not looked for. tag: it is recorded. redact: its type replaces it. quarantine: the document is kept out.
    """

    policy: Annotated[Literal["off", "tag", "redact", "quarantine"], BeforeValidator(false_is_off)] = "off"
    types: tuple[str, ...] | None = Field(default=None, min_length=1)
    threshold: float = Field(default=THRESHOLD, ge=0, le=1, strict=True)

    @field_validator("types")
    @classmethod
    def _known(cls, types: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            return None if types is None else check_types(types)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    def screen(self, text: str) -> tuple[str, tuple[PiiSpan, ...]]:
        """Apply the policy to a text; see `Contract.screen`."""
        if self.policy == "off":
            return text, ()
        spans = find(text, types=self.types, threshold=self.threshold)
        if self.policy == "redact":
            return redact(text, spans)
        if self.policy == "quarantine" and spans:
            counts = sorted(Counter(span.type for span in spans).items())
            found = ", ".join(f"{count} {type}" for type, count in counts)
            raise PiiFound(
                f"personal data found: {found}; remove it, or set the contract's pii policy to redact or tag"
            )
        return text, spans


class Duplicates(Part):
    """Which documents are duplicates: those of the same content, and those of a Jaccard similarity of `near` or more."""

    exact: bool = Field(default=True, strict=True)
    near: Annotated[float | None, BeforeValidator(_off_is_none)] = Field(default=None, ge=0.1, le=1, strict=True)


def is_empty(value: object) -> bool:
    """Whether a metadata value says nothing: None, a blank text, an empty list or mapping. 0 and False say something."""
    return value is None or (isinstance(value, Sized) and len(value.strip() if isinstance(value, str) else value) == 0)


def _day(value: object) -> date | None:
    try:
        if isinstance(value, str):
            value = datetime.fromisoformat(value.strip())
        if isinstance(value, datetime):
            return (value.astimezone(UTC) if value.tzinfo else value).date()
    except (ValueError, OverflowError):  # no date, or one whose day in UTC is before the year 1
        return None
    return value if isinstance(value, date) else None
