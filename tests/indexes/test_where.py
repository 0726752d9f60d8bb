"""Metadata filters: what they mean, what is refused, and that their text form does not matter."""

from __future__ import annotations

import json
from typing import Any

import pytest

from indexes.errors import UnsupportedFilter
from indexes.where import And, Condition, Not, Op, Or, keys_of, matches, moment
from indexes.where_json import MAX_CONDITIONS, MAX_DEPTH, MAX_LIST, MAX_TEXT, parse

TAGGED: dict[str, dict[str, Any]] = {
    "int": {"year": 2024, "draft": True, "dept": "hr", "uri": "shadowed"},
    "text": {"year": "2024", "draft": "true", "dept": ["hr", "legal"]},
    "float": {"year": 2024.0, "draft": 1, "rate": 1e20},
    "other": {"year": 2025, "draft": False, "dept": None, "quo'te": "it's", "a.b": "dot", "": "none", "or": "gold"},
    "bare": {"größe": 7, "list": [], "deep": [[1], {"a": 1}], "object": {"a": 1}},
    "dated": {"sent": "2024-03-01T10:00:00+02:00", "day": "2024-03-01", "month": "2024-03", "marks": [1, 5, "x"]},
}
ALL = set(TAGGED)


def passing(where: dict[str, Any]) -> set[str]:
    parsed = parse(where)
    own = {name: {"document_id": name, "uri": f"file:{name}", "title": "T", "format": "md"} for name in TAGGED}
    return {name for name, metadata in TAGGED.items() if matches(parsed, {**metadata, **own[name]})}


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        ({"year": 2024}, {"int", "float"}),
        ({"year": 2024.0}, {"int", "float"}),
        ({"year": "2024"}, {"int", "text"}),
        ({"year": "2024.0"}, {"float"}),
        ({"draft": True}, {"int"}),
        ({"draft": "true"}, {"int", "text"}),
        ({"draft": False}, {"other"}),
        ({"draft": 1}, {"float"}),
        ({"rate": 1e20}, {"float"}),
        ({"rate": "1e+20"}, {"float"}),
        ({"dept": "hr"}, {"int", "text"}),
        ({"dept": "legal"}, {"text"}),
        ({"dept": "hr", "year": "2024"}, {"int", "text"}),
        ({"dept": "legal", "year": 2024}, set()),
        ({"dept": "None"}, set()),
        ({"dept": "null"}, set()),
        ({"missing": "x"}, set()),
        ({"quo'te": "it's"}, {"other"}),
        ({"a.b": "dot"}, {"other"}),
        ({"": "none"}, {"other"}),
        ({"größe": 7}, {"bare"}),
        ({"deep": 1}, set()),
        ({"object": 1}, set()),
        ({"year": "' OR 1=1 --"}, set()),
        ({"x' OR '1'='1": "y"}, set()),
        ({"document_id": "int"}, {"int"}),
        ({"uri": "file:bare"}, {"bare"}),
        ({"uri": "shadowed"}, set()),
        ({"title": "T", "document_id": "text"}, {"text"}),
        ({"year": float("nan")}, set()),
        ({}, ALL),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_the_short_form_means_equal_as_its_types_say(where: dict[str, Any], matching: set[str]) -> None:
    assert passing(where) == matching
    assert passing({key: {"eq": value} for key, value in where.items()}) == matching
    for key, value in where.items():
        assert passing({key: {"ne": value}}) == ALL - passing({key: value})
        assert passing({key: {"in": ["no such", value]}}) == passing({key: value})
        assert passing({key: {"nin": [value]}}) == ALL - passing({key: value})


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        ({"year": {"gt": 2024}}, {"other"}),
        ({"year": {"gte": 2024}}, {"int", "float", "other"}),
        ({"year": {"lt": 2025}}, {"int", "float"}),
        ({"year": {"lte": 2024.5}}, {"int", "float"}),
        ({"year": {"gte": "2024"}}, {"text"}),
        ({"year": {"gt": "2024"}}, set()),
        ({"draft": {"gte": 0}}, {"float"}),
        ({"year": {"gte": float("nan")}}, set()),
        ({"year": {"gt": float("-inf"), "lt": float("inf")}}, {"int", "float", "other"}),
        ({"document_id": {"gte": "o"}}, {"other", "text"}),
        ({"marks": {"gt": 1}}, {"dated"}),
        ({"marks": {"gt": 5}}, set()),
        ({"marks": {"gt": 2, "lt": 4}}, {"dated"}),  # by two members: each operator is judged alone
        ({"missing": {"lt": 9}}, set()),
        ({"deep": {"lt": 9}}, set()),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_a_range_compares_numbers_with_numbers_and_texts_with_texts(where: dict[str, Any], matching: set[str]) -> None:
    assert passing(where) == matching


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ({"sent": {"lt": "2024-03-01T09:00:00Z"}}, True),  # 10:00+02:00 is 08:00 UTC
        ({"sent": {"gt": "2024-03-01T07:59:59.999999Z"}}, True),
        ({"sent": {"gte": "2024-03-01T08:00"}}, True),
        ({"sent": {"lte": "2024-03-01 03:00:00-05:00"}}, True),
        ({"sent": {"gt": "2024-03-01T08:00:00Z"}}, False),
        ({"sent": {"gte": "2024-03-01"}}, True),
        ({"sent": {"lte": "2024-03-01"}}, False),  # a date is its midnight
        ({"day": {"lte": "2024-03-01"}}, True),
        ({"day": {"gte": "2024-03-01T00:00:00Z"}}, True),
        ({"day": {"gte": "2024-03"}}, True),  # no whole date: texts
        ({"day": {"lt": "2024-04"}}, True),
        ({"month": {"lt": "2024-03-01"}}, True),
        ({"day": {"lt": "2024-02-30"}}, False),
        ({"sent": "2024-03-01T08:00:00Z"}, False),  # equal is equal text
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_iso_dates_compare_as_moments(where: dict[str, Any], holds: bool) -> None:
    assert (passing(where) == {"dated"}) is holds


