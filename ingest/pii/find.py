"""Find personal data in a text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from indexes.errors import ConfigError
from ingest.pii import addresses, numbers, phones
from ingest.pii.spans import PiiSpan, settle

Finder = Callable[[str], Iterator[PiiSpan]]

FINDERS: dict[str, Finder] = {
    "EMAIL_ADDRESS": addresses.emails,
    "URL": addresses.urls,
    "IP_ADDRESS": addresses.ip_addresses,
    "CREDIT_CARD": numbers.cards,
    "IBAN_CODE": numbers.ibans,
    "US_SSN": numbers.social_security_numbers,
    "PHONE_NUMBER": phones.phone_numbers,
}
TYPES = tuple(FINDERS)
"""The types that are looked for where none are named. Further ones are presidio's: `ingest.pii.presidio`."""

RULES = "pii/1"
"""Raised when the rules change, so that unchanged documents are screened again."""

THRESHOLD = 0.5
"""The least score of a find, where none is stated."""


def find(text: str, *, types: Iterable[str] | None = None, threshold: float = THRESHOLD) -> tuple[PiiSpan, ...]:
    """Return the personal data in `text`.

    Args:
        text: any text; it may be hostile.
        types: which to look for; all of TYPES if None. Names as in presidio, such as UK_NHS or DATE_TIME, do as well.
        threshold: finds that score less are left out, in [0, 1]; each finder's docstring says what its scores mean.
    Returns:
        Spans into `text` by ascending start, without overlaps; see `settle` for finds that do overlap.
    Raises:
        ConfigError: a type is unknown.
        DependencyMissing: a type is presidio's, and presidio is not installed.
    Cost: linear; about 0.35 ms for 1,000 characters of a handbook.
    """
    names = TYPES if types is None else check_types(types)
    spans = (span for name in names for span in _finder(name)(text))
    return settle(span for span in spans if span.score >= threshold)


def check_types(types: Iterable[str]) -> tuple[str, ...]:
    """Return the types in one order and without repetition.

    Raises:
        ConfigError: nothing finds one of them.
        DependencyMissing: one is not among TYPES, and presidio is not installed.
    """
    names = sorted(set(types))
    foreign = [name for name in names if name not in FINDERS]
    if foreign:
        from ingest.pii.presidio import recognisers

        known = recognisers().keys() | FINDERS.keys()
        unknown = [name for name in foreign if name not in known]
        if unknown:
            raise ConfigError(
                f"no finder of {', '.join(unknown)}; personal data can be of the types {', '.join(sorted(known))}"
            )
    return tuple(names)


def _finder(name: str) -> Finder:
    if name in FINDERS:
        return FINDERS[name]
    from ingest.pii.presidio import identifiers

    return partial(identifiers, type=name)
