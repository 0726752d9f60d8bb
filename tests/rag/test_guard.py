"""A guard names what was lost since it last looked, and looks at passages only after a change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from indexes.errors import AccessDenied
from rag import Acl, Loremill, Principal
from rag.guard import Guard

BOB = Principal("halden", "user:bob")
CAROL = Principal("halden", "user:carol")
WriteTree = Callable[..., Path]


@pytest.fixture
def mill(mill: Loremill) -> Loremill:
    for name in ("one", "two"):
        put(mill, name, "user:bob", "user:carol")
    return mill


def put(mill: Loremill, name: str, *allow: str) -> None:
    mill.put_document(
        collection="company", principal=BOB, document_id=name, text=f"The kiln of {name} is hot.", acl=Acl(allow)
    )


def chunk_ids(mill: Loremill, principal: Principal = BOB) -> dict[str, str]:
    hits = mill.search("kiln", collection="company", principal=principal)
    return {hit.document_id: hit.chunk_id for hit in hits}


def test_what_is_taken_away_is_lost_at_the_next_look_and_for_nobody_else(mill: Loremill) -> None:
    retriever, shown = mill._tenant("halden").retriever, chunk_ids(mill)
    bobs, carols = Guard(retriever, "company", BOB), Guard(retriever, "company", CAROL)
    assert bobs.lost(shown.values()) == set()
    put(mill, "one", "user:carol")
    assert bobs.lost(shown.values()) == {shown["one"]}
    assert carols.lost(shown.values()) == set()
    mill.delete_document("two", collection="company", principal=BOB)
    assert carols.lost(shown.values()) == {shown["two"]}


def test_passages_are_looked_at_only_after_a_change(mill: Loremill, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever, shown = mill._tenant("halden").retriever, chunk_ids(mill)
    looks: list[int] = []
    original = retriever.confirm
    monkeypatch.setattr(retriever, "confirm", lambda *args, **options: looks.append(1) or original(*args, **options))
    guard = Guard(retriever, "company", BOB)
    for _ in range(3):
        guard.lost(shown.values())
    assert looks == []
    put(mill, "three", "user:bob")
    for _ in range(3):
        assert guard.lost(shown.values()) == set()
    assert looks == [1]


def test_a_right_that_comes_back_before_the_next_look_was_never_lost(mill: Loremill) -> None:
    retriever, shown = mill._tenant("halden").retriever, chunk_ids(mill)
    guard = Guard(retriever, "company", BOB)
    put(mill, "one", "user:carol")
    put(mill, "one", "user:bob")
    assert guard.lost(shown.values()) == set()


def test_membership_is_looked_up_anew_each_time(mill: Loremill, monkeypatch: pytest.MonkeyPatch) -> None:
    retriever, shown = mill._tenant("halden").retriever, chunk_ids(mill)
    guard = Guard(retriever, "company", BOB)
    original = retriever.access
    monkeypatch.setattr(
        retriever, "access", lambda principal, **options: original(Principal("halden", "user:eve"), **options)
    )
    assert guard.lost(shown.values()) == set(shown.values())


def test_a_stranger_gets_no_guard_and_learns_of_no_collection(mill: Loremill) -> None:
    for collection in ("company", "nowhere"):
        with pytest.raises(AccessDenied):
            Guard(mill._tenant("halden").retriever, collection, Principal("rival", "user:bob"))
