"""`--where`: what people type, and the filter it means."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from indexes.where import matches
from indexes.where_json import parse
from service.where_option import parse_where


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("year=2024", {"year": "2024"}),
        (" year = 2024 ", {"year": "2024"}),
        ("title=a=b>c in d", {"title": "a=b>c in d"}),
        ("title=", {"title": ""}),
        ("or=gold", {"or": "gold"}),
        ("year!=2024", {"year": {"ne": "2024"}}),
        ("wow!key=x", {"wow!key": "x"}),
        ("date>=2024-03-01", {"date": {"gte": "2024-03-01"}}),
        ("year>=2020", {"or": [{"year": {"gte": 2020}}, {"year": {"gte": "2020"}}]}),
        ("year < 2020.5", {"or": [{"year": {"lt": 2020.5}}, {"year": {"lt": "2020.5"}}]}),
        ("n<=-1e3", {"or": [{"n": {"lte": -1000.0}}, {"n": {"lte": "-1e3"}}]}),
        ("n>007", {"n": {"gt": "007"}}),
        ("dept in hr, it", {"dept": {"in": ["hr", "it"]}}),
        ("dept not  in hr,it", {"dept": {"nin": ["hr", "it"]}}),
        ("made in year=2020", {"made in year": "2020"}),
        ("in in in", {"in": {"in": ["in"]}}),
        ('{"a": {"exists": true}, "or": [{"b": 1}]}', {"a": {"exists": True}, "or": [{"b": 1}]}),
        ('  {"a": 1}', {"a": 1}),
    ],
)
def test_a_text_means_a_filter(text: str, meant: dict[str, Any]) -> None:
    assert parse_where([text]) == {"and": [meant]}
    parse({"and": [meant]})


def test_options_are_anded_also_about_one_key() -> None:
    assert parse_where(None) is parse_where([]) is None
    both = parse_where(["tag=a", "tag=b"])
    assert both is not None
    assert matches(parse(both), {"tag": ["a", "b"]})
    assert not matches(parse(both), {"tag": ["b"]})


@pytest.mark.parametrize(
    ("text", "value", "holds"),
    [
        ("year>=2020", 2021, True),
        ("year>=2020", 2019.5, False),
        ("date>=2020", "2021-03-01", True),
        ("date>=2020", "2019-12-31", False),
        ("date<2020-02-01", "2020-01-31T23:00:00Z", True),
        ("draft=true", True, True),
        ("draft!=true", True, False),
        ("draft!=true", None, True),
        ("year in 2020,2021", 2021, True),
        ("year not in 2020,2021", 2021, False),
    ],
)
def test_what_is_typed_meets_values_of_any_type(text: str, value: object, holds: bool) -> None:
    where = parse_where([text])
    assert where is not None
    key = text.replace("!", " ").replace(">", " ").replace("<", " ").replace("=", " ").split()[0]
    assert matches(parse(where), {key: value}) is holds


@pytest.mark.parametrize("text", ["", "title", "=x", ">=3", "in a,b", "{", '{"a": 1} b', "{a: 1}", '{"a":' * 5000])
def test_what_is_no_filter_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match=r"key=value|no JSON object"):
        parse_where([text])
