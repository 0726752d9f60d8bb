"""LangGraph's store contract over memory, against LangGraph's own store; and an agent that remembers across two runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from indexes.errors import AccessDenied, ConfigError, TooLarge
from indexes.minilm import MiniLM
from rag import Loremill, Principal
from rag.lore.consolidate import Policy

pytest.importorskip("langgraph", reason="the extra `langchain` is not installed")

from langgraph.store.base import GetOp, InvalidNamespaceError, PutOp, SearchOp
from langgraph.store.memory import InMemoryStore

from rag.langgraph import LoremillStore

ALICE = Principal("halden", "user:alice", ("group:ops",))
BOB = Principal("halden", "user:bob")
CARL = Principal("halden", "user:carl", ("group:ops",))


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Iterator[Loremill]:
    with Loremill.open(tmp_path_factory.mktemp("langgraph") / "home") as opened:
        opened.embedder = minilm
        yield opened


@pytest.fixture
def store(mill: Loremill) -> Iterator[LoremillStore]:
    yield LoremillStore(mill, principal=ALICE)
    for scope in ("user", "team:ops"):
        mill.memory.forget(principal=ALICE, scope=scope)


def test_a_value_comes_back_as_it_was_put_and_keeps_its_first_time(store: LoremillStore) -> None:
    value = {"text": "Likes pizza.", "tags": ["food", "cheese"], "nested": {"n": 1.5, "none": None, "yes": True}}
    store.put(("prefs", "food"), "pizza", value)
    before = store.get(("prefs", "food"), "pizza")
    assert before is not None
    assert (before.value, before.key, before.namespace) == (value, "pizza", ("prefs", "food"))
    store.put(("prefs", "food"), "pizza", {"text": "Likes pasta."})
    after = store.get(("prefs", "food"), "pizza")
    assert after is not None
    assert (after.value, after.created_at) == ({"text": "Likes pasta."}, before.created_at)
    assert after.updated_at > before.updated_at
    assert len(store.search(("prefs",))) == 1


def test_a_place_is_a_namespace_and_a_key(store: LoremillStore) -> None:
    for namespace, key in ((("a", "b"), "k"), (("a",), "k"), (("a",), "b.k"), (("a", "b"), "K")):
        store.put(namespace, key, {"at": f"{namespace} {key}"})
    for namespace, key in ((("a", "b"), "k"), (("a",), "k"), (("a",), "b.k"), (("a", "b"), "K")):
        found = store.get(namespace, key)
        assert found is not None
        assert found.value == {"at": f"{namespace} {key}"}
    assert store.get(("a", "b", "c"), "k") is None
    assert store.get(("b",), "k") is None


def test_what_is_deleted_is_forgotten_for_good(store: LoremillStore, mill: Loremill) -> None:
    store.put(("notes",), "locker", {"text": "The locker is number 17."})
    store.delete(("notes",), "locker")
    store.delete(("notes",), "locker")
    assert store.get(("notes",), "locker") is None
    assert store.search(("notes",), query="locker") == []
    assert mill.memory.recall("locker", principal=ALICE) == []


def test_search_ranks_by_meaning_within_the_prefix(store: LoremillStore) -> None:
    store.put(("memo", "a"), "1", {"text": "The cat sleeps on the warm oven."})
    store.put(("memo", "b"), "2", {"text": "Invoices are paid within thirty days."})
    store.put(("memory",), "3", {"text": "A kitten naps by the stove."})
    found = store.search(("memo",), query="Where does the cat sleep?")
    assert [one.key for one in found] == ["1", "2"]
    assert found[0].score > found[1].score
    assert {one.key for one in store.search((), query="cat")} == {"1", "2", "3"}
    assert store.search(("me",), query="cat") == []


def test_filters_and_pages(store: LoremillStore) -> None:
    for number in range(6):
        store.put(("n",), str(number), {"text": f"Note {number} is about kilns.", "n": number, "odd": number % 2 == 1})
    assert [one.key for one in store.search(("n",), filter={"odd": True})] == ["1", "3", "5"]
    assert [one.key for one in store.search(("n",), filter={"n": {"$gte": 2, "$lt": 5}}, limit=2, offset=1)] == [
        "3",
        "4",
    ]
    assert {one.key for one in store.search(("n",), query="kilns", filter={"n": {"$ne": 0}}, limit=99)} == set("12345")
    with pytest.raises(ConfigError, match=r"\$near"):
        store.search(("n",), filter={"n": {"$near": 1}})


def test_what_is_not_to_be_searched_is_still_kept(store: LoremillStore) -> None:
    store.put(("n",), "hidden", {"text": "The kiln is red."}, index=False)
    store.put(("n",), "title", {"title": "About kilns", "body": "Weather"}, index=["title"])
    assert [one.key for one in store.search(("n",), query="kiln")] == ["title"]
    assert {one.key for one in store.search(("n",))} == {"hidden", "title"}


def test_the_principals_scope_holds_and_a_team_shares_its_namespaces(store: LoremillStore, mill: Loremill) -> None:
    store.put(("prefs",), "food", {"text": "Alice likes pizza."})
    store.put(("team:ops", "runbook"), "restart", {"text": "Restart the kiln at night."})
    bob, carl = LoremillStore(mill, principal=BOB), LoremillStore(mill, principal=CARL)
    for other in (bob, carl):
        assert other.get(("prefs",), "food") is None
        assert other.search(("prefs",), query="pizza") == other.search(("prefs",)) == []
    shared = carl.get(("team:ops", "runbook"), "restart")
    assert shared is not None
    assert carl.list_namespaces() == [("team:ops", "runbook")]
    assert bob.get(("team:ops", "runbook"), "restart") is None
    assert bob.list_namespaces() == bob.search(()) == []
    with pytest.raises(AccessDenied):
        bob.put(("team:ops", "runbook"), "restart", {"text": "Never."})
    bob.delete(("prefs",), "food")
    assert store.get(("prefs",), "food") is not None


def test_other_memories_are_no_values(store: LoremillStore, mill: Loremill) -> None:
    mill.memory.remember("I like pizza.", principal=ALICE, metadata={"store_key": "food"})
    mill.memory.settle()
    assert store.search((), query="pizza") == store.search(()) == store.list_namespaces() == []


def test_values_are_recalled_by_memorys_other_doors_and_derive_nothing(store: LoremillStore, mill: Loremill) -> None:
    store.put(("prefs",), "food", {"text": "I live in Lisbon and I like pizza."})
    mill.memory.settle()
    assert [one.text for one in mill.memory.recall("pizza", principal=ALICE)] == ["I live in Lisbon and I like pizza."]


def test_consolidation_leaves_values_alone(store: LoremillStore, mill: Loremill) -> None:
    store.put(("n",), "1", {"text": "The kiln is red."})
    store.put(("n",), "2", {"text": "The kiln is red."})
    store.put(
        ("n",), "3", {"text": " ".join(f"Kiln {number} was fired at {900 + number} degrees." for number in range(9))}
    )
    before = store.search(())
    mill.memory.consolidate(principal=ALICE, policy=Policy(summarise_after=timedelta(microseconds=1)))
    assert store.search(()) == before
    assert {one.key for one in store.search((), query="kiln")} == {"1", "2", "3"}


def test_what_cannot_be_kept_is_refused(store: LoremillStore, mill: Loremill) -> None:
    with pytest.raises(InvalidNamespaceError):
        store.batch([PutOp(("a.b",), "k", {"a": 1})])
    with pytest.raises(ConfigError):
        store.put(("a",), "k", {"a": {1, 2}})
    with pytest.raises(TooLarge):
        store.put(("a",), "k", {"a": "x" * 200_000})
    with pytest.raises(ConfigError, match="no session"):
        LoremillStore(mill, principal=ALICE, scope="session")
    with pytest.raises(NotImplementedError):
        store.put(("a",), "k", {"a": 1}, ttl=5)
    assert store.search(()) == []


def test_a_batch_reads_what_was_there_before_it_and_its_last_put_counts(store: LoremillStore) -> None:
    store.put(("a",), "k", {"n": 1})
    ops = [PutOp(("a",), "k", {"n": 2}), GetOp(("a",), "k"), PutOp(("a",), "k", {"n": 3}), SearchOp(("a",))]
    results: list[Any] = asyncio.run(store.abatch(ops))
    assert (results[0], results[1].value, results[2], results[3][0].value) == (None, {"n": 1}, None, {"n": 1})
    again = asyncio.run(store.aget(("a",), "k"))
    assert again is not None
    assert again.value == {"n": 3}


labels = st.sampled_from("ab")
namespaces = st.lists(labels, min_size=1, max_size=3).map(tuple)
changes = st.lists(
    st.tuples(namespaces, st.sampled_from("xy"), st.none() | st.fixed_dictionaries({"n": st.integers(0, 3)})),
    min_size=1, max_size=8,
)  # fmt: skip
paths = st.lists(st.sampled_from(["a", "b", "*"]), max_size=2).map(tuple)


@settings(
    max_examples=10, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(puts=changes, prefix=paths, suffix=paths, depth=st.none() | st.integers(1, 2), wanted=st.integers(0, 3))
def test_it_agrees_with_langgraphs_own_store(
    mill: Loremill, puts: Any, prefix: Any, suffix: Any, depth: int | None, wanted: int
) -> None:
    mine, theirs = LoremillStore(mill, principal=ALICE), InMemoryStore()
    mill.memory.forget(principal=ALICE, scope="user")
    for namespace, key, value in puts:
        for one in (mine, theirs):
            one.put(namespace, key, value)
    for namespace, key, _ in puts:
        values = [one.get(namespace, key) for one in (mine, theirs)]
        assert len({None if one is None else one.value["n"] for one in values}) == 1
    start = tuple(label for label in prefix if label != "*")
    for asked in ({}, {"filter": {"n": wanted}}, {"filter": {"n": {"$gt": wanted}}}):
        found = [
            {(one.namespace, one.key) for one in store.search(start, limit=99, **asked)} for store in (mine, theirs)
        ]
        assert found[0] == found[1]
    fresh = InMemoryStore()  # the other one also lists namespaces that it has emptied
    for item in theirs.search((), limit=99):
        fresh.put(item.namespace, item.key, item.value)
    listed = [store.list_namespaces(prefix=prefix, suffix=suffix, max_depth=depth) for store in (mine, fresh)]
    assert listed[0] == listed[1]


class Turn(TypedDict):
    """An agent's state."""

    said: str
    answer: str


