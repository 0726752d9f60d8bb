"""GET /v1/audit: for administrators, of their own tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from indexes.audit import AuditLog, SeenChunk
from rag.loremill import Loremill
from service.http import create_app

Headers = Callable[[str], dict[str, str]]


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Loremill]:
    """Two tenants with a log each, of ten events and of one."""
    for tenant, events in (("halden", 10), ("rival", 1)):
        log = AuditLog(tmp_path / "tenants" / tenant / "audit", keep_queries=True)
        for number in range(events):
            chunks = [SeenChunk("c1", f"{tenant}-{number % 2}.md", 1, ("everyone",))]
            log.append("search", subject=f"user:{tenant}", chunks=chunks, query="\ud800?")
    with Loremill.open(tmp_path, audit=False) as mill:  # else the key made below is an event too
        yield mill


@pytest.fixture
def admin(logged: Loremill) -> Iterator[TestClient]:
    """Asks as an administrator of halden."""
    _, secret = logged.directory.create_key("halden/user:root", role="administrator")
    with TestClient(create_app(logged), headers={"Authorization": f"Bearer {secret}"}) as client:
        yield client


def test_readers_and_editors_may_not_read_the_log(client: TestClient, as_: Headers) -> None:
    assert client.get("/v1/audit").status_code == 401
    for who in ("bob", "alice", "editor", "mia"):
        response = client.get("/v1/audit", headers=as_(who))
        assert (response.status_code, response.json()["type"]) == (403, "urn:loremill:error:AccessDenied")
        assert "events" not in response.json()


def test_an_administrator_reads_the_own_tenant_page_by_page(admin: TestClient) -> None:
    seen, after = [], 0
    while after is not None:
        page = admin.get("/v1/audit", params={"limit": 4, "after": after}).json()
        seen += page["events"]
        after = page["next"]
    assert [event["seq"] for event in seen] == list(range(1, 11))
    assert {event["subject"] for event in seen} == {"user:halden"}
    assert admin.get("/v1/audit", params={"tenant": "rival", "subject": "user:rival"}).json()["events"] == []


def test_events_are_found_by_their_conditions(admin: TestClient) -> None:
    def found(**conditions: object) -> list[int]:
        response = admin.get("/v1/audit", params=conditions)  # type: ignore[arg-type]
        assert response.status_code == 200, response.text
        return [event["seq"] for event in response.json()["events"]]

    assert found(document="halden-1.md") == [2, 4, 6, 8, 10]
    assert found(document="halden-1.md", after=4, limit=2) == [6, 8]
    assert found(kind="ask") == []
    assert found(since="2100-01-01") == []
    assert found(until="2100-01-01T00:00:00Z", subject="user:halden", limit=1) == [1]


@pytest.mark.parametrize(
    "conditions", [{"kind": "serach"}, {"since": "yesterday"}, {"limit": 0}, {"limit": 1001}, {"after": -1}], ids=str
)
def test_conditions_that_cannot_be_meant_are_refused(admin: TestClient, conditions: dict[str, str]) -> None:
    response = admin.get("/v1/audit", params=conditions)
    assert response.status_code == 422
    assert next(iter(conditions)) in response.json()["detail"]


def test_a_tenant_without_a_log_has_no_events(logged: Loremill) -> None:
    _, secret = logged.directory.create_key("nobody-there/user:root", role="administrator")
    response = TestClient(create_app(logged)).get("/v1/audit", headers={"Authorization": f"Bearer {secret}"})
    assert response.json() == {"events": [], "next": None}
    assert not (logged.home / "tenants" / "nobody-there").exists()
