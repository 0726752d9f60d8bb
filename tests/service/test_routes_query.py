"""POST /v1/search and /v1/ask."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.loremill import Loremill

Headers = Callable[[str], dict[str, str]]


def read_events(text: str) -> list[tuple[str, Any]]:
    """Read server-sent events as (kind, data)."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines())
        if "data" in fields:
            data = fields["data"]
            events.append((fields.get("event", "message"), data if data == "[DONE]" else json.loads(data)))
    return events


def test_search_gives_the_same_hits_as_the_facade(client: TestClient, mill: Loremill, as_: Headers) -> None:
    query = {"query": "marketing budget", "collection": "company", "top_k": 2}
    response = client.post("/v1/search", json=query, headers=as_("alice"))
    assert response.status_code == 200
    expected = mill.search_result(
        "marketing budget", collection="company", principal=mill.directory.resolve("alice"), top_k=2
    )
    body = response.json()
    assert body["hits"] == expected.to_json()["hits"]
    assert "340,000" in body["hits"][0]["text"]
    assert set(body) == {"query", "collection", "principal", "build", "hits", "timings_ms"}


def test_search_shows_a_reader_only_what_he_may_read(client: TestClient, as_: Headers) -> None:
    response = client.post(
        "/v1/search", json={"query": "marketing budget", "collection": "company"}, headers=as_("bob")
    )
    assert "340,000" not in response.text
    assert len(response.json()["hits"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"top_k": 0},
        {"top_k": 1001},
        {"query": ""},
        {"query": None},
        {"mode": "psychic"},
        {"principal": "alice"},
        {"as": "halden/user:root"},
        {"query": "caf\udce9"},
    ],
)
def test_search_refuses_a_bad_body_with_a_problem(client: TestClient, as_: Headers, change: dict[str, Any]) -> None:
    body = json.dumps({"query": "leave", "collection": "company", **change})
    response = client.post("/v1/search", content=body, headers=as_("alice") | {"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"]


def test_a_query_of_100000_characters_is_refused(client: TestClient, as_: Headers) -> None:
    for path, field in (("/v1/search", "query"), ("/v1/ask", "question")):
        response = client.post(path, json={field: "leave " * 17_000, "collection": "company"}, headers=as_("alice"))
        assert response.status_code in {400, 413, 422}
        assert response.headers["content-type"] == "application/problem+json"


def test_another_tenants_collection_is_as_unknown_as_one_that_is_not_there(client: TestClient, as_: Headers) -> None:
    replies = []
    for name in ("plans", "snalp"):
        for path, field in (("/v1/search", "query"), ("/v1/ask", "question")):
            reply = client.post(path, json={field: "factory", "collection": name}, headers=as_("alice"))
            assert reply.status_code == 404
            replies.append(reply.text.replace(name, "NAME"))
    assert len(set(replies)) == 1


def test_ask_answers_with_citations(client: TestClient, as_: Headers) -> None:
    question = {"question": "How long is parental leave?", "collection": "company"}
    body = client.post("/v1/ask", json=question, headers=as_("bob")).json()
    assert not body["abstained"]
    assert "20 weeks" in body["answer"]
    assert body["citations"][0]["document_id"]
    assert "20 weeks" in body["citations"][0]["quote"]


def test_ask_about_something_forbidden_abstains(client: TestClient, as_: Headers) -> None:
    question = {"question": "How large is the marketing budget for 2026?", "collection": "company"}
    response = client.post("/v1/ask", json=question, headers=as_("bob"))
    assert response.status_code == 200
    assert response.json()["abstained"]
    assert "340,000" not in response.text
    assert "340,000" in client.post("/v1/ask", json=question, headers=as_("alice")).json()["answer"]


def test_a_streamed_answer_ends_with_the_answer_that_ask_gives(client: TestClient, as_: Headers) -> None:
    question = {"question": "How long is parental leave?", "collection": "company"}
    whole = client.post("/v1/ask", json=question, headers=as_("bob")).json()
    response = client.post("/v1/ask", json=question | {"stream": True}, headers=as_("bob"))
    assert response.headers["content-type"].startswith("text/event-stream")
    events = read_events(response.text)
    kind, last = events[-1]
    assert kind == "answer"
    assert {name: last[name] for name in whole if name != "timings_ms"} == {
        name: value for name, value in whole.items() if name != "timings_ms"
    }
    assert {kind for kind, _ in events} <= {"passages", "token", "sentence", "answer"}


def test_an_error_before_the_first_event_keeps_its_status(client: TestClient, as_: Headers) -> None:
    question = {"question": "Anything?", "collection": "nowhere", "stream": True}
    response = client.post("/v1/ask", json=question, headers=as_("bob"))
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
