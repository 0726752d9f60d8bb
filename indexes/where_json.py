"""Metadata filters as JSON: checked, limited, and read into `indexes.where`'s form. What cannot be applied is refused, never ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from indexes.errors import UnsupportedFilter
from indexes.where import OWN, And, Condition, Filter, Not, Op, Or, Scalar, conditions

MAX_DEPTH = 8
MAX_CONDITIONS = 100
MAX_LIST = 1000
MAX_TEXT = 1000
OPERATORS = ("eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists")


def parse(where: Mapping[str, object]) -> Filter:
    """Return the filter that JSON says. Filters that differ in order or repetition alone become equal, with equal `repr`.

    Raises:
        UnsupportedFilter: it says something else than that of `indexes.where`, or too much: it names the place.
    """
    parsed = _object(where, "where", MAX_DEPTH)
    if (count := sum(1 for _ in conditions(parsed))) > MAX_CONDITIONS:
        raise _refusal(
            "where", f"{count} conditions, the limit is {MAX_CONDITIONS}", "use `in` for many values of a key"
        )
    return parsed


def _object(where: object, path: str, depth: int) -> Filter:
    if not isinstance(where, Mapping):
        raise _refusal(path, f"{_shown(where)} is no filter", 'write an object such as {"year": {"gte": 2020}}')
    if not depth:
        raise _refusal(path, f"nested more than {MAX_DEPTH} deep", "flatten it")
    return _joined(And, [_entry(key, value, _at(path, key), depth) for key, value in where.items()])


def _entry(key: object, value: object, path: str, depth: int) -> Filter:
    scalar = isinstance(value, str | int | float)
    if key in ("and", "or") and not scalar:
        if not isinstance(value, list | tuple):
            raise _refusal(path, f"{_shown(value)} is no list", f'write {{"{key}": [FILTER, FILTER]}}')
        parts = [_object(part, f"{path}[{place}]", depth - 1) for place, part in enumerate(value)]
        return _joined(And if key == "and" else Or, parts)
    if key == "not" and not scalar:
        return Not(_object(value, path, depth - 1))
    if not isinstance(key, str) or '"' in key or len(key) > MAX_TEXT or not _is_unicode(key):
        raise _refusal(
            path, "no key to filter by", f"a key is text of at most {MAX_TEXT} characters without double quotes"
        )
    if not isinstance(value, Mapping):
        return _question(key, "eq", value, path)
    if not value:
        raise _refusal(path, "no operator", f"use {', '.join(OPERATORS)}")
    return _joined(And, [_question(key, name, operand, _at(path, name)) for name, operand in value.items()])


def _question(key: str, name: object, operand: object, path: str) -> Filter:
    if name not in OPERATORS:
        raise _refusal(path, f"unknown operator {_shown(name)}", f"use {', '.join(OPERATORS)}")
    if name == "exists":
        if not isinstance(operand, bool):
            raise _refusal(path, f"{_shown(operand)} is no boolean", "write true or false")
        return Condition(key, Op.EXISTS) if operand else Not(Condition(key, Op.EXISTS))
    if name in ("in", "nin"):
        if not isinstance(operand, list | tuple) or len(operand) > MAX_LIST:
            raise _refusal(
                path, f"{_shown(operand)} is no list of at most {MAX_LIST} values", "write a list, or several"
            )
        each = {repr(one): one for one in (_scalar(key, one, path) for one in operand)}
        found = Condition(key, Op.IN, tuple(each[name] for name in sorted(each)))
        return found if name == "in" else Not(found)
    value = _scalar(key, operand, path)
    if name in ("eq", "ne"):
        found = Condition(key, Op.IN, (value,))
        return found if name == "eq" else Not(found)
    if isinstance(value, bool):
        raise _refusal(path, "booleans have no order", "use eq or ne")
    return Condition(key, Op(str(name)), (value,))


def _scalar(key: str, value: object, path: str) -> Scalar:
    if isinstance(value, str) and (len(value) > MAX_TEXT or not _is_unicode(value)):
        raise _refusal(path, "a text that is too long or no Unicode", f"compare with at most {MAX_TEXT} characters")
    small = not isinstance(value, int) or abs(value) < 2**63
    if not isinstance(value, str | int | float) or not small:
        advice = "for a list use `in`, for null `exists`"
        raise _refusal(path, f"{_shown(value)} is no string, number below 2**63 or boolean", advice)
    return str(value) if key in OWN else value


def _joined(kind: type[And] | type[Or], parts: Sequence[Filter]) -> Filter:
    each = {repr(part): part for part in parts}  # 1, 1.0 and True are equal, but not the same
    return next(iter(each.values())) if len(each) == 1 else kind(tuple(each[name] for name in sorted(each)))


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def _at(path: str, name: object) -> str:
    """Return the place of something inside another; it is shown, so it must be Unicode."""
    return f"{path}.{name}"[:200].encode("utf-8", "backslashreplace").decode()


def _refusal(path: str, what: str, advice: str) -> UnsupportedFilter:
    return UnsupportedFilter(f"{path}: {what}; {advice}")


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:57] + "..."
