"""Every operation of the OpenAPI document, with requests that fit it and requests that do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from rag.loremill import Loremill
from service.http import create_app
from tests.conftest import OpenMill, WriteTree

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")

OPEN = {"/livez", "/readyz", "/metrics"}
"""What takes no key."""
LIKELY = {"collection": "company", "model": "company", "role": "user", "generator": "extractive", "allow": ["everyone"]}
"""Values with which a request gets past the checks; made-up ones would end at 404 nearly always."""


@pytest.fixture
def mill(open_mill: OpenMill, write_tree: WriteTree) -> Loremill:
    opened = open_mill()
    documents = write_tree({"leave.md": "# Parental leave\n\nParental leave is 20 weeks for every employee.\n"})
    opened.ingest(documents, collection="company", tenant="halden", allow=["everyone"])
    return opened


class Api:
    """The application and the operations that its OpenAPI document describes. The worker of ingestions stands still."""

    def __init__(self, mill: Loremill) -> None:
        from schemathesis.python.asgi import ASGIClient

        app = create_app(mill)
        config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
        schema = schemathesis.openapi.from_dict(app.openapi(), config=config)
        schema.app = app
        self.operations = [result.ok() for result in schema.get_all_operations()]
        self._client = ASGIClient(app)

    def call(self, case: Any, headers: dict[str, str]) -> Any:
        return case.call(session=self._client, headers=headers)

    def cases(self, operation: Any, *, fitting: bool, examples: int) -> Iterator[Any]:
        """Give the same made-up requests in each run; none where nothing about a request could be wrong."""
        mode = schemathesis.GenerationMode.POSITIVE if fitting else schemathesis.GenerationMode.NEGATIVE
        made: list[Any] = []

        @settings(
            max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def make(case: Any) -> None:
            made.append(case)

        try:
            make()
        except Unsatisfiable:
            assert not fitting, operation.label
        yield from made


@pytest.fixture
def api(mill: Loremill) -> Api:
    return Api(mill)


def likely(value: Any) -> Any:
    """Return a body or query with likely values in place of made-up ones of the same type."""
    if isinstance(value, list):
        return [likely(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "document_id" in value and (value.get("text") is None) == (value.get("content_base64") is None):
        value = {**value, "text": "The kiln runs hot.", "content_base64": None}  # it takes exactly one of them
    return {
        name: LIKELY[name] if name in LIKELY and isinstance(inner, type(LIKELY[name])) else likely(inner)
        for name, inner in value.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize("fitting", [True, False], ids=["requests that fit", "requests that do not fit"])
def test_no_request_makes_a_500_or_an_answer_that_the_document_does_not_know(
    mill: Loremill, api: Api, fitting: bool
) -> None:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    key = mill.directory.create_key("halden/user:alice,group:finance", role="administrator")[1]
    conform = [
        not_a_server_error, checks.status_code_conformance, checks.content_type_conformance,
        checks.response_schema_conformance,
    ]  # fmt: skip
    statuses = set()
    for operation in api.operations:
        for case in api.cases(operation, fitting=fitting, examples=12):
            case.body, case.query = likely(case.body), likely(case.query)
            reply = api.call(case, {"Authorization": f"Bearer {key}"})
            statuses.add(reply.status_code)
            stream = "text/event-stream" in str(reply.headers.get("content-type"))
            case.validate_response(reply, checks=conform[:3] if stream else conform)  # it takes events for JSON
    assert statuses >= ({200, 201, 202, 404} if fitting else {400, 422})


@pytest.mark.slow
def test_every_operation_but_those_for_operators_answers_401_without_a_principal(api: Api) -> None:
    closed = [operation for operation in api.operations if operation.path not in OPEN]
    assert len(closed) >= 11
    assert all(operation.path.startswith("/v1/") for operation in closed)
    replies = set()
    for operation in closed:
        for fitting in (True, False):
            for case in api.cases(operation, fitting=fitting, examples=1):
                for headers in ({}, {"Authorization": "Bearer lm_x_y"}, {"Authorization": "Bearer a.b.c"}):
                    reply = api.call(case, headers)
                    replies.add((reply.status_code, reply.content))
    assert {status for status, _ in replies} == {401}
    assert len(replies) == 1


def test_no_route_is_missing_from_the_document(mill: Loremill) -> None:
    app = create_app(mill)
    described = set(app.openapi()["paths"])
    there = {route.path for route in app.routes if hasattr(route, "path")}
    assert there - described == {"/openapi.json", "/mcp"}  # MCP describes itself
