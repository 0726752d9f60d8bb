"""A real small home: two tenants, three people, a handful of documents, and keys for HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from rag.loremill import Loremill
from service.cli import main
from service.http import create_app

DOCUMENTS = {
    "company/leave.md": "# Parental leave\n\nParental leave is 20 weeks for every employee of Halden.\n",
    "company/travel.md": "# Travel policy\n\nTrain journeys are booked in second class. Flights need approval.\n",
    "company/finance/budget.md": "# Marketing budget\n\nThe marketing budget for 2026 is 340,000 euros.\n",
    "company/acl.yaml": (
        "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n  - path: 'finance/**'\n    allow: [group:finance]\n"
    ),
    "rival/plans.md": "# Plans\n\nThe rival plans to open a factory in Lisbon.\n",
    "rival/acl.yaml": "tenant: rival\ndefault: {allow: [everyone]}\n",
    "principals.yaml": (
        "alice: {tenant: halden, groups: [finance]}\nbob: {tenant: halden}\nmia: {tenant: rival, groups: [finance]}\n"
    ),
}


@dataclass(frozen=True)
class Place:
    """Where the home and the documents are, and a key for each person."""

    home: Path
    documents: Path
    keys: dict[str, str]


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    root = tmp_path_factory.mktemp("service")
    for name, text in DOCUMENTS.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    with Loremill.open(root / "home") as mill:
        mill.ingest(root / "company", collection="company")
        mill.ingest(root / "rival", collection="plans")
        mill.directory.import_principals(root / "principals.yaml")
        keys = {name: mill.directory.create_key(name)[1] for name in ("alice", "bob", "mia")}
        keys["editor"] = mill.directory.create_key("alice", role="editor")[1]
    return Place(root / "home", root, keys)


@pytest.fixture(scope="session")
def mill(place: Place) -> Iterator[Loremill]:
    with Loremill.open(place.home) as opened:
        yield opened


@pytest.fixture(scope="session")
def client(mill: Loremill) -> Iterator[TestClient]:
    with TestClient(create_app(mill), raise_server_exceptions=False) as opened:
        yield opened


@pytest.fixture(scope="session")
def as_(place: Place) -> Callable[[str], dict[str, str]]:
    """Headers with the key of one person."""
    return lambda who: {"Authorization": f"Bearer {place.keys[who]}"}


@dataclass(frozen=True)
class Ran:
    """What one command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def run(place: Place, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    """Run a command in this process against the home."""

    def command(*arguments: str) -> Ran:
        code = main([*arguments, "--home", str(place.home)])
        printed = capsys.readouterr()
        return Ran(code, printed.out, printed.err)

    return command
