"""Metadata filters: what a document must be like for its chunks to be found. Always ANDed with access, never in its place.

    {"department": "hr"}                                         short for {"department": {"eq": "hr"}}
    {"year": {"gte": 2020, "lt": 2024}, "tag": {"nin": ["draft"]}}     everything in an object must hold
    {"or": [{"lang": "en"}, {"not": {"owner": {"exists": true}}}]}     also "and"; metadata keys of these names: {"or": "gold"}

What a document has under a key are its *values*: a scalar is one, a list has its members, a missing key, null or an empty list none.
A comparison holds if it holds for any value; `ne` and `nin` are exactly the opposites of `eq` and `in`, so they hold for a document
without the key and not for a list with such a member. Several operators at a key are judged apart, so two members of a list may meet them.

eq ne in nin    numbers match as numbers (1 and 1.0 are one), booleans match booleans alone, and text matches what a value looks like
                in JSON, so that `year=2024` and `draft=true` can be typed
gt gte lt lte   numbers are compared with numbers and texts with texts: two ISO dates or times as moments (UTC where they name no
                zone, a date is its midnight), any other two texts by code point; every other pair is false
exists          whether there is any value; that of an object or of a list within a list can be asked for nothing else

The keys `document_id`, `uri`, `title` and `format` mean the document's own fields, which are texts. `matches` says what all this
means, `indexes.columns` does the same fast, `indexes.where_json` reads the JSON.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

Scalar = str | int | float | bool
OPAQUE = None
"""Stands for a value that only `exists` can tell from none."""
OWN = ("document_id", "uri", "title", "format")


class Op(StrEnum):
    """What a condition asks; the other operators are made of these."""

    IN = "in"
    GT = "gt"
    GTE = "gte"
    LT = "lt"
    LTE = "lte"
    EXISTS = "exists"


COMPARE: dict[Op, Callable[[Any, Any], Any]] = {
    Op.GT: operator.gt,
    Op.GTE: operator.ge,
    Op.LT: operator.lt,
    Op.LTE: operator.le,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """One key, one question. `operands`: any number for `in`, one for a comparison, none for `exists`."""

    key: str
    op: Op
    operands: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; of none, everything does."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Some part holds; of none, nothing does."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Filter


Filter = Condition | And | Or | Not


def matches(where: Filter, fields: Mapping[str, Any]) -> bool:
    """Return whether a document passes.

    Args:
        fields: its metadata as read from JSON, and over them its own fields by name.
    """
    match where:
        case And(parts):
            return all(matches(part, fields) for part in parts)
        case Or(parts):
            return any(matches(part, fields) for part in parts)
        case Not(part):
            return not matches(part, fields)
        case Condition(key, op, operands):
            return any(_holds(op, operands, value) for value in values_of(fields.get(key)))


def values_of(stored: Any) -> list[Scalar | None]:
    """Return the values that a document has under a key; see the module's head."""
    members = stored if isinstance(stored, list | tuple) else [stored]
    return [_value(member) for member in members if member is not None]


def _value(member: Any) -> Scalar | None:
    if not isinstance(member, str | int | float) or member != member:
        return OPAQUE
    return member


def _holds(op: Op, operands: tuple[Scalar, ...], value: Scalar | None) -> bool:
    if op is Op.EXISTS:
        return True
    if op is Op.IN:
        return any(_equal(operand, value) for operand in operands)
    operand = operands[0]
    if isinstance(operand, str) and isinstance(value, str):
        ours, theirs = moment(operand), moment(value)
        either: tuple[Any, Any] = (value, operand) if ours is None or theirs is None else (theirs, ours)
        return bool(COMPARE[op](*either))
    if isinstance(operand, str) or isinstance(value, str | bool) or value is OPAQUE:
        return False
    return bool(COMPARE[op](value, operand))


def _equal(operand: Scalar, value: Scalar | None) -> bool:
    if value is OPAQUE:
        return False
    if isinstance(operand, str):
        return operand == (value if isinstance(value, str) else json.dumps(value))
    if isinstance(operand, bool) or isinstance(value, bool):
        return operand is value
    return operand == value


_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def moment(text: str) -> int | None:
    """Return the microseconds since 1970 of an ISO date or time, None if the text is none."""
    if not _MOMENT.fullmatch(text):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ((found if found.tzinfo else found.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def keys_of(where: Filter) -> set[str]:
    """Return the keys that the filter asks about."""
    return {condition.key for condition in conditions(where)}


def conditions(where: Filter) -> Iterator[Condition]:
    """Return every condition in the filter."""
    match where:
        case And(parts) | Or(parts):
            for part in parts:
                yield from conditions(part)
        case Not(part):
            yield from conditions(part)
        case Condition():
            yield where
