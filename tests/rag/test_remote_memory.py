"""Memory on a server does what memory in the library does, as the token's principal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from indexes.errors import AccessDenied, ConfigError, MemoryNotFound, TooLarge
from indexes.minilm import MiniLM
from rag import Loremill, Principal
from rag.lore.items import Episode, MemoryItem
from rag.remote import RemoteLoremill
from tests.serving import serving

http = pytest.importorskip("service.http", reason="the extra `service` is not installed")

ALICE = Principal("halden", "user:alice")


@dataclass(frozen=True)
class Place:
    """A server, the mill behind it, and clients of it."""

    mill: Loremill
    alice: RemoteLoremill
    bob: RemoteLoremill


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, minilm: MiniLM) -> Iterator[Place]:
    with Loremill.open(tmp_path_factory.mktemp("remote-memory") / "home") as mill:
        mill.embedder = minilm
        keys = [mill.directory.create_key(f"halden/user:{who}")[1] for who in ("alice", "bob")]
        with serving(http.create_app(mill)) as url:
            clients = [Loremill.connect(url, token=key) for key in keys]
            with clients[0], clients[1]:
                yield Place(mill, *clients)


@pytest.fixture
def memory(place: Place) -> Iterator[Any]:
    """Alice's memory on the server; empty again afterwards."""
    yield place.alice.memory
    place.mill.memory.settle()
    place.alice.memory.forget(scope="user")


def test_it_has_the_methods_of_the_library() -> None:
    from rag.memory import Memory
    from rag.remote_memory import RemoteMemory

    doors = {name for name in vars(RemoteMemory) if not name.startswith("_")}
    assert doors >= {"remember", "recall", "get", "list", "update", "history", "restore", "share", "forget"}
    assert doors <= {name for name in vars(Memory) if not name.startswith("_")}


def test_what_comes_back_is_what_the_library_gives(place: Place, memory: Any) -> None:
    when = datetime(2025, 6, 1, 10, tzinfo=UTC)
    one = memory.remember(
        "My desk is by the window.", principal=ALICE, session="s1", speaker="Alice", time=when, metadata={"a": [1]}
    )
    assert one == Episode(one.id, "My desk is by the window.", "Alice", "s1", when, "user", metadata={"a": [1]})
    two = memory.remember([{"role": "assistant", "content": "Noted."}], session="s1")
    assert [episode.text for episode in two] == ["Noted."]
    place.mill.memory.settle()
    assert memory.list() == place.mill.memory.list(principal=ALICE)
    assert memory.list(kinds=["episode"], limit=1, after=one.id)[0].id == two[0].id
    assert memory.list(scopes=[]) == place.mill.memory.list(principal=ALICE, scopes=[]) == []
    assert memory.get(one.id) == place.mill.memory.get(one.id, principal=ALICE)
    found = memory.recall("Where is the desk?", kinds=["episode"], top_k=1)
    assert [type(item) for item in found] == [MemoryItem]
    assert found[0].id == one.id
    assert "desk" in memory.recall("desk", as_prompt=True, max_tokens=300)


def test_a_correction_its_history_and_its_undoing(place: Place, memory: Any) -> None:
    name = memory.remember("The meeting is on Monday.").id
    assert memory.update(name, "The meeting is on Friday.").text == "The meeting is on Friday."
    events = memory.history(name)
    assert events == place.mill.memory.history(name, principal=ALICE)
    assert memory.restore(events[-1].id).text == "The meeting is on Monday."


def test_what_is_forgotten_is_gone(place: Place, memory: Any) -> None:
    name = memory.remember("My locker is number 17.").id
    assert memory.forget(id=name, before=datetime(2000, 1, 1, tzinfo=UTC)).counts == {}
    receipt = memory.forget(id=name)
    assert (receipt.counts["episode"], receipt.by) == (1, "user:alice")
    assert memory.get(name) is None
    assert memory.recall("locker") == []


def test_another_token_has_nothing_of_it(place: Place, memory: Any) -> None:
    mine = memory.remember("My pin is 7788.").id
    other = place.bob.memory
    assert other.recall("pin", principal=ALICE) == other.list(principal=ALICE) == other.history(mine) == []
    assert other.get(mine, principal=ALICE) is None
    for call in (
        lambda name: other.update(name, "It is 1."), lambda name: other.share(name, scope="user"),
        lambda name: other.restore(name),
    ):  # fmt: skip
        told = set()
        for name in (mine, "f" * 32):
            with pytest.raises(MemoryNotFound) as raised:
                call(name)
            told.add(str(raised.value))
        assert len(told) == 1
    assert other.forget(id=mine).counts == {}
    assert memory.get(mine).text == "My pin is 7788."


def test_errors_are_those_of_the_library(memory: Any) -> None:
    for error, call in (
        (ConfigError, lambda: memory.remember(" ")),
        (ConfigError, lambda: memory.remember("Hello there.", scope="planet")),
        (AccessDenied, lambda: memory.remember("Hello there.", scope="tenant")),
        (TooLarge, lambda: memory.remember("x" * 200_000)),
        (ConfigError, lambda: memory.remember("Hello there.", metadata={"a": {1, 2}})),
        (ConfigError, lambda: memory.recall("desk", as_of="soon")),
        (ConfigError, lambda: memory.forget()),
        (ConfigError, lambda: memory.get("")),
    ):
        with pytest.raises(error):
            call()
