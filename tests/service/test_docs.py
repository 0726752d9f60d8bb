"""docs/cli.md and docs/http.md name every command and route, and none that is not there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from fastapi.testclient import TestClient

from indexes import errors
from service.cli import app, main

DOCS = Path(__file__).parents[2] / "docs"


def commands(group: typer.Typer, *path: str) -> set[str]:
    """Return every command of the application as words."""
    found: set[str] = set()
    for command in group.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        found.add(" ".join((*path, name)))
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        assert inner.name is not None
        found |= commands(inner.typer_instance, *path, str(inner.name))
        callback = inner.typer_instance.registered_callback
        if callback is not None and callback.invoke_without_command is True:
            found.add(" ".join((*path, str(inner.name))))
    return found


def test_the_commands_in_the_docs_are_those_there_are() -> None:
    rows = re.findall(r"^\| `loremill ([a-z -]+?)(?: [A-Z-].*?)?` \|", (DOCS / "cli.md").read_text(), re.MULTILINE)
    assert sorted(row.strip() for row in rows) == sorted(commands(app))


def test_the_routes_in_the_docs_are_those_there_are(client: TestClient) -> None:
    rows = re.findall(r"^\| `([A-Z]+) (/\S+)` \|", (DOCS / "http.md").read_text(), re.MULTILINE)
    paths = client.get("/openapi.json").json()["paths"]
    there = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert set(rows) == there
    assert len(rows) == len(there)


def test_every_command_takes_home_and_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    for command in sorted(commands(app)):
        assert main([*command.split(), "--help"]) == 0
        text = capsys.readouterr().out
        assert "--home" in text, command
        assert "--json" in text, command


def test_the_exit_codes_and_statuses_of_the_error_tree_are_documented() -> None:
    tree = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LoremillError)]
    cli, http = (DOCS / "cli.md").read_text(), (DOCS / "http.md").read_text()
    for kind in tree:
        assert f"| {kind.exit_code} |" in cli, kind
        assert str(kind.http_status) in http, kind


def test_the_options_in_the_docs_exist(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    find: Callable[[str], Any] = re.compile(r"^\| `loremill ([a-z -]+?)(?: [A-Z-].*?)?` \|.*$", re.MULTILINE).finditer
    for row in find((DOCS / "cli.md").read_text()):
        assert main([*row[1].split(), "--help"]) == 0
        text = capsys.readouterr().out
        for option in re.findall(r"--[a-z-]+", row[0]):
            assert option in text, (row[1], option)
