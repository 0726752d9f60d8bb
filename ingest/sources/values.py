"""Values of a database as JSON holds them."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from typing import Any
from uuid import UUID

from indexes.errors import ParseError


def plain(value: object, column: str) -> Any:
    """Return a value as JSON holds it: dates as ISO 8601, a decimal as a number where that loses nothing."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if isfinite(value) else None
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return float(value) if value.is_finite() and Decimal(repr(float(value))) == value else str(value)
        case dict():
            return {str(key): plain(inner, column) for key, inner in value.items()}
        case list() | tuple():
            return [plain(inner, column) for inner in value]
        case UUID():
            return str(value)
    raise ParseError(
        f"column {column!r} holds {type(value).__name__}, which metadata cannot keep: cast it to text or leave it out"
    )
