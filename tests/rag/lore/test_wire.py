"""Memory's values go through JSON and come back the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.lore.items import Action, Decision, Episode, FactDraft, Kind, MemoryItem, Receipt, Role
from rag.lore.wire import from_json, to_json

words = st.text(max_size=10)
times = st.datetimes(timezones=st.just(UTC))
share = st.floats(0, 1)
metadata = st.dictionaries(
    words, st.one_of(words, st.integers(), st.booleans(), st.lists(words, max_size=2)), max_size=3
)
episodes = st.builds(
    Episode, words, words, words, words, times, words, role=st.sampled_from(Role), trust=share, metadata=metadata
)
items = st.builds(
    MemoryItem, words, st.sampled_from(Kind), words, share, words, times, st.none() | times, st.none() | times, share,
    metadata, st.lists(episodes, max_size=2).map(tuple), importance=share, conflicts=st.lists(words).map(tuple),
)  # fmt: skip


@given(items)
def test_an_item_with_its_provenance_survives_json(item: MemoryItem) -> None:
    assert from_json(MemoryItem, json.loads(json.dumps(to_json(item)))) == item


def test_its_fields_are_those_of_the_contract() -> None:
    item = MemoryItem("a", Kind.FACT, "t", 0.5, "user", datetime(2026, 1, 2, tzinfo=UTC), None, None, 1.0, {}, ())
    names = {
        "id",
        "kind",
        "text",
        "score",
        "scope",
        "time",
        "valid_from",
        "valid_to",
        "trust",
        "metadata",
        "provenance",
    }
    assert names <= to_json(item).keys()
    assert (to_json(item)["kind"], to_json(item)["time"]) == ("fact", "2026-01-02T00:00:00+00:00")


def test_a_receipt_and_a_decision_survive_too() -> None:
    receipt = Receipt("r", datetime(2026, 1, 2, tzinfo=UTC), "t", "user:a", "id", {"episode": 1}, ("d",), "s", "h")
    decision = Decision(Action.CLOSE, FactDraft("t", "s", "r", "v", ("e",)), ("f",), receipt.at, "newer")
    for value in (receipt, decision):
        assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


def test_what_a_newer_version_added_is_left_out() -> None:
    data = to_json(Episode("a", "t", "", "", datetime(2026, 1, 2, tzinfo=UTC), "user"))
    assert from_json(Episode, data | {"from_the_future": 1}) == from_json(Episode, data)


@pytest.mark.parametrize("data", [None, [], 7, {}, {"id": "a"}, {"id": "a", "time": "soon"}])
def test_what_is_no_episode_is_an_error(data: object) -> None:
    with pytest.raises((TypeError, ValueError, KeyError)):
        from_json(Episode, data)
