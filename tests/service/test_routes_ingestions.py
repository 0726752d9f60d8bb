"""POST /v1/ingestions: what was accepted is kept, ingested by a worker process, and told of to whoever sent it."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag import Acl, Loremill, Principal
from service import worker as worker_module
from service.http import create_app

ALICE = Principal("halden", "user:alice", ("group:finance",))
EVERYONE = {"allow": ["everyone"]}


@pytest.fixture
def mill(tmp_path: Path) -> Iterator[Loremill]:
    with Loremill.open(tmp_path / "home", device="cpu") as opened:
        yield opened


@pytest.fixture
def key(mill: Loremill) -> Callable[..., dict[str, str]]:
    """Headers of a new key of a principal."""

    def make(principal: str = "halden/user:alice,group:finance", role: str = "editor") -> dict[str, str]:
        return {"Authorization": f"Bearer {mill.directory.create_key(principal, role=role)[1]}"}

    return make


@pytest.fixture
def client(mill: Loremill) -> Iterator[TestClient]:
    with TestClient(create_app(mill)) as opened:
        yield opened


def document(name: str, text: str = "The kiln runs hot.", **more: Any) -> dict[str, Any]:
    return {"document_id": name, "text": text, "acl": EVERYONE, **more}


def ended(client: TestClient, headers: dict[str, str], name: str, *, within_s: float = 120) -> dict[str, Any]:
    deadline = time.monotonic() + within_s
    while (status := client.get(f"/v1/ingestions/{name}", headers=headers).json())["status"] in {"queued", "running"}:
        assert time.monotonic() < deadline, status
        time.sleep(0.2)
    return status


@pytest.mark.slow
def test_documents_are_accepted_ingested_and_found_and_the_report_says_so(
    mill: Loremill, client: TestClient, key: Callable[..., dict[str, str]]
) -> None:
    page = base64.b64encode(b"<html><body><h1>Glaze</h1><p>The glaze is cobalt.</p></body></html>").decode()
    html = {"document_id": "g.html", "content_base64": page, "format": "html", "acl": {"allow": ["user:bob"]}}
    broken = {
        "document_id": "b.pdf",
        "content_base64": base64.b64encode(b"%PDF-1.7 x").decode(),
        "format": "pdf",
        "acl": EVERYONE,
    }
    headers = key()
    accepted = client.post(
        "/v1/ingestions", headers=headers, json={"collection": "notes", "documents": [document("a"), html, broken]}
    )
    assert accepted.status_code == 202
    assert accepted.headers["Location"] == f"/v1/ingestions/{accepted.json()['id']}"
    status = ended(client, headers, accepted.json()["id"])
    assert status["status"] == "done", status
    report = status["report"]
    assert report["documents"] == {"added": 2, "updated": 0, "unchanged": 0, "deleted": 0, "quarantined": 1}
    assert [entry["error"] for entry in report["quarantine"]] == ["ParseError"]
    hits = client.post("/v1/search", headers=headers, json={"query": "kiln", "collection": "notes"}).json()["hits"]
    assert [hit["document_id"] for hit in hits] == ["a"]
    assert "notes" not in client.get("/metrics").text
    assert 'loremill_ingest_documents_total{collection="",outcome="added"} 2.0' in client.get("/metrics").text
    assert list((mill.home / "tenants/halden/inbox").iterdir()) == [], "the payload is kept no longer than needed"
    second = client.post("/v1/ingestions", headers=headers, json={"collection": "notes", "documents": [document("c")]})
    assert ended(client, headers, second.json()["id"])["report"]["documents"]["deleted"] == 0


def test_only_whoever_submitted_an_ingestion_sees_it(
    mill: Loremill, client: TestClient, key: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client.app.state.worker, "wake", lambda: None)  # type: ignore[attr-defined]
    own = key()
    name = client.post("/v1/ingestions", headers=own, json={"collection": "n", "documents": [document("a")]}).json()[
        "id"
    ]
    assert client.get(f"/v1/ingestions/{name}", headers=own).status_code == 200
    for other in ("halden/user:bob", "rival/user:alice"):
        assert client.get(f"/v1/ingestions/{name}", headers=key(other)).status_code == 404
    assert client.get("/v1/ingestions/unknown", headers=own).status_code == 404
    assert client.get(f"/v1/ingestions/{name}", headers=key(role="reader")).status_code == 403


@pytest.mark.parametrize(
    "documents",
    [
        [],
        [{"document_id": "a", "text": "x"}],
        [{"document_id": "a", "acl": EVERYONE}],
        [{"document_id": "a", "acl": EVERYONE, "text": "x", "content_base64": "eA=="}],
        [{"document_id": "a", "acl": EVERYONE, "content_base64": "no base64!"}],
        [document("a"), document("a")],
        [document("a", location="/etc/passwd")],
    ],
    ids=["none", "no acl", "no content", "two contents", "not base64", "twice", "unknown field"],
)
def test_bad_bodies_are_refused_and_nothing_is_kept(
    mill: Loremill, client: TestClient, key: Callable[..., dict[str, str]], documents: list[dict[str, Any]]
) -> None:
    answer = client.post("/v1/ingestions", headers=key(), json={"collection": "n", "documents": documents})
    assert answer.status_code == 422
    assert not (mill.home / "tenants/halden/inbox").exists()


def test_a_readers_key_may_not_submit(client: TestClient, key: Callable[..., dict[str, str]]) -> None:
    body = {"collection": "n", "documents": [document("a")]}
    assert client.post("/v1/ingestions", headers=key(role="reader"), json=body).status_code == 403
    assert client.post("/v1/ingestions", json=body).status_code == 401


@pytest.mark.slow
def test_what_a_stopped_server_had_accepted_is_ingested_by_the_next_one(
    mill: Loremill, key: Callable[..., dict[str, str]]
) -> None:
    headers = key()
    with TestClient(create_app(mill)) as first:
        first.app.state.worker.wake = lambda: None  # type: ignore[attr-defined]
        first.app.state.worker.close()  # type: ignore[attr-defined]
        name = first.post(
            "/v1/ingestions", headers=headers, json={"collection": "n", "documents": [document("a")]}
        ).json()["id"]
        mill.inbox("halden").next()  # as if it had begun
    with TestClient(create_app(mill)) as second:
        assert ended(second, headers, name)["status"] == "done"
    assert [hit.document_id for hit in mill.search("kiln", collection="n", principal=ALICE)] == ["a"]


@pytest.mark.slow
def test_a_worker_that_is_killed_fails_its_ingestion_and_not_the_server(
    mill: Loremill, client: TestClient, key: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = subprocess.Popen

    def killed(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        process = real(*arguments, **options)
        os.kill(process.pid, signal.SIGKILL)
        return process

    headers = key()
    with monkeypatch.context() as patch:
        patch.setattr(worker_module.subprocess, "Popen", killed)
        name = client.post(
            "/v1/ingestions", headers=headers, json={"collection": "n", "documents": [document("a")]}
        ).json()["id"]
        status = ended(client, headers, name)
    assert status["status"] == "failed"
    assert "submit the documents again" in status["error"]["detail"]
    again = client.post(
        "/v1/ingestions", headers=headers, json={"collection": "n", "documents": [document("a")]}
    ).json()["id"]
    assert ended(client, headers, again)["status"] == "done"


@pytest.mark.slow
def test_a_report_does_not_tell_an_editor_whether_somebody_else_has_that_very_text(
    mill: Loremill, client: TestClient, key: Callable[..., dict[str, str]]
) -> None:
    secret = "The merger is on the third of May."
    mill.put_document(collection="n", principal=ALICE, document_id="s", text=secret, acl=Acl(("user:alice",)))
    mallory = key("halden/user:mallory")
    reports = []
    for number, text in enumerate((secret, "The merger is on the fourth of May.")):
        body = {"collection": "n", "documents": [document(f"guess{number}", text)]}
        name = client.post("/v1/ingestions", headers=mallory, json=body).json()["id"]
        report = ended(client, mallory, name)["report"]
        put = client.post("/v1/documents", headers=mallory, json=document(f"put{number}", text, collection="n")).json()
        reports += [report, put["ingest"]]
    for name in ("seconds", "build", "release"):
        assert len({report.pop(name) for report in reports}) >= 1
    assert all(report == reports[0] for report in reports), "a guess that is right looks like one that is wrong"
