"""/v1/documents: who may see, put and delete."""

from __future__ import annotations

import base64
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.loremill import Loremill

Headers = Callable[[str], dict[str, str]]


def listed(client: TestClient, headers: dict[str, str], **parameters: Any) -> list[dict[str, Any]]:
    response = client.get("/v1/documents", params={"collection": "company", **parameters}, headers=headers)
    assert response.status_code == 200, response.text
    return list(response.json()["documents"])


def path_of(client: TestClient, headers: dict[str, str], title: str) -> str:
    (document,) = [one for one in listed(client, headers) if one["title"] == title]
    return f"/v1/documents/{document['document_id']}"


def put(client: TestClient, headers: dict[str, str], **change: Any) -> Any:
    body = {
        "collection": "notes",
        "document_id": "note-1",
        "text": "The canteen serves soup on Mondays.",
        "acl": {"allow": ["user:alice"]},
    }
    return client.post("/v1/documents", json=body | change, headers=headers)


def test_the_list_holds_what_one_may_read(client: TestClient, as_: Headers) -> None:
    assert {one["title"] for one in listed(client, as_("alice"))} == {
        "Parental leave",
        "Travel policy",
        "Marketing budget",
    }
    assert {one["title"] for one in listed(client, as_("bob"))} == {"Parental leave", "Travel policy"}


def test_pages_follow_each_other_without_gap_or_repetition(client: TestClient, as_: Headers) -> None:
    seen: list[Any] = []
    cursor = None
    for _ in range(3):
        parameters: dict[str, str | int] = {"collection": "company", "limit": 1}
        if cursor:
            parameters["cursor"] = cursor
        body = client.get("/v1/documents", params=parameters, headers=as_("alice")).json()
        seen += body["documents"]
        cursor = body["next"]
    assert cursor is None
    assert seen == listed(client, as_("alice"))


def test_a_made_up_cursor_is_refused(client: TestClient, as_: Headers) -> None:
    for cursor in ("!!", base64.urlsafe_b64encode(b"\xff\xfe").decode()):
        response = client.get("/v1/documents", params={"collection": "company", "cursor": cursor}, headers=as_("alice"))
        assert response.status_code == 400


def test_one_document_is_described(client: TestClient, as_: Headers) -> None:
    body = client.get(
        path_of(client, as_("alice"), "Marketing budget"), params={"collection": "company"}, headers=as_("alice")
    )
    assert body.json()["chunks"] == 1


def test_missing_forbidden_and_foreign_documents_look_the_same(client: TestClient, as_: Headers) -> None:
    """Same status, body and headers (but the request id), by every door and for every reason."""
    budget = path_of(client, as_("alice"), "Marketing budget")
    replies = [
        client.get("/v1/documents/no-such-thing", params={"collection": "company"}, headers=as_("bob")),
        client.get(budget, params={"collection": "company"}, headers=as_("bob")),
        client.get(budget, params={"collection": "company"}, headers=as_("mia")),
        client.get(budget, params={"collection": "plans"}, headers=as_("bob")),
        client.get(budget, params={"collection": "nowhere"}, headers=as_("bob")),
    ]
    seen = {
        (
            reply.status_code,
            reply.text,
            frozenset(set(reply.headers.items()) - {("x-request-id", reply.headers["x-request-id"])}),
        )
        for reply in replies
    }
    assert len(seen) == 1
    assert replies[0].status_code == 404


def test_putting_takes_an_editors_key(client: TestClient, as_: Headers) -> None:
    response = put(client, as_("alice"))
    assert response.status_code == 403
    assert response.json()["type"] == "urn:loremill:error:AccessDenied"


def test_a_reader_cannot_delete_and_learns_nothing_by_trying(client: TestClient, as_: Headers) -> None:
    budget = path_of(client, as_("alice"), "Marketing budget")
    replies = [
        client.delete(path, params={"collection": "company"}, headers=as_("bob"))
        for path in (budget, "/v1/documents/x")
    ]
    assert {reply.status_code for reply in replies} == {403}
    assert len({reply.text for reply in replies}) == 1


def test_a_document_is_put_found_replaced_and_deleted(client: TestClient, as_: Headers) -> None:
    search = {"query": "canteen soup", "collection": "notes"}
    assert put(client, as_("editor")).status_code == 201
    assert "Mondays" in client.post("/v1/search", json=search, headers=as_("alice")).text
    assert "Mondays" not in client.post("/v1/search", json=search, headers=as_("bob")).text
    assert put(client, as_("editor"), text="The canteen serves soup on Fridays.").status_code == 201
    found = client.post("/v1/search", json=search, headers=as_("alice")).text
    assert "Fridays" in found
    assert "Mondays" not in found
    gone = client.delete("/v1/documents/note-1", params={"collection": "notes"}, headers=as_("editor"))
    assert (gone.status_code, gone.content) == (204, b"")
    assert "Fridays" not in client.post("/v1/search", json=search, headers=as_("alice")).text
    again = client.delete("/v1/documents/note-1", params={"collection": "notes"}, headers=as_("editor"))
    assert again.status_code == 404


@pytest.mark.parametrize(
    "change", [{"acl": None}, {"acl": {"allow": "everyone"}}, {"text": ""}, {"principal": "bob"}, {"tenant": "rival"}]
)
def test_a_document_without_acl_or_with_surprises_is_refused(
    client: TestClient, as_: Headers, change: dict[str, Any]
) -> None:
    assert put(client, as_("editor"), **change).status_code == 422


def test_an_acl_name_of_no_kind_is_refused(client: TestClient, as_: Headers) -> None:
    response = put(client, as_("editor"), acl={"allow": ["finance"]})
    assert response.status_code == 400
    assert "group:NAME" in response.json()["detail"]


