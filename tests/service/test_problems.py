"""Each error class has an HTTP status and an exit code, and shows what it may."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from indexes import errors
from indexes.errors import DatasetError, DependencyMissing, LoremillError, ProviderError
from rag.loremill import Loremill
from service import cli
from service.problems import of_error

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, LoremillError)]


def make(kind: type[LoremillError]) -> LoremillError:
    if issubclass(kind, DependencyMissing):
        return kind("torch", extra="embed")
    if issubclass(kind, DatasetError):
        return kind("bad row", path="d.jsonl", line=3)
    return kind("what, where and what to do")


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_class_has_a_status_and_a_title_of_its_problem(kind: type[LoremillError]) -> None:
    response = of_error(make(kind))
    body = json.loads(bytes(response.body))
    assert 400 <= response.status_code <= 599
    assert body["status"] == response.status_code == kind.http_status
    assert body["title"] == kind.title
    assert body["type"] == f"urn:loremill:error:{kind.__name__}"
    assert response.media_type == "application/problem+json"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_each_error_class_has_an_exit_code(
    kind: type[LoremillError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise make(kind)

    monkeypatch.setattr(Loremill, "open", failing)
    code = cli.main(["keys", "list", "--json"])
    printed = capsys.readouterr()
    assert code == kind.exit_code
    assert code in {1, 64, 65, 70}
    assert json.loads(printed.out)["error"]["type"] == kind.__name__
    assert "Traceback" not in printed.err


def test_a_provider_that_says_when_to_come_back_is_passed_on() -> None:
    assert of_error(ProviderError("busy", retry_after_s=7.4)).headers["retry-after"] == "7"


def test_inner_details_stay_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    response = of_error(errors.BuildCorrupt("manifest of /home/x/build-1 is torn"))
    assert b"/home/x" not in bytes(response.body)
    assert "/home/x" in caplog.text


def test_unknown_routes_and_methods_are_problems(client: TestClient, as_: Callable[[str], dict[str, str]]) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("GET", "/v1/search", 405), ("POST", "/livez", 405)):
        response = client.request(method, path, headers=as_("bob"))
        assert response.status_code == response.json()["status"] == status
        assert response.headers["content-type"] == "application/problem+json"
    assert "allow" in response.headers
