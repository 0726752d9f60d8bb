"""Roles: what each one opens, and that the refusal tells nothing."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from indexes.directory import Role
from rag.loremill import Loremill
from service import problems
from service.auth import Administrator, Asker, Curator, Editor
from service.identify import Identifier
from service.middleware import Authentication

OPENED_BY = {"asks": Role.READER, "edits": Role.EDITOR, "curates": Role.CURATOR, "administers": Role.ADMINISTRATOR}


@pytest.fixture(scope="module")
def client(mill: Loremill) -> TestClient:
    """An application with one route for each role, behind the real authentication."""
    app = FastAPI()
    problems.install(app)
    app.add_middleware(Authentication, identifier=Identifier(mill.directory, None), mill=mill)
    app.state.mill = mill

    @app.get("/v1/asks")
    def asks(principal: Asker) -> str:
        return principal.subject

    @app.get("/v1/edits")
    def edits(principal: Editor) -> str:
        return principal.subject

    @app.get("/v1/curates")
    def curates(principal: Curator) -> str:
        return principal.subject

    @app.get("/v1/administers")
    def administers(principal: Administrator) -> str:
        return principal.subject

    return TestClient(app)


@pytest.mark.parametrize("role", [*Role])
def test_each_role_opens_what_those_before_it_open_and_no_more(client: TestClient, mill: Loremill, role: Role) -> None:
    _, secret = mill.directory.create_key("alice", role=role)
    order = list(Role)
    for route, least in OPENED_BY.items():
        reply = client.get(f"/v1/{route}", headers={"Authorization": f"Bearer {secret}"})
        if order.index(role) >= order.index(least):
            assert reply.json() == "user:alice"
        else:
            assert (reply.status_code, reply.json()["type"]) == (403, "urn:loremill:error:AccessDenied")


def test_the_roles_are_ordered_as_documented() -> None:
    assert [role.value for role in Role] == ["reader", "editor", "curator", "administrator"]
    assert all(role.includes(role) for role in Role)
    assert not Role.READER.includes(Role.EDITOR)


def test_the_refusal_names_the_role_and_nothing_of_what_was_asked_for(client: TestClient, as_: Any) -> None:
    replies = {
        client.get("/v1/edits", params={"x": x}, headers=as_(who)).text for x in "ab" for who in ("bob", "alice")
    }
    assert len(replies) == 1
    assert "role editor" in replies.pop()
