"""`--where` on the command line: small texts for what people type, JSON for the rest.

    year=2024   year!=2024   year>=2020   year<2020   'dept in hr,it'   'dept not in hr,it'   '{"or": [{"year": 2024}, {"lang": "en"}]}'

The first sign in the text divides it; without a sign, ` in ` or ` not in ` does. A shell gives no types: `=` and `in` mean what a value
looks like in JSON, and a range is one of texts or, where the value is a number, one of numbers or texts, whichever a document has.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import typer

_SIGNS = {"=": "eq", "!=": "ne", ">=": "gte", "<=": "lte", ">": "gt", "<": "lt"}
_COMPARISON = re.compile(r"(?P<key>[^=<>!]*(?:!(?!=)[^=<>!]*)*)(?P<sign>!=|>=|<=|=|>|<)(?P<value>.*)", re.DOTALL)
_LIST = re.compile(r"(?P<key>.*?)\s+(?P<no>not\s+)?in\s+(?P<values>.*)", re.DOTALL)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)


def parse_where(options: Sequence[str] | None) -> Mapping[str, Any] | None:
    """Return the filter of all options together, None where there are none."""
    filters = [_filter(option.strip()) for option in options or ()]
    return {"and": filters} if filters else None


def _filter(text: str) -> Mapping[str, Any]:
    if text.startswith("{"):
        return _json(text)
    if (found := _COMPARISON.fullmatch(text)) and (key := found["key"].strip()):
        return _comparison(key, _SIGNS[found["sign"]], found["value"].strip())
    if (found := _LIST.fullmatch(text)) and (key := found["key"].strip()):
        values = [value.strip() for value in found["values"].split(",") if value.strip()]
        return {key: {"nin" if found["no"] else "in": values}}
    raise typer.BadParameter(f"{text!r} must look like key=value, key>=value, 'key in a,b' or a JSON object")


def _comparison(key: str, name: str, value: str) -> Mapping[str, Any]:
    if name == "eq":
        return {key: value}  # the short form: also for keys called and, or, not
    text = {key: {name: value}}
    if name == "ne" or not _NUMBER.fullmatch(value):
        return text
    return {"or": [{key: {name: json.loads(value)}}, text]}


def _json(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{text[:60]!r} is no JSON object: {error}") from None
    return dict(found)
