"""Memory and ratings of an erased subject are in no file any more; what others said stays and is found."""

from __future__ import annotations

from typing import Any

import pytest

from indexes.vocabulary import Acl, Principal
from rag.loremill import Loremill
from tests.catalogs import sqlite_only
from tests.conftest import OpenMill

ALICE = Principal("t", "user:alice", ("group:ops",))
BOB = Principal("t", "user:bob", ("group:ops",))
LEAVE = "Parental leave is 20 weeks for every employee of Halden, whatever the contract says."


@pytest.fixture
def mill(open_mill: OpenMill) -> Loremill:
    opened = open_mill(audit_queries=True)
    opened.put_document(
        collection="c",
        principal=BOB,
        document_id="leave.md",
        text=LEAVE,
        acl=Acl(("everyone",)),
        title="Parental leave",
    )
    return opened


def raw(mill: Loremill) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(mill.home.rglob("*")) if path.is_file())


def left(mill: Loremill, *strings: str) -> list[str]:
    content = raw(mill).lower()
    return [one for one in strings if one.lower().encode() in content]


def recalled(mill: Loremill, query: str, principal: Principal) -> set[str]:
    return {item.text for item in mill.memory.recall(query, principal=principal)}


def test_what_a_subject_remembered_goes_with_its_facts_versions_copies_and_history(mill: Loremill) -> None:
    memory = mill.memory
    said = memory.remember("My favourite colour is zinnober4711.", principal=ALICE)
    memory.remember("I live in Quixelburg9931.", principal=ALICE, session="s1")
    changed = memory.remember("The gate code is kumquat5512.", principal=ALICE)
    memory.update(changed.id, "The gate code is durian6613.", principal=ALICE)
    memory.share(said.id, principal=ALICE, scope="team:ops")
    memory.remember("Our printer is called marzipan8842.", principal=ALICE, scope="team:ops")
    memory.remember("Our plotter is called nougat7751.", principal=BOB, scope="team:ops")
    memory.remember("My favourite colour is petrol1234.", principal=BOB)
    assert memory.settle(30)
    memory.recall("where is Quixelburg9931?", principal=ALICE)
    done = mill.erase(subject="user:alice")
    gone = ("zinnober4711", "Quixelburg9931", "kumquat5512", "durian6613", "marzipan8842")
    assert left(mill, *gone) == []
    assert done.found == ()
    assert done.receipt.counts["memory_episodes"] >= 5
    assert memory.list(principal=ALICE) == memory.list(principal=ALICE, scopes=["team:ops"])
    assert recalled(mill, "plotter", BOB) >= {"Our plotter is called nougat7751."}
    assert not any("marzipan" in text or "zinnober" in text for text in recalled(mill, "printer colour", BOB))
    assert mill.verify_erasure(done.file).ok
    again = mill.erase(subject="user:alice")
    assert not any(again.receipt.counts.values())


def test_what_somebody_else_said_in_the_same_words_stays(mill: Loremill) -> None:
    words = "The delivery from Norsea comes on the second Tuesday of each month."
    for who in (ALICE, BOB):
        mill.memory.remember(words, principal=who)
    assert mill.memory.settle(30)
    done = mill.erase(subject="user:alice")
    assert done.found == ()
    assert words in recalled(mill, "delivery", BOB)
    assert words not in recalled(mill, "delivery", ALICE)
    assert mill.verify_erasure(done.file).ok


def rate(mill: Loremill, principal: Principal, **said: Any) -> None:
    answer = mill.ask("How long is parental leave?", collection="c", principal=principal)
    mill.feedback(answer, collection="c", principal=principal, rating="down", **said)


def test_a_subjects_ratings_go_and_others_stay(mill: Loremill) -> None:
    rate(mill, ALICE, comment="for zinnober4711 it is less", correction="ask Quixelburg9931")
    rate(mill, BOB, comment="fine, says nougat7751")
    done = mill.erase(subject="user:alice")
    assert done.receipt.counts["ratings"] == 1
    assert left(mill, "zinnober4711", "Quixelburg9931") == []
    assert [one.comment for one in mill.ratings(principal=BOB)] == ["fine, says nougat7751"]
    assert mill.verify_erasure(done.file).ok


