"""`loremill audit leaks` on made-up documents, on a folder and on a collection, which it only reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from rag.loremill import Loremill
from service.cli_leaks import leaks

pytestmark = pytest.mark.slow

TEXT = "# Leave\n\n" + "Parental leave is twenty weeks for every employee of the whole company of Halden. " * 6
ACL = "tenant: halden\ndefault: {allow: [everyone]}\nrules:\n - {path: 'board/**', allow: [group:board]}\n"


@pytest.fixture
def app() -> typer.Typer:
    made = typer.Typer()
    made.command()(leaks)
    return made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "company"
    (root / "board").mkdir(parents=True)
    (root / "leave.md").write_text(TEXT, encoding="utf-8")
    (root / "board" / "plan.md").write_text(TEXT.replace("twenty", "thirty"), encoding="utf-8")
    (root / "acl.yaml").write_text(ACL, encoding="utf-8")
    return root


def run(app: typer.Typer, *arguments: str) -> dict[str, object]:
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    assert ran.exception is None, ran.output
    assert ran.exit_code == 0
    report: dict[str, object] = json.loads(ran.stdout)
    return report


def test_it_reports_every_door_with_the_bound_that_its_trials_give(app: typer.Typer) -> None:
    report = run(app, "--trials", "40", "--seed", "3")
    assert (report["ok"], report["trials"], report["leaks"], report["upper_bound_95"]) == (True, 40, 0, 3 / 40)
    doors = report["doors"]
    assert isinstance(doors, dict)
    assert {"search dense", "http search", "ask a model", "race"} <= doors.keys()


def test_own_documents_are_audited_and_the_home_is_only_read(app: typer.Typer, folder: Path, tmp_path: Path) -> None:
    with Loremill.open(tmp_path / "home") as mill:
        mill.ingest(folder, collection="company")
    before = {path: path.read_bytes() for path in sorted((tmp_path / "home").rglob("*")) if path.is_file()}
    assert run(app, "--trials", "20", "--documents", str(folder))["ok"]
    assert run(app, "--trials", "20", "--collection", "company", "--home", str(tmp_path / "home"))["ok"]
    after = {path: path.read_bytes() for path in sorted((tmp_path / "home").rglob("*")) if path.is_file()}
    assert after == before


def test_two_places_for_the_documents_are_refused(app: typer.Typer, folder: Path) -> None:
    ran = CliRunner().invoke(app, ["--collection", "c", "--documents", str(folder)])
    assert "either --collection or --documents" in str(ran.exception)


@pytest.mark.slow
def test_memory_is_tried_in_two_processes_and_nothing_crosses(run: Callable[..., Any]) -> None:
    done = run("audit", "memory", "--trials", "2", "--processes", "2", "--seed", "3", "--json")
    assert done.code == 0, done.err
    assert (done.json["trials"], done.json["leaks"], done.json["wrong"], done.json["errors"]) == (2, 0, 0, 0)
    assert done.json["told"] > 0
