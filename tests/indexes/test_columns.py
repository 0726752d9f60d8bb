"""Columns: the fast way to filter says what the plain way says, at any moment."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.columns import KEYS_KEPT, Columns
from indexes.where import Filter, matches
from indexes.where_json import parse

NUMBERS = st.sampled_from([0, 1, 2, -1, 1.0, 0.5, -0.0, 1e20, 10**20, 2**53, 2**53 + 1, float(2**53), float("inf")])
TEXTS = st.sampled_from([
    "", "a", "b", "B", "1", "1.0", "true", "false", "null", "007", "1e+20", "é", "\U0001f600", "2024-03-01", "2024-03",
    "2024-03-01T00:00:00Z", "2024-03-01T01:00:00+02:00", "2024-02-30", "Infinity", "-1", "\ud800",
])  # fmt: skip
SCALARS = NUMBERS | TEXTS | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False)
STORED = SCALARS | st.none() | st.lists(SCALARS | st.none() | st.just([1]), max_size=3) | st.just({"a": 1})
KEYS = st.sampled_from(["a", "b", "never"])
OPERANDS = st.one_of(SCALARS, st.just(float("nan"))).filter(
    lambda one: one != "\ud800" and (not isinstance(one, int) or abs(one) < 2**63)
)
QUESTIONS = st.one_of(
    OPERANDS,
    st.dictionaries(st.sampled_from(["eq", "ne"]), OPERANDS, min_size=1),
    st.dictionaries(st.sampled_from(["in", "nin"]), st.lists(OPERANDS, max_size=3), min_size=1),
    st.dictionaries(
        st.sampled_from(["gt", "gte", "lt", "lte"]), OPERANDS.filter(lambda one: not isinstance(one, bool)), min_size=1
    ),
    st.builds(lambda there: {"exists": there}, st.booleans()),
)
WHERES = st.recursive(
    st.dictionaries(KEYS, QUESTIONS, max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"or": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda parts: {"and": parts}, st.lists(inner, max_size=3)),
        st.builds(lambda part: {"not": part}, inner),
    ),
    max_leaves=5,
)
DOCUMENTS = st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), STORED), min_size=1, max_size=8)


class Shelf:
    """A catalog as columns see it: documents, each with the epoch of its last change."""

    def __init__(self, documents: dict[str, dict[str, Any]]) -> None:
        self.documents = {name: (1, metadata) for name, metadata in documents.items()}
        self.reads: list[tuple[list[str], int | None]] = []

    def values(self, keys: Sequence[str], since: int | None) -> Iterator[tuple[str, list[Any]]]:
        self.reads.append((list(keys), since))
        for name, (epoch, metadata) in self.documents.items():
            if since is None or epoch > since:
                stored = json.loads(json.dumps(metadata))
                yield name, [stored.get(key) for key in keys]

    def change(self, name: str, epoch: int, **metadata: Any) -> None:
        self.documents[name] = epoch, metadata

    def passing(self, where: Filter) -> set[str]:
        return {name for name, (_, metadata) in self.documents.items() if matches(where, metadata)}


def columns_of(names: Sequence[str]) -> Columns:
    return Columns({name: place for place, name in enumerate(names)})


def passing(columns: Columns, names: Sequence[str], shelf: Shelf, where: Filter, epoch: int = 1) -> set[str]:
    return {names[place] for place in np.flatnonzero(columns.matching(where, shelf.values, epoch=epoch))}


@given(documents=DOCUMENTS, where=WHERES)
@settings(max_examples=400, deadline=None)
def test_columns_pass_what_the_filter_means(documents: list[dict[str, Any]], where: dict[str, Any]) -> None:
    names = [f"d{number}" for number in range(len(documents))]
    shelf, parsed = Shelf(dict(zip(names, documents, strict=True))), parse(where)
    assert passing(columns_of(names), names, shelf, parsed) == shelf.passing(parsed)


@given(
    documents=DOCUMENTS,
    where=WHERES,
    changes=st.lists(st.tuples(st.integers(0, 9), st.dictionaries(st.just("a"), STORED)), max_size=4),
)
@settings(max_examples=200, deadline=None)
def test_after_any_changes_columns_say_what_new_ones_would_also_in_another_build(
    documents: list[dict[str, Any]], where: dict[str, Any], changes: list[tuple[int, dict[str, Any]]]
) -> None:
    names = [f"d{number}" for number in range(len(documents))]
    shelf, parsed = Shelf(dict(zip(names, documents, strict=True))), parse(where)
    columns = columns_of(names)
    passing(columns, names, shelf, parsed)
    for epoch, (number, metadata) in enumerate(changes, start=2):
        shelf.change(f"d{number}", epoch, **metadata)  # some are documents that this build does not have
        assert passing(columns, names, shelf, parsed, epoch) == shelf.passing(parsed) & set(names)
    later = sorted(shelf.documents, reverse=True)[:-1]
    moved = columns.onto({name: place for place, name in enumerate(later)})
    assert passing(moved, later, shelf, parsed, len(changes) + 1) == shelf.passing(parsed) & set(later)


def test_a_key_is_read_once_and_then_only_what_changed() -> None:
    shelf = Shelf({"x": {"a": 1, "b": 2}, "y": {"a": 2}})
    columns = columns_of(["x", "y"])
    for where in ({"a": 1, "b": 2}, {"a": {"gt": 0}}, {"or": [{"b": 1}]}):
        columns.matching(parse(where), shelf.values, epoch=1)
    assert [(sorted(keys), since) for keys, since in shelf.reads] == [(["a", "b"], None)]
    shelf.change("y", 5, a=1)
    columns.matching(parse({"c": 1}), shelf.values, epoch=4)
    assert passing(columns, ["x", "y"], shelf, parse({"a": 1, "c": {"exists": False}}), 5) == {"x", "y"}
    assert shelf.reads[1] == (["c"], None)
    assert sorted(shelf.reads[2:]) == [(["a"], 1), (["c"], 4)]
    columns.matching(parse({"a": 1}), shelf.values, epoch=3)  # of a thread that looked before
    assert len(shelf.reads) == 4


def test_what_was_changed_or_deleted_is_not_kept() -> None:
    shelf = Shelf({"x": {"a": "secret"}, "y": {"a": ["secret two", "b"]}})
    columns = columns_of(["x", "y"])
    columns.matching(parse({"a": "b"}), shelf.values, epoch=1)
    shelf.change("x", 2, a="new")
    shelf.change("y", 2)
    columns.matching(parse({"a": "b"}), shelf.values, epoch=2)
    [(_, column)] = columns._columns.values()
    assert list(column._texts) == ["new"]


def test_columns_go_when_there_are_many_those_not_asked_for_longest_first() -> None:
    shelf = Shelf({"x": {"k0": 1, "k1": 1}})
    columns = columns_of(["x"])
    for number in range(KEYS_KEPT):
        columns.matching(parse({f"k{number}": 1}), shelf.values, epoch=1)
    columns.matching(parse({"k0": 1}), shelf.values, epoch=1)
    columns.matching(parse({"one more": 1}), shelf.values, epoch=1)
    before = len(shelf.reads)
    assert passing(columns, ["x"], shelf, parse({"k0": 1})) == {"x"}
    assert len(shelf.reads) == before
    assert passing(columns, ["x"], shelf, parse({"k1": 1})) == {"x"}
    assert len(shelf.reads) == before + 1
    many = parse({f"m{number}": {"exists": False} for number in range(KEYS_KEPT + 9)})
    assert passing(columns, ["x"], shelf, many) == {"x"}


def test_many_threads_read_a_key_once() -> None:
    shelf = Shelf({f"d{number}": {"a": number} for number in range(2000)})
    names = list(shelf.documents)
    columns = columns_of(names)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: passing(columns, names, shelf, parse({"a": {"lt": 10}})), range(16)))
    assert all(one == {f"d{number}" for number in range(10)} for one in found)
    assert len(shelf.reads) == 1


def test_values_take_few_bytes_and_lists_some_more() -> None:
    shelf = Shelf({f"d{number}": {"dept": f"{number % 5}", "tags": ["a", "b"]} for number in range(1000)})
    columns = columns_of(list(shelf.documents))
    columns.matching(parse({"dept": "1"}), shelf.values, epoch=1)
    assert columns.nbytes == 1000
    columns.matching(parse({"tags": "a"}), shelf.values, epoch=1)
    assert columns.nbytes == 1000 + 1000 + 9000


def test_no_documents_is_no_special_case() -> None:
    shelf = Shelf({})
    assert columns_of([]).matching(parse({"a": {"ne": 1}}), shelf.values, epoch=1).tolist() == []