def agent(store: LoremillStore) -> Any:
    """A LangGraph agent with a scripted model: it notes what it is told, and answers questions from its notes."""
    from langchain_core.language_models import GenericFakeChatModel
    from langchain_core.messages import AIMessage
    from langgraph.graph import END, START, StateGraph
    from langgraph.runtime import Runtime

    def act(state: Turn, runtime: Runtime[Any]) -> dict[str, str]:
        notes: Any = runtime.store
        if not state["said"].endswith("?"):
            model = GenericFakeChatModel(messages=iter([AIMessage(f"note: {state['said']}")]))
            noted = str(model.invoke(state["said"]).content).removeprefix("note: ")
            notes.put(("notes", "alice"), str(len(notes.search(("notes",)))), {"text": noted})
            return {"answer": "Noted."}
        found = notes.search(("notes", "alice"), query=state["said"], limit=1)
        known = found[0].value["text"] if found else "I do not know."
        model = GenericFakeChatModel(messages=iter([AIMessage(known)]))
        return {"answer": str(model.invoke(state["said"]).content)}

    graph = StateGraph(Turn)
    graph.add_node("act", act)
    graph.add_edge(START, "act")
    graph.add_edge("act", END)
    return graph.compile(store=store)


def test_an_agent_remembers_in_its_second_run_what_it_was_told_in_its_first(tmp_path: Path, minilm: MiniLM) -> None:
    def run(said: str, principal: Principal = ALICE) -> str:
        with Loremill.open(tmp_path / "home") as opened:
            opened.embedder = minilm
            answer = agent(LoremillStore(opened, principal=principal)).invoke({"said": said, "answer": ""})["answer"]
            return str(answer)

    assert run("My dog is called Fritz.") == "Noted."
    assert run("The kiln is fired on Tuesdays.") == "Noted."
    assert run("What is the name of my dog?") == "My dog is called Fritz."
    assert run("When is the kiln fired?") == "The kiln is fired on Tuesdays."
    assert run("What is the name of my dog?", BOB) == "I do not know."