# -- rights ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def curator(mill: Loremill) -> dict[str, str]:
    return {"Authorization": f"Bearer {mill.directory.create_key('alice', role='curator')[1]}"}


@pytest.fixture(scope="module", autouse=True)
def no_document_stays(mill: Loremill) -> Iterator[None]:
    """Other modules ask the same home."""
    yield
    for collection in set(mill._tenant("halden").catalog.collections()) - {"company"}:
        for name in ("alice", "bob"):
            principal = mill.directory.resolve(name)
            for info in mill.documents(collection=collection, principal=principal):
                mill.delete_document(info.document_id, collection=collection, principal=principal, wait=False)


def change(client: TestClient, headers: dict[str, str], document: str, acl: Any) -> Any:
    return client.patch(
        f"/v1/documents/{document}", params={"collection": "rights"}, json={"acl": acl}, headers=headers
    )


def readers(client: TestClient, as_: Headers, document: str) -> set[str]:
    def status(who: str) -> int:
        place = {"collection": "rights"}
        return client.get(f"/v1/documents/{document}", params=place, headers=as_(who)).status_code

    return {who for who in ("alice", "bob", "mia") if status(who) == 200}


def test_a_curator_changes_rights_for_the_next_request_and_takes_it_back(
    client: TestClient, as_: Headers, curator: dict[str, str]
) -> None:
    put(client, as_("editor"), collection="rights", acl={"allow": ["everyone"]})
    assert readers(client, as_, "note-1") == {"alice", "bob"}
    assert change(client, curator, "note-1", {"allow": ["everyone"], "deny": ["user:bob"]}).status_code == 204
    assert readers(client, as_, "note-1") == {"alice"}
    put(client, as_("editor"), collection="rights", acl={"allow": ["everyone"]})
    assert readers(client, as_, "note-1") == {"alice"}, "an ingestion must not undo it"
    assert change(client, curator, "note-1", None).status_code == 204
    assert readers(client, as_, "note-1") == {"alice", "bob"}


def test_rights_take_a_curator(client: TestClient, as_: Headers) -> None:
    put(client, as_("editor"), collection="rights", acl={"allow": ["everyone"]})
    refusals = [
        change(client, as_(who), name, {"allow": []}) for who in ("alice", "editor") for name in ("note-1", "no")
    ]
    assert {refusal.status_code for refusal in refusals} == {403}
    assert len({refusal.text for refusal in refusals}) == 1
    assert readers(client, as_, "note-1") == {"alice", "bob"}


def test_a_curator_cannot_tell_what_it_may_not_read_from_what_is_not_there(
    client: TestClient, as_: Headers, curator: dict[str, str]
) -> None:
    put(client, as_("editor"), collection="rights", document_id="bobs", acl={"allow": ["user:bob"]})
    answers = [change(client, curator, name, {"allow": ["user:alice"]}) for name in ("bobs", "never")]
    assert {(answer.status_code, answer.text) for answer in answers} == {(404, answers[0].text)}
    assert readers(client, as_, "bobs") == {"bob"}


def test_a_malformed_acl_changes_nothing(client: TestClient, as_: Headers, curator: dict[str, str]) -> None:
    put(client, as_("editor"), collection="rights", acl={"allow": ["everyone"]})
    assert change(client, curator, "note-1", {"allow": ["finance"]}).status_code == 400
    assert change(client, curator, "note-1", {"deny": []}).status_code == 422
    assert readers(client, as_, "note-1") == {"alice", "bob"}


def test_an_editors_report_does_not_tell_that_a_document_was_there(client: TestClient, as_: Headers) -> None:
    secret = {"collection": "rights", "acl": {"allow": ["user:bob"]}}
    first = put(client, as_("editor"), document_id="hidden", **secret).json()["ingest"]
    again = put(client, as_("editor"), document_id="hidden", **secret).json()["ingest"]
    other = put(client, as_("editor"), document_id="hidden", text="Another text.", **secret).json()["ingest"]
    assert first["documents"] == again["documents"] == other["documents"]
    assert first.keys() == again.keys() == other.keys()
    known = {"collection": "rights", "acl": {"allow": ["user:alice"]}}
    put(client, as_("editor"), document_id="open", **known)
    assert put(client, as_("editor"), document_id="open", **known).json()["ingest"]["documents"]["unchanged"] == 1


def test_a_deleted_document_leaves_the_disk_soon_after(client: TestClient, as_: Headers, place: Any) -> None:
    word = "quixotical"
    put(client, as_("editor"), collection="gone", document_id="gone", text=f"Nothing but {word} words.")
    put(client, as_("editor"), collection="gone", document_id="stays")
    assert word.encode() in on_disk(place.home, "gone")
    gone = client.delete("/v1/documents/gone", params={"collection": "gone"}, headers=as_("editor"))
    assert gone.status_code == 204
    found = client.post(
        "/v1/search", json={"collection": "gone", "query": word, "mode": "lexical"}, headers=as_("alice")
    )
    assert found.json()["hits"] == []
    deadline = time.monotonic() + 60
    while word.encode() in on_disk(place.home, "gone") and time.monotonic() < deadline:
        time.sleep(0.2)
    assert word.encode() not in on_disk(place.home, "gone")


def on_disk(home: Path, collection: str) -> bytes:
    """What the catalog stores of a collection's documents."""
    with closing(sqlite3.connect(home / "tenants" / "halden" / "catalog.db")) as db:
        return repr(db.execute("SELECT text FROM documents WHERE collection = ?", [collection]).fetchall()).encode()