@pytest.mark.parametrize(
    "text", ["2024", "20240301", "2024-3-1", "2024-02-30", "2024-W01-1", "2024-03-01T25:00", "²024-03-01", "", "x"]
)
def test_what_is_no_iso_date_is_no_moment(text: str) -> None:
    assert moment(text) is None


def test_moments_are_counted_in_utc() -> None:
    assert moment("1970-01-01") == moment("1970-01-01T01:00+01:00") == 0
    assert moment("0001-01-01T00:00:00+14:00") is not None
    assert moment("1969-12-31T23:59:59.5Z") == -500_000


@pytest.mark.parametrize(
    ("where", "matching"),
    [
        ({"or": [{"year": 2025}, {"dept": "legal"}]}, {"other", "text"}),
        ({"or": [{"year": 2024}, {"dept": "legal"}], "draft": "true"}, {"int", "text"}),
        ({"and": [{"year": 2024}, {"draft": 1}]}, {"float"}),
        ({"not": {"year": {"exists": True}}}, {"bare", "dated"}),
        ({"not": {"or": [{"year": 2024}, {"year": 2025}]}}, {"text", "bare", "dated"}),
        ({"year": {"gte": 2000, "ne": 2025}}, {"int", "float"}),
        ({"or": []}, set()),
        ({"and": []}, ALL),
        ({"not": {}}, set()),
        ({"year": {"in": []}}, set()),
        ({"year": {"nin": []}}, ALL),
        ({"dept": {"exists": True}}, {"int", "text"}),
        ({"dept": {"exists": False}}, ALL - {"int", "text"}),
        ({"list": {"exists": True}}, set()),
        ({"deep": {"exists": True}}, {"bare"}),
        ({"object": {"exists": True}}, {"bare"}),
        ({"or": "gold"}, {"other"}),  # a metadata key of that name
        ({"and": [{"or": "gold"}]}, {"other"}),
        ({"dept": {"nin": ["legal"]}, "year": {"exists": True}}, {"int", "float", "other"}),
    ],
    ids=lambda value: str(sorted(value)) if isinstance(value, set) else str(value),
)
def test_filters_are_joined(where: dict[str, Any], matching: set[str]) -> None:
    assert passing(where) == matching


def nested(depth: int) -> dict[str, Any]:
    return {"a": 1} if depth == 1 else {"not": nested(depth - 1)}


