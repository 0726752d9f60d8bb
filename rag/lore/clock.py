"""Moments of memory: aware datetimes in UTC outside, microseconds since 1970 in the catalog."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import overload

from indexes.errors import ConfigError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_AHEAD = timedelta(days=1)
"""Clocks differ and days begin at different times: so far an episode may lie in the future."""


def now_micros() -> int:
    return to_micros(datetime.now(UTC))


@overload
def to_micros(time: datetime) -> int: ...
@overload
def to_micros(time: None) -> None: ...
def to_micros(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MICROSECOND


@overload
def from_micros(micros: int) -> datetime: ...
@overload
def from_micros(micros: None) -> None: ...
def from_micros(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + micros * _MICROSECOND


def read_time(given: object, what: str) -> datetime:
    """Return a moment as people give it: a datetime, or ISO 8601 text; without a zone it is UTC, a date is its midnight.

    Raises:
        ConfigError: it is neither; `what` says which argument it was.
    """
    try:
        time = (
            given if isinstance(given, datetime) else datetime.fromisoformat(given) if isinstance(given, str) else None
        )
        if time is not None:
            return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"{what} is {str(given)[:60]!r}: write a date or time such as 2026-05-07 or 2026-05-07T14:30:00Z")


def check_past(time: datetime, what: str, *, now: datetime) -> datetime:
    """Refuse what has not happened yet.

    Raises:
        ConfigError: it lies more than a day ahead.
    """
    if time > now + _AHEAD:
        raise ConfigError(f"{what} is {time.isoformat()}, which lies in the future: what is remembered has happened")
    return time
