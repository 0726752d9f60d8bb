"""The facade writes down who saw which chunk by which rule, before it leaves; and no word of any text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexes.audit import AuditLog
from indexes.errors import AccessDenied, CollectionNotFound, IndexBackendError
from rag import Acl, Loremill, Principal
from rag.auditing import Caller, caller
from rag.tenant import tenant_folder
from tests.conftest import OpenMill, WriteTree

ALICE = Principal("halden", "user:alice", ("group:finance",))
BOB = Principal("halden", "user:bob")
PLACE: dict[str, Any] = {"collection": "company"}
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: 'finance/**', allow: [group:finance]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "finance/budget.md": "# Budget\n\nThe marketing budget is 340,000 euros.\n",
}


@pytest.fixture
def mill(open_mill: OpenMill, write_tree: WriteTree) -> Loremill:
    opened = open_mill()
    opened.ingest(write_tree(DOCS), **PLACE)
    return opened


def log_of(mill: Loremill, tenant: str = "halden") -> AuditLog:
    return AuditLog.of(tenant_folder(mill.home, tenant), mill.settings)


def events(mill: Loremill, kind: str | None = None) -> list[dict[str, Any]]:
    return list(log_of(mill).read(kind=kind))


def seen(event: dict[str, Any]) -> dict[str, list[str]]:
    return {chunk["document_id"]: chunk["by"] for chunk in event["chunks"]}


def test_a_search_names_each_chunk_and_the_names_that_let_it_out(mill: Loremill) -> None:
    result = mill.search_result("marketing budget", principal=ALICE, **PLACE)
    (event,) = events(mill, "search")
    assert (event["subject"], event["collection"], event["via"]) == ("user:alice", "company", "library")
    assert (event["build"], event["release"]) == (result.build, result.release)
    assert [chunk["chunk_id"] for chunk in event["chunks"]] == [hit.chunk_id for hit in result.hits]
    assert seen(event) == {"finance/budget.md": ["group:finance"], "leave.md": ["everyone"]}


def test_an_answer_names_what_it_cites(mill: Loremill) -> None:
    mill.ask("How long is parental leave?", principal=BOB, **PLACE)
    mill.ask("How long is parental leave?", principal=BOB, **PLACE)  # a kept one is seen again
    assert [seen(event) for event in events(mill, "ask")] == [{"leave.md": ["everyone"]}] * 2


def test_a_stream_is_written_down_before_the_sentence_leaves(mill: Loremill) -> None:
    for event in mill.ask_stream("How long is parental leave?", principal=BOB, **PLACE):
        written = [seen(one) for one in events(mill, "ask")]
        assert written == ([{"leave.md": ["everyone"]}] if event.kind in {"sentence", "answer"} else []), event.kind


def test_an_abstention_is_an_event_without_chunks_streamed_or_not(mill: Loremill) -> None:
    mill.ask("What is the capital of Peru?", principal=BOB, **PLACE)
    list(mill.ask_stream("What is the capital of Peru?", principal=BOB, **PLACE))
    assert [event["chunks"] for event in events(mill, "ask")] == [[], []]


def test_listings_descriptions_and_surroundings_are_written_down_too(mill: Loremill) -> None:
    mill.documents(principal=BOB, **PLACE)
    mill.document("leave.md", principal=BOB, **PLACE)
    (hit,) = mill.search("parental leave", principal=BOB, mode="lexical", **PLACE)
    mill.around(hit.chunk_id, principal=BOB, **PLACE)
    assert events(mill, "listing")[0]["detail"] == {"document_ids": ["leave.md"]}
    assert events(mill, "document")[0]["detail"] == {"document_id": "leave.md"}
    assert seen(events(mill, "around")[0]) == {"leave.md": ["everyone"]}


def test_what_is_forbidden_and_what_is_not_there_are_written_down_alike(mill: Loremill) -> None:
    for name in ("finance/budget.md", "never/was.md"):
        assert mill.document(name, principal=BOB, **PLACE) is None
    forbidden, missing = events(mill, "denied")
    assert {**forbidden["detail"], "document_id": ""} == {**missing["detail"], "document_id": ""}


def test_a_deactivated_principal_is_refused_and_that_is_written_down(mill: Loremill, tmp_path: Path) -> None:
    roster = tmp_path / "principals.yaml"
    roster.write_text("eve: {tenant: halden}\n")
    mill.directory.import_principals(roster)
    eve = mill.directory.resolve("eve")
    mill.directory.deactivate("eve")
    asks: list[Callable[[], object]] = [
        lambda: mill.search("leave", principal=eve, **PLACE),
        lambda: mill.ask("How long is parental leave?", principal=eve, **PLACE),
        lambda: list(mill.ask_stream("How long is parental leave?", principal=eve, **PLACE)),
        lambda: mill.documents(principal=eve, **PLACE),
        lambda: mill.around("0" * 32, principal=eve, **PLACE),
    ]
    for ask in asks:
        with pytest.raises(AccessDenied):
            ask()
    assert [event["subject"] for event in events(mill, "denied")] == ["user:eve"] * len(asks)


def test_changes_of_documents_rights_directory_and_keys_are_written_down(mill: Loremill, tmp_path: Path) -> None:
    text = "# Canteen\n\nThe canteen serves soup on Mondays.\n"
    mill.put_document(document_id="note", text=text, acl=Acl(("everyone",)), principal=ALICE, **PLACE)
    change = mill.set_acl(path="finance/**", allow=["user:ingrid"], **PLACE)
    mill.unset_acl(change.rule.rule_id, **PLACE)
    mill.change_acl("leave.md", allow=["user:bob"], principal=ALICE, **PLACE)
    mill.delete_document("note", principal=ALICE, **PLACE)
    roster = tmp_path / "principals.yaml"
    roster.write_text("alice: {tenant: halden}\n")
    mill.directory.import_principals(roster)
    mill.directory.add_member("finance", "user:alice", "halden")
    mill.directory.remove_member("finance", "user:alice", "halden")
    key_id, _ = mill.directory.create_key("alice")
    mill.directory.revoke_key(key_id)
    told = [(event["kind"], event["subject"]) for event in events(mill) if event["kind"] not in {"document", "ingest"}]
    assert told == [
        ("document.put", "user:alice"),
        ("rights", "operator"),
        ("rights", "operator"),
        ("rights", "user:alice"),
        ("document.delete", "user:alice"),
        ("directory", "operator"),
        ("directory", "operator"),
        ("directory", "operator"),
        ("key", "operator"),
        ("key", "operator"),
    ]
    assert events(mill, "rights")[0]["detail"]["path"] == "finance/**"
    assert [event["detail"]["documents"]["added"] for event in events(mill, "ingest")] == [2, 1]


def test_no_record_holds_text_or_question_unless_questions_are_asked_for(mill: Loremill, open_mill: OpenMill) -> None:
    def ask_everything(mill: Loremill) -> str:
        mill.search("marketing budget", principal=ALICE, **PLACE)
        mill.ask("What is the marketing budget?", principal=ALICE, **PLACE)
        list(mill.ask_stream("What is the marketing budget?", principal=ALICE, **PLACE))
        return json.dumps(events(mill))

    silent = ask_everything(mill)
    assert "marketing" not in silent
    assert "340,000" not in silent
    assert "What is the marketing budget?" in ask_everything(open_mill(audit_queries=True))


def test_who_really_asks_is_told_with_how_the_call_came_in(mill: Loremill) -> None:
    before = caller.set(Caller("key:abc", "user:admin"))
    mill.search("leave", principal=BOB, **PLACE)
    caller.reset(before)
    (event,) = events(mill, "search")
    assert (event["subject"], event["actor"], event["via"]) == ("user:bob", "user:admin", "key:abc")


def test_each_tenant_has_a_log_of_its_own(mill: Loremill) -> None:
    mia = Principal("rival", "user:mia")
    mill.put_document(document_id="n", text="Plans.", acl=Acl(("everyone",)), collection="plans", principal=mia)
    with pytest.raises(CollectionNotFound):
        mill.search("leave", principal=mia, **PLACE)
    assert {event["subject"] for event in log_of(mill, "rival").read()} == {"operator", "user:mia"}
    assert "user:mia" not in {event["subject"] for event in events(mill)}


def test_what_cannot_be_written_down_does_not_leave(mill: Loremill, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> int:
        raise IndexBackendError("the disk is full")

    monkeypatch.setattr(AuditLog, "append", full)
    with pytest.raises(IndexBackendError):
        mill.search("leave", principal=BOB, **PLACE)


def test_without_the_setting_there_is_no_log(open_mill: OpenMill, write_tree: WriteTree) -> None:
    mill = open_mill(audit=False)
    mill.ingest(write_tree(DOCS), **PLACE)
    assert mill.search("leave", principal=BOB, **PLACE)
    assert not list(mill.home.rglob("audit"))


def test_the_log_of_all_this_verifies(mill: Loremill) -> None:
    mill.search("leave", principal=BOB, **PLACE)
    assert log_of(mill).verify().ok
