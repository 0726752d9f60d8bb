"""/v1/feedback: who asks rates; administrators read all of their tenant, everyone else their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.loremill import Loremill
from rag.remote import RemoteLoremill
from service.http import create_app

DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - {path: budget.md, allow: ['user:alice']}\n",
    "budget.md": "# Marketing budget\n\nThe marketing budget for 2026 is 340,000 euros.\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
}
PEOPLE = {"alice": "halden", "bob": "halden", "ada": "halden", "mia": "rival"}
Call = Callable[..., Any]


@pytest.fixture
def company(open_mill: Callable[..., Loremill], write_tree: Callable[..., Path]) -> Loremill:
    mill = open_mill()
    mill.ingest(write_tree(DOCS), collection="company")
    mill.ingest(write_tree({"x.md": "X."}, "rival"), collection="plans", tenant="rival", allow=["everyone"])
    text = "".join(f"{name}: {{tenant: {tenant}}}\n" for name, tenant in PEOPLE.items())
    mill.directory.import_principals(write_tree({"principals.yaml": text}, "people") / "principals.yaml")
    return mill


@pytest.fixture
def client(company: Loremill) -> Iterator[TestClient]:
    with TestClient(create_app(company), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture
def call(company: Loremill, client: TestClient) -> Call:
    roles = {"ada": "administrator", "mia": "administrator"}
    keys = {name: company.directory.create_key(name, role=roles.get(name, "reader"))[1] for name in PEOPLE}

    def send(who: str, method: str, path: str, **request: Any) -> Any:
        headers = {"Authorization": f"Bearer {keys[who]}", **request.pop("headers", {})}
        return client.request(method, f"/v1/{path}", headers=headers, **request)

    return send


def rated(call: Call, who: str, question: str, rating: str | int, **said: Any) -> Any:
    """Ask, and send the answer back as it came."""
    answer = call(who, "POST", "ask", json={"question": question, "collection": "company"}).json()
    told = {name: answer[name] for name in ("question", "answer", "release", "citations")}
    return call(who, "POST", "feedback", json={**told, "collection": "company", "rating": rating, **said})


def test_an_answer_is_rated_as_it_came_and_read_by_its_rater_and_administrators(call: Call) -> None:
    made = rated(call, "alice", "How long is parental leave?", "down", correction="It is 30 weeks.")
    assert made.status_code == 201, made.text
    assert made.json()["citations"][0]["document_id"] == "leave.md"
    for reader in ("alice", "ada"):
        assert call(reader, "GET", "feedback").json() == {"ratings": [made.json()], "next": None}
    for other in ("bob", "mia"):
        assert call(other, "GET", "feedback").json() == {"ratings": [], "next": None}
    as_alice = call("ada", "GET", "feedback", headers={"X-Loremill-Act-As": "bob"})
    assert as_alice.json()["ratings"] == [], "who asks as somebody else sees what that one sees"


def test_nobody_rates_what_they_may_not_read_and_it_is_as_if_it_were_not_there(call: Call) -> None:
    answer = call("alice", "POST", "ask", json={"question": "What is the marketing budget?", "collection": "company"})
    chunk = answer.json()["citations"][0]["chunk_id"]
    body = {"collection": "company", "question": "q", "release": answer.json()["release"], "rating": 1}
    replies = [
        call(who, "POST", "feedback", json={**body, "citations": [name]})
        for who, name in (("bob", chunk), ("bob", "0" * 32))
    ]
    assert [reply.status_code for reply in replies] == [400, 400]
    assert replies[0].text.replace(chunk, "0" * 32) == replies[1].text
    assert call("alice", "POST", "feedback", json={**body, "citations": [chunk]}).status_code == 201
    assert call("mia", "POST", "feedback", json=body).status_code == 404
    assert call("bob", "POST", "feedback", json={**body, "release": "r0"}).status_code == 404


def test_a_rating_is_deleted_by_its_rater_or_an_administrator_and_by_no_one_else(call: Call) -> None:
    ids = [rated(call, "alice", "How long is leave?", rating).json()["id"] for rating in (1, 5)]
    unknown = call("bob", "DELETE", f"feedback/{'0' * 32}")
    for other in ("bob", "mia"):
        reply = call(other, "DELETE", f"feedback/{ids[0]}")
        assert (reply.status_code, reply.content) == (404, unknown.content)
    assert call("alice", "DELETE", f"feedback/{ids[0]}").status_code == 204
    assert call("ada", "DELETE", f"feedback/{ids[1]}").status_code == 204
    assert call("ada", "GET", "feedback").json()["ratings"] == []


def test_pages_follow_one_another_and_a_made_up_cursor_is_refused(call: Call) -> None:
    ids = [rated(call, "bob", "How long is leave?", "up").json()["id"] for _ in range(3)]
    first = call("ada", "GET", "feedback", params={"limit": 2, "collection": "company"}).json()
    assert [one["id"] for one in first["ratings"]] == ids[:2]
    second = call("ada", "GET", "feedback", params={"limit": 2, "cursor": first["next"]}).json()
    assert ([one["id"] for one in second["ratings"]], second["next"]) == (ids[2:], None)
    assert call("ada", "GET", "feedback", params={"cursor": "made-up"}).status_code == 400
    assert call("alice", "GET", "feedback", params={"cursor": ids[0]}).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [{"rating": 0}, {"rating": "good"}, {"comment": "x" * 4_001}, {"principal": "alice"}, {"question": ""}],
    ids=str,
)
def test_bad_bodies_are_refused(call: Call, changes: dict[str, Any]) -> None:
    body = {"collection": "company", "question": "q", "release": "r0", "rating": "up"} | changes
    assert call("alice", "POST", "feedback", json=body).status_code == 422


def test_the_client_rates_what_it_was_told(company: Loremill, client: TestClient) -> None:
    key = company.directory.create_key("bob")[1]
    remote = RemoteLoremill("http://testserver", token=key)
    client.headers["Authorization"] = f"Bearer {key}"
    remote._client = client
    answer = remote.ask("How long is parental leave?", collection="company")
    made = remote.feedback(answer, collection="company", rating="up", comment="thanks")
    assert (made["rating"], made["comment"], made["answer"]) == ("up", "thanks", answer.answer)
