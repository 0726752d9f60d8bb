"""/v1/releases: readers see, curators make and move, administrators force; and the same through the client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from indexes.errors import AccessDenied, PromotionRefused, ReleaseNotFound
from indexes.vocabulary import Principal
from rag.loremill import Loremill
from rag.remote import RemoteLoremill
from service.http import create_app

ROLES = ("reader", "editor", "curator", "administrator")
DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: own.md, allow: ['user:eve']}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
    "own.md": "# Budget\n\nThe budget is 340,000 euros.\n",
}
PEOPLE = "alice: {tenant: halden}\nmia: {tenant: rival}\n"
Call = Callable[..., Any]


@pytest.fixture
def company(open_mill: Callable[..., Loremill], write_tree: Callable[..., Path]) -> Loremill:
    mill = open_mill()
    mill.ingest(write_tree(DOCS), collection="company")
    mill.ingest(write_tree({"x.md": "X."}, "rival"), collection="plans", tenant="rival", allow=["everyone"])
    mill.directory.import_principals(write_tree({"principals.yaml": PEOPLE}, "people") / "principals.yaml")
    return mill


@pytest.fixture
def client(company: Loremill) -> Iterator[TestClient]:
    with TestClient(create_app(company), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def keys(company: Loremill) -> dict[str, str]:
    made = {role: company.directory.create_key("alice", role=role)[1] for role in ROLES}
    return made | {"rival": company.directory.create_key("mia", role="administrator")[1]}


@pytest.fixture
def call(client: TestClient, keys: dict[str, str]) -> Call:
    def send(role: str, method: str, path: str, **request: Any) -> Any:
        return client.request(method, f"/v1/{path}", headers={"Authorization": f"Bearer {keys[role]}"}, **request)

    return send


def create(call: Call, role: str = "curator", **body: Any) -> Any:
    return call(role, "POST", "releases", json={"collection": "company", "retrieval": {"passages": 3}} | body)


def record(mill: Loremill, candidate: str) -> None:
    live = mill.release("live", collection="company").id
    gate = {"verdict": "PASS", "candidate": candidate, "baseline": live, "dataset": "d@1", "gates": "g", "report": "r"}
    mill.record_gate("company", gate | {"created": datetime.now(UTC).isoformat()})


def test_who_may_do_what(call: Call, company: Loremill) -> None:
    made = create(call).json()["id"]
    requests: dict[str, tuple[str, str, dict[str, Any]]] = {
        "create": ("POST", "releases", {"collection": "company"}),
        "search": ("POST", "search", {"query": "leave", "collection": "company", "release": made}),
        "ask": ("POST", "ask", {"question": "leave?", "collection": "company", "release": made}),
        "promote": ("POST", f"releases/{made}/promote", {"collection": "company"}),
        "rollback": ("POST", "releases/rollback", {"collection": "company", "reason": "test"}),
        "force": ("POST", f"releases/{made}/promote", {"collection": "company", "force": True, "reason": "test"}),
    }
    wanted = dict.fromkeys(requests, "curator") | {"force": "administrator"}
    for name, (method, path, body) in requests.items():
        for role in ROLES:
            allowed = ROLES.index(role) >= ROLES.index(wanted[name])
            status = call(role, method, path, json=body).status_code
            assert (status != 403) == allowed, (name, role, status)
    for role in ROLES:
        assert call(role, "GET", "releases", params={"collection": "company"}).status_code == 200
        assert call(role, "GET", f"releases/{made}", params={"collection": "company"}).json()["id"] == made


def test_a_candidate_is_asked_under_the_rights_of_who_asks(call: Call) -> None:
    made = create(call, index={"chunk_tokens": 24}).json()
    body = {"query": "budget euros leave", "collection": "company", "release": made["id"]}
    found = call("administrator", "POST", "search", json=body).json()
    assert found["build"] == made["build"]
    assert [hit["document_id"] for hit in found["hits"]] == ["leave.md"]


def test_a_promotion_needs_a_gate_and_is_undone_by_a_rollback(call: Call, company: Loremill) -> None:
    made = create(call).json()["id"]
    refused = call("curator", "POST", f"releases/{made}/promote", json={"collection": "company"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:loremill:error:PromotionRefused")
    record(company, made)
    moved = call("curator", "POST", f"releases/{made}/promote", json={"collection": "company"}).json()
    assert (moved["release"], moved["by"], moved["gate"]["dataset"]) == (made, "user:alice", "d@1")
    back = call("curator", "POST", "releases/rollback", json={"collection": "company", "reason": "worse"}).json()
    assert back["release"] == moved["previous"]
    history = call("curator", "GET", "releases/history", params={"collection": "company"}).json()["history"]
    assert [one["kind"] for one in history] == ["rollback", "promote", "ingest"]


def test_another_tenants_collection_is_as_if_it_were_not(call: Call) -> None:
    made = create(call).json()["id"]
    for collection in ("company", "nowhere"):
        answers = [
            call("rival", "GET", f"releases/{made}", params={"collection": collection}),
            call("rival", "POST", "releases", json={"collection": collection}),
            call("rival", "POST", f"releases/{made}/promote", json={"collection": collection}),
            call("rival", "POST", "search", json={"query": "x", "collection": collection, "release": made}),
        ]
        assert [answer.status_code for answer in answers] == [404] * 4
    assert (
        call("rival", "POST", "search", json={"query": "x", "collection": "plans", "release": made}).status_code == 404
    )


@pytest.mark.parametrize(
    "body",
    [
        {"index": {"embedder": "/etc"}},
        {"retrieval": {"rerank": "some/model"}},
        {"retrieval": {"rerank": [1]}},
        {"retrieval": {"passages": "many"}},
        {"retrieval": {"passages": True}},
        {"index": {"chunk_tokens": {"a": 1}}},
        {"generator": "gguf", "generation": {"model": "/etc/passwd"}},
    ],
)
def test_no_model_is_loaded_from_where_a_request_says(call: Call, body: dict[str, Any]) -> None:
    answer = call("administrator", "POST", "releases", json={"collection": "company", **body})
    assert answer.status_code == 400, answer.text


def test_the_client_does_the_same(company: Loremill, client: TestClient, keys: dict[str, str]) -> None:
    alice = Principal("halden", "user:alice")

    def remote(role: str) -> RemoteLoremill:
        made = RemoteLoremill("http://testserver", token=keys[role])
        client.headers["Authorization"] = f"Bearer {keys[role]}"
        made._client = client
        return made

    made = remote("curator").create_release("company", retrieval={"passages": 3})
    hits = remote("curator").search("leave", collection="company", release=made["id"])
    found = company.search("leave", collection="company", principal=alice, release=made["id"])
    assert [hit.chunk_id for hit in hits] == [hit.chunk_id for hit in found]
    assert remote("curator").ask("How long is leave?", collection="company", release=made["id"]).release == made["id"]
    with pytest.raises(PromotionRefused, match="no gate record"):
        remote("curator").promote(made["id"], collection="company")
    with pytest.raises(AccessDenied):
        remote("curator").promote(made["id"], collection="company", force=True, reason="test")
    with pytest.raises(ReleaseNotFound):
        remote("curator").search("leave", collection="company", release="r0")
    assert remote("administrator").promote(made["id"], collection="company", force=True, reason="t")["kind"] == "force"
    assert [one["live"] for one in remote("reader").releases("company")] == [True, False]
    assert remote("curator").rollback(collection="company", reason="test")["kind"] == "rollback"
