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
    assert set(body) == {"query", "collection", "principal", "build", "hits", "timings_ms", "plan"}


def test_only_an_administrator_in_its_own_name_is_told_how_vectors_were_searched(
    client: TestClient, mill: Loremill, as_: Headers
) -> None:
    def plan(headers: dict[str, str], mode: str = "dense") -> Any:
        body = {"query": "marketing budget", "collection": "company", "mode": mode}
        return client.post("/v1/search", json=body, headers=headers).json()["plan"]

    whole = {"name": "exact", "readable": 2, "scanned": 2}
    secrets = {role: mill.directory.create_key("bob", role=role)[1] for role in ("editor", "curator", "administrator")}
    keys = {role: {"Authorization": f"Bearer {secret}"} for role, secret in secrets.items()}
    for _ in range(2):
        assert plan(as_("bob")) == plan(keys["editor"]) == plan(keys["curator"]) == {"readable": 2}
        assert plan(keys["administrator"]) == whole
        assert plan(keys["administrator"] | {"X-Loremill-Act-As": "alice"}) == {"readable": 3}
        assert plan(keys["administrator"], "lexical") is None


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
        {"where": "year=2024"},
        {"where": [{"year": 2024}]},
    ],
)
def test_search_refuses_a_bad_body_with_a_problem(client: TestClient, as_: Headers, change: dict[str, Any]) -> None:
    body = json.dumps({"query": "leave", "collection": "company", **change})
    response = client.post("/v1/search", content=body, headers=as_("alice") | {"Content-Type": "application/json"})
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"title": "Parental leave"}, {"leave.md"}),
        ({"title": {"gte": "Q"}}, {"travel.md"}),
        ({"or": [{"title": {"lt": "Q"}}, {"document_id": {"in": ["nothing"]}}]}, {"leave.md"}),
        ({"document_id": {"in": ["finance/budget.md", "leave.md"]}}, {"leave.md"}),
        ({"not": {"title": "Parental leave"}}, {"travel.md"}),
        ({"document_id": {"gte": "finance", "lt": "g"}}, set()),
    ],
    ids=str,
)
def test_a_search_takes_a_filter_and_finds_of_the_readable_what_passes(
    client: TestClient, as_: Headers, where: dict[str, Any], found: set[str]
) -> None:
    body = {"query": "policy", "collection": "company", "where": where}
    response = client.post("/v1/search", json=body, headers=as_("bob"))
    assert response.status_code == 200
    assert {hit["document_id"] for hit in response.json()["hits"]} == found


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ({"year": {"near": 2020}}, "where.year.near: unknown operator 'near'; use eq, ne, in"),
        ({"or": [{"a": 1}, {"b": {"gt": True}}]}, "where.or[1].b.gt: booleans have no order"),
        ({"year": None}, "where.year: None"),
        ({"a\ud800": 1}, "where.a\\ud800: no key"),
        ({"a": "x" * 1001}, "where.a: a text that is too long"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_filter_that_cannot_be_applied_is_a_400_that_names_its_place(
    client: TestClient, as_: Headers, where: dict[str, Any], says: str
) -> None:
    content = json.dumps({"query": "leave", "collection": "company", "where": where})
    response = client.post("/v1/search", content=content, headers=as_("bob") | {"Content-Type": "application/json"})
    assert response.status_code == 400
    problem = response.json()
    assert problem["type"] == "urn:loremill:error:UnsupportedFilter"
    assert problem["detail"].startswith(says)


def test_a_filter_about_what_is_forbidden_is_answered_as_one_about_nothing(client: TestClient, as_: Headers) -> None:
    def asked(where: dict[str, Any]) -> tuple[int, Any]:
        response = client.post(
            "/v1/search", json={"query": "budget", "collection": "company", "where": where}, headers=as_("bob")
        )
        return response.status_code, response.json()["hits"]

    for hidden, never in (("finance/budget.md", "finance/never.md"), ("Marketing budget", "Nothing like it")):
        key = "document_id" if hidden.endswith(".md") else "title"
        for op in ("eq", "gte"):
            wheres = [{key: {op: name, "lte": name}} for name in (hidden, never)]
            assert asked(wheres[0]) == asked(wheres[1]) == (200, [])
            assert asked({"or": [wheres[0], {"title": "Travel policy"}]}) == asked({"title": "Travel policy"})


def test_openapi_shows_the_operators_and_their_limits(client: TestClient) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert set(schemas["Operators"]["properties"]) == {"eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "exists"}
    assert schemas["Operators"]["properties"]["in"]["maxItems"] == 1000
    assert not any("default" in one for name in ("Operators", "Filter") for one in schemas[name]["properties"].values())
    assert set(schemas["Filter"]["properties"]) == {"and", "or", "not"}
    assert schemas["Filter"]["properties"]["or"]["items"] == {"$ref": "#/components/schemas/Filter"}
    [where, nothing] = schemas["SearchRequest"]["properties"]["where"]["anyOf"]
    assert where["$ref"] == "#/components/schemas/Filter"
    assert "100 conditions" in where["description"]
    assert nothing == {"type": "null"}


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
