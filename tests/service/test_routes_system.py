"""What operators watch, and releases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fastapi.testclient import TestClient

from rag.loremill import Loremill
from service.http import create_app

Headers = Callable[[str], dict[str, str]]


def test_releases_are_those_of_collections_one_may_read(client: TestClient, as_: Headers) -> None:
    for who, expected in (("bob", {"company"}), ("mia", {"plans"})):
        found = client.get("/v1/releases", headers=as_(who)).json()["releases"]
        assert {one["collection"] for one in found} == expected
        assert [one["live"] for one in found] == [True]
    foreign = client.get("/v1/releases", params={"collection": "plans"}, headers=as_("bob"))
    missing = client.get("/v1/releases", params={"collection": "snalp"}, headers=as_("bob"))
    assert (foreign.status_code, foreign.text) == (missing.status_code, missing.text.replace("snalp", "plans"))


def test_live_and_ready_need_no_key(client: TestClient) -> None:
    assert client.get("/livez").text == "ok"
    assert client.get("/readyz").text == "ok"


def test_a_home_that_cannot_be_read_is_alive_but_not_ready(tmp_path: Path) -> None:
    (tmp_path / "directory.db").write_bytes(b"this is no database" * 100)
    with Loremill.open(tmp_path) as mill, TestClient(create_app(mill)) as client:
        assert client.get("/livez").status_code == 200
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.headers["content-type"] == "application/problem+json"
        assert str(tmp_path) not in response.text


def test_metrics_count_requests_hits_and_answers_and_name_nobody(mill: Loremill, as_: Headers) -> None:
    with TestClient(create_app(mill)) as client:
        client.post("/v1/search", json={"query": "leave", "collection": "company"}, headers=as_("bob"))
        client.post("/v1/search", json={"query": "leave", "collection": "company"})
        client.post(
            "/v1/ask", json={"question": "How long is parental leave?", "collection": "company"}, headers=as_("bob")
        )
        client.post(
            "/v1/ask",
            json={"question": "Who won the cup?", "collection": "company", "stream": True},
            headers=as_("bob"),
        )
        client.get("/v1/documents/secret-name", params={"collection": "company"}, headers=as_("bob"))
        client.get("/some/made-up/path")
        text = client.get("/metrics").text
    assert 'loremill_http_requests_total{method="POST",route="/v1/search",status="200"} 1.0' in text
    assert 'loremill_http_requests_total{method="GET",route="/v1/documents/{document_id}",status="404"} 1.0' in text
    assert 'loremill_http_requests_total{method="GET",route="unmatched",status="404"} 1.0' in text
    assert 'route="unmatched",status="401"} 1.0' in text
    assert "loremill_search_hits_count 1.0" in text
    assert 'loremill_answers_total{outcome="answered"} 1.0' in text
    assert 'loremill_answers_total{outcome="abstained"} 1.0' in text
    for private in ("bob", "halden", "company", "secret-name", "made-up", "leave"):
        assert private not in text


def test_openapi_declares_the_key_and_the_problems(client: TestClient) -> None:
    schema = client.get("/openapi.json").json()
    assert schema["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert "Problem" in schema["components"]["schemas"]
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            if path.startswith("/v1/"):
                assert operation["security"], (method, path)
                for status in ("401", "413", "422", "500"):
                    assert "application/problem+json" in operation["responses"][status]["content"], (method, path)
