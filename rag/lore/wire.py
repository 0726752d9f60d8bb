"""Memory's values as JSON, and back: what the command line, HTTP and MCP print, and what a client reads."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

_T = TypeVar("_T")


def to_json(value: Any) -> Any:
    """Return a frozen value of memory as JSON: fields by name, times in ISO 8601, tuples as lists."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): to_json(inner) for name, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [to_json(inner) for inner in value]
    return value


def from_json(kind: type[_T], data: Any) -> _T:
    """Return the value of that dataclass which `data` describes; fields that it does not know are left out.

    Raises:
        TypeError, ValueError, KeyError: `data` does not describe one.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"{kind.__name__} must be an object, not {type(data).__name__}")
    hints = _hints(kind)  # type: ignore[arg-type]  # a type variable's class is hashable, too
    return kind(**{name: _read(hints[name], value) for name, value in data.items() if name in hints})


def _read(hint: Any, value: Any) -> Any:
    """Return `value` as the type that a field asks for."""
    if isinstance(hint, types.UnionType):
        inner = [one for one in get_args(hint) if one is not types.NoneType]
        return None if value is None else _read(inner[0], value) if len(inner) == 1 else value
    if get_origin(hint) is tuple:
        return tuple(_read(get_args(hint)[0], one) for one in value)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return hint(value)
    return from_json(hint, value) if is_dataclass(hint) and isinstance(hint, type) else value


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    known = {field.name for field in fields(kind)}
    return {name: hint for name, hint in get_type_hints(kind).items() if name in known}