@pytest.mark.parametrize(
    ("where", "place", "what"),
    [
        ({"a": None}, "where.a:", "exists"),
        ({"a": ["b"]}, "where.a:", "use `in`"),
        ({"a": b"x"}, "where.a:", "no string, number"),
        ({"a": 2**63}, "where.a:", "2\\*\\*63"),
        ({"a": {"b": 1}}, "where.a.b:", "unknown operator 'b'; use eq, ne"),
        ({"a": {}}, "where.a:", "no operator"),
        ({'a"b': "c"}, "where.a", "without double quotes"),
        ({7: "c"}, "where.7:", "a key is text"),
        ({"a\ud800": 1}, "where.a\\\\ud800:", "a key is text"),
        ({"a": "\ud800"}, "where.a:", "no Unicode"),
        ({"k" * (MAX_TEXT + 1): 1}, "where.kkk", "at most"),
        ({"a": {"eq": "x" * (MAX_TEXT + 1)}}, "where.a.eq:", "too long"),
        ({"a": {"in": "hr"}}, "where.a.in:", "no list"),
        ({"a": {"in": [1, [2]]}}, "where.a.in:", "no string"),
        ({"a": {"in": [0] * (MAX_LIST + 1)}}, "where.a.in:", f"at most {MAX_LIST}"),
        ({"a": {"gt": True}}, "where.a.gt:", "no order"),
        ({"a": {"gt": [1]}}, "where.a.gt:", "no string"),
        ({"a": {"exists": 1}}, "where.a.exists:", "true or false"),
        ({"or": {"a": 1}}, "where.or:", "no list"),
        ({"or": [{"a": 1}, {"b": {"gte": None}}]}, "where.or\\[1\\].b.gte:", "no string"),
        ({"and": ["a"]}, "where.and\\[0\\]:", "no filter"),
        ({"not": [{"a": 1}]}, "where.not:", "no filter"),
        (nested(MAX_DEPTH + 1), "where.not.not", "deep"),
        ({"or": [{"a": number} for number in range(MAX_CONDITIONS + 1)]}, "where:", f"limit is {MAX_CONDITIONS}"),
        ([{"a": 1}], "where:", "no filter"),
        ("a=1", "where:", "no filter"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_applied_is_refused_with_its_place_and_what_to_do(where: Any, place: str, what: str) -> None:
    with pytest.raises(UnsupportedFilter, match=f"(?s)^{place}.*{what}") as raised:
        parse(where)
    assert len(str(raised.value).encode()) < 500


def test_what_is_just_within_the_limits_is_not_refused() -> None:
    for where in (
        nested(MAX_DEPTH),
        {"or": [{"a": number} for number in range(MAX_CONDITIONS)]},
        {"a": {"in": list(range(MAX_LIST))}},
        {"k" * MAX_TEXT: "x" * MAX_TEXT, "n": 2**63 - 1},
    ):
        parse(where)


def test_equal_filters_have_one_form_and_different_ones_another() -> None:
    one = {"a": 1, "b": {"in": ["x", "y", "x"]}, "or": [{"c": 1}, {"d": True}]}
    same = json.loads('{"or": [{"d": true}, {"c": 1}, {"d": true}], "b": {"in": ["y", "x"]}, "a": {"eq": 1}}')
    assert repr(parse(one)) == repr(parse(same))
    others = [1, 1.0, True, "1", "true", {"ne": 1}, {"gt": 1}, {"exists": True}, {"in": [1, True]}, {"in": [1, 1.0]}]
    assert len({repr(parse({"a": other})) for other in others}) == len(others)


def test_the_parsed_form_is_small() -> None:
    assert parse({"a": 1}) == Condition("a", Op.IN, (1,))
    assert parse({"a": {"ne": 1}}) == Not(Condition("a", Op.IN, (1,)))
    assert parse({"a": 1, "b": 2}) == And((Condition("a", Op.IN, (1,)), Condition("b", Op.IN, (2,))))
    assert parse({"or": [{"a": 1}]}) == Condition("a", Op.IN, (1,))
    assert parse({"or": []}) == Or(())
    assert keys_of(parse({"a": 1, "or": [{"b": 1}, {"not": {"c": {"gt": 1}}}]})) == {"a", "b", "c"}