@sqlite_only
def test_ratings_of_answers_from_an_erased_document_go_with_it(mill: Loremill) -> None:
    mill.put_document(
        collection="c", principal=BOB, document_id="other.md", text="Lunch is at noon.", acl=Acl(("everyone",))
    )
    rate(mill, BOB)
    assert left(mill, "20 weeks for every employee") != []
    done = mill.erase(document="leave.md")
    assert done.receipt.counts["ratings"] == 1
    assert done.found == ()
    assert left(mill, "20 weeks for every employee") == []


def test_ratings_that_name_a_document_as_the_right_one_go_with_it_in_its_collection_alone(mill: Loremill) -> None:
    for collection in ("c", "d"):
        mill.put_document(
            collection=collection, principal=BOB, document_id="x.md", text="Lunch is at noon.", acl=Acl(("everyone",))
        )
        told = mill.ask("When is lunch?", collection=collection, principal=BOB).to_json() | {"citations": []}
        mill.feedback(told, collection=collection, principal=BOB, rating="down", correct_document_ids=["x.md"])
    assert mill.erase(document="x.md", collection="c").receipt.counts["ratings"] == 1
    assert [one.collection for one in mill.ratings(principal=BOB)] == ["d"]


@sqlite_only
def test_what_an_agent_has_forgotten_is_in_no_file_and_its_receipt_verifies(mill: Loremill) -> None:
    mill.memory.remember("My locker's word is Zanzibarquokka17.", principal=ALICE)
    mill.memory.remember("I like tea.", principal=ALICE)
    mill.memory.settle()
    assert left(mill, "Zanzibarquokka17") != []
    receipt = mill.memory.forget(principal=ALICE, query="Zanzibarquokka17")
    assert left(mill, "Zanzibarquokka17") == []
    assert mill.verify_erasure(receipt.id).ok


LOCKER = "My locker at the north gate opens with the word Zanzibarquokka17."


def test_a_receipt_of_forget_holds_though_others_have_the_same_words(mill: Loremill) -> None:
    """Who said them too, a document that quotes them, and whoever said them again since."""
    mill.memory.remember(LOCKER, principal=BOB)
    mill.put_document(
        collection="c", principal=BOB, document_id="q.md", text=f"It says: {LOCKER}", acl=Acl(("everyone",))
    )
    mill.memory.remember(LOCKER, principal=ALICE)
    mill.memory.settle()
    receipt = mill.memory.forget(principal=ALICE, query="Zanzibarquokka17")
    assert mill.verify_erasure(receipt.id).ok
    for principal in (BOB, ALICE):
        mill.memory.remember(LOCKER, principal=principal)
    assert mill.verify_erasure(receipt.id).ok


@sqlite_only
def test_a_receipt_of_forget_does_not_hold_where_the_words_are_in_a_file_that_nobody_keeps(mill: Loremill) -> None:
    mill.memory.remember(LOCKER, principal=ALICE)
    receipt = mill.memory.forget(principal=ALICE, query="Zanzibarquokka17")
    (mill.home / "debug.log").write_text(f"stored {LOCKER}")
    verdict = mill.verify_erasure(receipt.id)
    assert verdict.scan is not None
    assert {each.file for each in verdict.scan.found} == {"debug.log"}


def test_a_receipt_of_forget_does_not_hold_where_a_row_is_there_again(mill: Loremill) -> None:
    """A backup was put back, say: the very row that was forgotten tells itself from one that says the same."""
    from sqlalchemy import insert, select

    from indexes.tables import memory_items

    catalog = mill._tenant("t").catalog
    mill.memory.remember(LOCKER, principal=BOB)
    said = mill.memory.remember(LOCKER, principal=ALICE)
    with catalog.read() as db:
        row = db.execute(select(memory_items).where(memory_items.c.id == said.id)).one()._asdict()
    receipt = mill.memory.forget(principal=ALICE, id=said.id)
    assert mill.verify_erasure(receipt.id).ok
    with catalog.write() as db:
        db.execute(insert(memory_items), row)
    verdict = mill.verify_erasure(receipt.id)
    assert verdict.scan is not None
    assert [(each.file, each.where) for each in verdict.scan.found] == [("catalog", "table memory_items")]
