"""What every request meets before its route."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from fastapi.testclient import TestClient

from indexes.directory import Directory
from rag.loremill import Loremill
from service.http import DOCUMENT_BYTES, QUERY_BYTES, create_app

Headers = Callable[[str], dict[str, str]]
SEARCH = {"query": "leave", "collection": "company"}


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer lm_0_wrong", "Basic YTpi", "bearer", "Token x", "Bearer \xff"]
)
def test_no_key_or_a_wrong_one_is_a_401_problem(client: TestClient, value: str) -> None:
    response = client.post("/v1/search", json=SEARCH, headers={b"Authorization": value.encode("latin-1")})
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_every_refused_key_gets_the_same_answer(client: TestClient, mill: Loremill) -> None:
    key_id, secret = mill.directory.create_key("alice")
    mill.directory.revoke_key(key_id)
    wrong = f"lm_{key_id}_{'x' * 43}"
    replies = [
        client.post("/v1/search", json=SEARCH, headers={"Authorization": f"Bearer {key}"})
        for key in (secret, wrong, "x")
    ]
    assert len({(reply.status_code, reply.text) for reply in replies}) == 1


def test_the_key_is_checked_before_the_body_and_on_unknown_paths(client: TestClient) -> None:
    assert client.post("/v1/search", content=b"{", headers={"Content-Type": "application/json"}).status_code == 401
    assert client.get("/v1/no-such-route").status_code == 401


def test_every_route_under_v1_asks_for_a_key(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    asked = [(method, path) for path, methods in paths.items() for method in methods if path.startswith("/v1/")]
    assert len(asked) >= 8
    for method, path in asked:
        assert client.request(method, path).status_code == 401, (method, path)


def test_a_revoked_key_stops_at_the_next_request(client: TestClient, mill: Loremill) -> None:
    key_id, secret = mill.directory.create_key("bob")
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.post("/v1/search", json=SEARCH, headers=headers).status_code == 200
    mill.directory.revoke_key(key_id)
    assert client.post("/v1/search", json=SEARCH, headers=headers).status_code == 401


def test_a_request_id_comes_back_if_it_is_sane_and_is_made_otherwise(client: TestClient) -> None:
    assert client.get("/livez", headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for insane in ("x" * 101, "a b", ""):
        made = client.get("/livez", headers={"X-Request-Id": insane}).headers["x-request-id"]
        assert made != insane
        assert len(made) == 16


@pytest.mark.parametrize(
    ("path", "limit"), [("/v1/search", QUERY_BYTES), ("/v1/ask", QUERY_BYTES), ("/v1/documents", DOCUMENT_BYTES)]
)
def test_a_declared_body_over_the_limit_is_refused_unread(
    client: TestClient, as_: Headers, path: str, limit: int
) -> None:
    headers = as_("editor") | {"Content-Length": str(limit + 1), "Content-Type": "application/json"}
    response = client.post(path, content=b"{}", headers=headers)
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_body_that_grows_over_the_limit_is_refused(client: TestClient, as_: Headers) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"query": "'
        for _ in range(11):
            yield b"a" * (QUERY_BYTES // 10)

    response = client.post("/v1/search", content=pieces(), headers=as_("alice") | {"Content-Type": "application/json"})
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_defect_is_a_bare_500_with_the_request_id(
    mill: Loremill, as_: Headers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret inner state")

    monkeypatch.setattr(Loremill, "search_result", broken)
    with TestClient(create_app(mill)) as client:
        response = client.post("/v1/search", json=SEARCH, headers=as_("alice") | {"X-Request-Id": "req-7"})
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert "secret inner state" not in response.text
    assert "req-7" in response.text
    assert "request req-7 failed" in caplog.text


def test_a_directory_that_cannot_be_read_admits_nobody(
    client: TestClient, as_: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    from indexes.errors import IndexBackendError

    def broken(*_: object) -> None:
        raise IndexBackendError("disk gone: /secret/path")

    monkeypatch.setattr(Directory, "authenticate", broken)
    response = client.post("/v1/search", json=SEARCH, headers=as_("alice"))
    assert response.status_code == 500
    assert "/secret/path" not in response.text
