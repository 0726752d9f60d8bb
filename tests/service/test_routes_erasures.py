"""/v1/erasures: for administrators, of their own tenant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from indexes.vocabulary import Acl, Principal
from rag.loremill import Loremill
from service.http import create_app
from tests.conftest import OpenMill

Headers = Callable[[str], dict[str, str]]
TEXT = "The walrus of Alice Kettering weighs 4417 stone and lives in the greenhouse."


@pytest.fixture
def mill(open_mill: OpenMill) -> Loremill:
    """Two tenants with one document each, of one id."""
    opened = open_mill()
    for tenant in ("halden", "rival"):
        opened.put_document(
            collection="c",
            principal=Principal(tenant, "user:x"),
            document_id="walrus.md",
            text=TEXT,
            acl=Acl(("everyone",)),
        )
    return opened


@pytest.fixture
def ask_as(mill: Loremill) -> Callable[..., TestClient]:
    def client(tenant: str, role: str) -> TestClient:
        _, secret = mill.directory.create_key(f"{tenant}/user:{role}", role=role)
        return TestClient(create_app(mill), headers={"Authorization": f"Bearer {secret}"})

    return client


@pytest.mark.parametrize("role", ["reader", "editor", "curator"])
def test_only_administrators_erase(ask_as: Callable[..., TestClient], mill: Loremill, role: str) -> None:
    client = ask_as("halden", role)
    for path, body in (("/v1/erasures", {"document": "walrus.md"}), (f"/v1/erasures/{'0' * 32}/verify", None)):
        assert client.post(path, json=body).status_code == 403
    assert mill.documents(collection="c", principal=Principal("halden", "user:x"))


def test_an_administrator_erases_and_verifies_in_the_own_tenant_alone(
    ask_as: Callable[..., TestClient], mill: Loremill
) -> None:
    client = ask_as("halden", "administrator")
    response = client.post("/v1/erasures", json={"document": "walrus.md"})
    assert response.status_code == 201, response.text
    receipt = response.json()
    assert (receipt["tenant"], receipt["by"], receipt["found"]) == ("halden", "user:administrator", [])
    assert "file" not in receipt
    assert mill.documents(collection="c", principal=Principal("rival", "user:x"))
    verdict = client.post(f"/v1/erasures/{receipt['id']}/verify").json()
    assert (verdict["ok"], verdict["found"]) == (True, [])
    foreign = ask_as("rival", "administrator").post(f"/v1/erasures/{receipt['id']}/verify")
    missing = client.post(f"/v1/erasures/{'0' * 32}/verify")
    assert foreign.status_code == missing.status_code == 404
    assert foreign.json()["detail"].replace(receipt["id"], "") == missing.json()["detail"].replace("0" * 32, "")


def test_unknown_names_and_bad_bodies_are_refused(ask_as: Callable[..., TestClient]) -> None:
    client = ask_as("halden", "administrator")
    for body in ({}, {"document": "none"}, {"subject": "alice"}, {"document": "a", "subject": "user:a"}):
        assert client.post("/v1/erasures", json=body).status_code == 400, body
    assert client.post("/v1/erasures", json={"documents": "a"}).status_code == 422
