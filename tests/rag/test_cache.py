"""What is kept is kept for people of equal rights, of the newest state, within bounds; on a real home it changes no result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexes.errors import UnsupportedFilter
from indexes.minilm import MiniLM
from rag import Loremill, Principal, retrieve
from rag.answer import Answer
from rag.ask import ask
from rag.cache import Cache, Key, Scope
from rag.retrieve import Retriever, SearchResult

OpenMill = Callable[..., Loremill]
WriteTree = Callable[..., Path]
SCOPE = Scope("halden", "company", frozenset({1, 2}), epoch=3, build="b", release="r")


def key(*arguments: object, scope: Scope = SCOPE) -> Key[str]:
    return Key.of(scope, "test", *arguments)


def filled(cache: Cache, *names: str, chars: int = 1) -> Cache:
    for name in names:
        cache.put(key(name), name, chars=chars)
    return cache


def kept(cache: Cache, names: str) -> str:
    return "".join(name for name in names if cache.get(key(name)) is not None)


# -- keys --------------------------------------------------------------------------------------------------------------


def test_values_that_a_filter_tells_apart_have_keys_of_their_own() -> None:
    values: list[object] = [1, True, 1.0, "1", None, [1], ["1"], {"1": 1}, "true", b"1", ("1", 1)]
    assert len({key({"year": value}) for value in values}) == len(values)


def test_borders_between_arguments_count_and_the_order_of_a_filter_does_not() -> None:
    assert len({key("a", "bc"), key("ab", "c"), key("abc")}) == 3
    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})


@given(st.text(), st.text())
def test_only_the_very_same_query_has_the_same_key(one: str, other: str) -> None:
    assert (key(one) == key(other)) == (one == other)


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "rival"},
        {"collection": "plans"},
        {"classes": frozenset({1})},
        {"classes": frozenset({1, 2, 3})},
        {"epoch": 4},
        {"build": "b2"},
        {"release": "r2"},
    ],
)
def test_whatever_differs_in_the_scope_makes_another_key(change: dict[str, Any]) -> None:
    other = replace(SCOPE, **change)
    assert key("a") != key("a", scope=other)
    assert filled(Cache(), "a").get(key("a", scope=other)) is None


def test_a_key_holds_none_of_the_words_that_were_asked() -> None:
    assert "salary" not in repr(key("What is Ann's salary?"))


# -- bounds ------------------------------------------------------------------------------------------------------------


def test_the_least_recently_used_value_goes_first() -> None:
    cache = filled(Cache(entries=3), *"abc")
    assert cache.get(key("a")) == "a"
    assert kept(filled(cache, "d"), "abcd") == "acd"


def test_characters_are_bounded_too_and_what_exceeds_them_alone_is_not_kept() -> None:
    cache = filled(Cache(chars=10), *"abc", chars=4)
    assert kept(cache, "abc") == "bc"
    assert kept(filled(cache, "d", chars=11), "bcd") == "bc"


def test_a_cache_of_no_entries_keeps_nothing() -> None:
    assert len(filled(Cache(entries=0), *"abc")) == 0


steps = st.lists(
    st.tuples(st.sampled_from(["put", "get", "drop", "forget"]), st.sampled_from("abcdef"), st.integers(0, 12))
)


@given(steps)
def test_bounds_hold_after_every_step_and_what_is_read_is_what_was_put_last(
    taken: list[tuple[str, str, int]],
) -> None:
    cache, last = Cache(entries=3, chars=20), {}
    for number, (step, name, chars) in enumerate(taken):
        if step == "put":
            cache.put(key(name), f"{name}{number}", chars=chars)
            last[name] = f"{name}{number}"
        elif step == "get":
            assert cache.get(key(name)) in (None, last.get(name))
        elif step == "drop":
            cache.drop(key(name))
            assert cache.get(key(name)) is None
        else:
            cache.forget("company")
            assert (len(cache), cache.chars) == (0, 0)
        assert len(cache) <= 3
        assert 0 <= cache.chars <= 20


# -- the newest state alone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("newer", [{"epoch": 4}, {"epoch": 4, "build": "b2", "release": "r2"}])
def test_a_newer_state_drops_what_older_ones_left_as_soon_as_it_is_seen(newer: dict[str, Any]) -> None:
    cache = filled(Cache(), *"abc")
    other = key("x", scope=replace(SCOPE, collection="plans"))
    cache.put(other, "x", chars=1)
    cache.get(key("never put", scope=replace(SCOPE, **newer)))
    assert len(cache) == 1
    assert cache.get(other) == "x"


@pytest.mark.parametrize("other", [{"build": "b2", "release": "r2"}, {"release": "r2"}])
def test_another_release_in_the_same_epoch_shares_nothing_and_drops_nothing(other: dict[str, Any]) -> None:
    cache, candidate = filled(Cache(), *"abc"), replace(SCOPE, **other)
    assert cache.get(key("a", scope=candidate)) is None
    cache.put(key("a", scope=candidate), "theirs", chars=1)
    assert (kept(cache, "a"), cache.get(key("a", scope=candidate)), len(cache)) == ("a", "theirs", 4)


def test_who_still_holds_an_older_epoch_neither_reads_nor_writes_nor_drops_anything() -> None:
    cache = filled(Cache(), "a")
    late = replace(SCOPE, epoch=2)
    cache.put(key("a", scope=late), "late", chars=1)
    assert cache.get(key("a", scope=late)) is None
    assert kept(cache, "a") == "a"


def test_other_rights_at_the_same_epoch_drop_nothing() -> None:
    cache = filled(Cache(), "a")
    cache.put(key("a", scope=replace(SCOPE, classes=frozenset())), "nothing", chars=1)
    assert len(cache) == 2


def test_forgetting_a_collection_leaves_the_others() -> None:
    cache = filled(Cache(), "a", "b")
    cache.put(key("a", scope=replace(SCOPE, collection="plans")), "a", chars=1)
    cache.forget("company")
    assert len(cache) == 1
    cache.put(key("a", scope=replace(SCOPE, epoch=0)), "anew", chars=1)
    assert cache.get(key("a", scope=replace(SCOPE, epoch=0))) == "anew", "a collection may begin anew"


# -- searches on a real home -------------------------------------------------------------------------------------------

ALLOWED = {
    "open": ("everyone",),
    "ann": ("user:ann",),
    "red": ("group:red",),
    "blue": ("group:blue",),
    "red-or-ben": ("group:red", "user:ben"),
    "nobody": (),
}
YEARS: dict[str, object] = {"open": 1, "ann": True, "red": "1", "blue": 1, "red-or-ben": 2, "nobody": 1}


def readable(who: Principal) -> frozenset[str]:
    return frozenset(name for name, allow in ALLOWED.items() if who.names.intersection(allow))


class Spy(Cache):
    """Remembers who asked with which key, and what was put."""

    def __init__(self) -> None:
        super().__init__()
        self.asker = frozenset({"nobody yet"})
        self.askers: dict[Key[Any], set[frozenset[str]]] = {}
        self.put_values: dict[Key[Any], Any] = {}
        self.hits = 0

    def get(self, key: Key[Any]) -> Any:
        self.askers.setdefault(key, set()).add(self.asker)
        value = super().get(key)
        self.hits += value is not None
        return value

    def put(self, key: Key[Any], value: Any, *, chars: int) -> None:
        self.askers.setdefault(key, set()).add(self.asker)
        self.put_values[key] = value
        super().put(key, value, chars=chars)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Iterator[Loremill]:
    """One document for each list of readers, all about the same."""
    root = tmp_path_factory.mktemp("cache")
    rows = [
        {
            "id": name,
            "text": f"The kiln of {name} is hot.",
            "metadata": {"year": YEARS[name]},
            "acl": {"allow": list(allow), "deny": []},
        }
        for name, allow in ALLOWED.items()
    ]
    (root / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with Loremill.open(root / "home") as mill:
        mill.embedder = minilm
        mill.ingest(root / "rows.jsonl", collection="company", tenant="halden")
        yield mill


def retriever_on(mill: Loremill, cache: Cache) -> Retriever:
    rooms = mill._tenant("halden")
    return Retriever(rooms.catalog, rooms.collections, mill.embedder, max_query_chars=1000, cache=cache)


people = st.builds(
    Principal,
    st.just("halden"),
    st.sampled_from(["user:ann", "user:ben", "user:eve"]),
    st.lists(st.sampled_from(["group:red", "group:blue", "group:grey"]), max_size=2, unique=True).map(tuple),
)
wheres = st.sampled_from([None, {}, {"year": 1}, {"year": True}, {"year": "1"}, {"year": 1.0}])
searches = st.fixed_dictionaries(
    {
        "query": st.sampled_from(["hot kiln", "Hot kiln", "hot kiln ", "the kiln of red", "nobody"]),
        "principal": people,
        "mode": st.sampled_from(["dense", "lexical", "hybrid"]),
        "top_k": st.sampled_from([1, 2, 10]),
        "where": wheres,
    }
)


def told(result: SearchResult) -> dict[str, Any]:
    return {name: value for name, value in result.to_json().items() if name != "timings_ms"}


@given(asked=st.lists(searches, min_size=2, max_size=12))
@settings(max_examples=25, deadline=None)
@pytest.mark.slow
def test_whatever_is_asked_people_of_different_rights_share_no_entry_and_all_get_what_they_would_without_a_cache(
    home: Loremill, asked: list[dict[str, Any]]
) -> None:
    spy = Spy()
    cached, plain = retriever_on(home, spy), retriever_on(home, Cache(entries=0))
    for search in asked + asked:
        spy.asker = readable(search["principal"])
        assert told(cached.search(collection="company", **search)) == told(plain.search(collection="company", **search))
    assert all(len(askers) == 1 for askers in spy.askers.values())
    assert spy.hits >= len(asked)
    for key, value in spy.put_values.items():
        if key.kind == "search":
            names = home._tenant("halden").catalog.confirm(
                "company", [chunk_id for chunk_id, _ in value.rows], access=cached.access(EVERYBODY)
            )
            assert {found.chunk.document_id for found in names.values()} <= next(iter(spy.askers[key]))


EVERYBODY = Principal("halden", "user:ann", ("group:red", "group:blue"))


@pytest.mark.parametrize("order", [1, -1])
def test_a_filter_by_one_type_is_not_answered_with_what_another_found(home: Loremill, order: int) -> None:
    retriever = retriever_on(home, Cache())
    expected: list[tuple[object, set[str]]] = [
        (1, {"open", "blue"}),
        (True, {"ann"}),
        ("1", {"open", "red", "blue"}),
        (1.0, {"open", "blue"}),
    ]
    for _ in range(2):
        for year, names in expected[::order]:
            found = retriever.search("kiln", collection="company", principal=EVERYBODY, where={"year": year})
            assert {hit.document_id for hit in found.hits} == names


def test_an_equal_search_is_not_run_again_and_what_is_kept_of_it_is_no_text(
    home: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy, runs = Spy(), []
    original = retrieve.search_rows
    monkeypatch.setattr(retrieve, "search_rows", lambda *args, **options: runs.append(1) or original(*args, **options))
    retriever = retriever_on(home, spy)
    for _ in range(3):
        hits = retriever.search("kiln", collection="company", principal=EVERYBODY).hits
    assert (len(runs), len(hits)) == (1, 5)
    assert "hot" not in repr(spy.put_values.values())


def test_people_of_equal_rights_share_and_others_embed_the_query_anew(
    home: Loremill, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[str] = []
    original = home.embedder.embed_queries
    monkeypatch.setattr(home.embedder, "embed_queries", lambda texts: embedded.extend(texts) or original(texts))
    retriever = retriever_on(home, Cache())
    expected = {"user:eve": 1, "user:dan": 1, "user:ann": 2, "user:ben": 3}
    for subject, times in expected.items():
        retriever.search("whose kiln?", collection="company", principal=Principal("halden", subject))
        assert len(embedded) == times


@pytest.mark.parametrize("where", [{"year": None}, {"year": [1]}, {"year": b"1"}])
def test_a_filter_that_cannot_be_applied_raises_every_time(home: Loremill, where: Mapping[str, Any]) -> None:
    retriever = retriever_on(home, Cache())
    for _ in range(2):
        with pytest.raises(UnsupportedFilter):
            retriever.search("kiln", collection="company", principal=EVERYBODY, where=where)


# -- answers on a real home --------------------------------------------------------------------------------------------


def comparable(answer: Answer) -> dict[str, Any]:
    return {name: value for name, value in answer.to_json().items() if name != "timings_ms"}


@given(
    asked=st.lists(
        st.tuples(st.sampled_from(["Which kiln is hot?", "Is the kiln of red hot?"]), people), min_size=1, max_size=5
    )
)
@settings(max_examples=15, deadline=None)
@pytest.mark.slow
def test_answers_are_those_that_would_be_made_without_a_cache(
    home: Loremill, asked: list[tuple[str, Principal]]
) -> None:
    spy = Spy()
    cached, plain = retriever_on(home, spy), retriever_on(home, Cache(entries=0))
    for question, who in asked + asked:
        spy.asker = readable(who)
        answers = [
            ask(
                question,
                retriever=retriever,
                settings=home.settings,
                collection="company",
                principal=who,
            )
            for retriever in (cached, plain)
        ]
        assert comparable(answers[0]) == comparable(answers[1])
        assert {citation.document_id for citation in answers[0].citations} <= readable(who)
    assert all(len(askers) == 1 for askers in spy.askers.values())
    assert any(key.kind == "extractive answer" for key in spy.put_values)
