"""`loremill ingest` with its options, `quarantine` and `lineage`, as a shell calls them."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.cli import main

Run = Callable[..., tuple[int, dict[str, Any]]]
ACL = "tenant: t\ndefault: {allow: [everyone]}\n"


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "acl.yaml").write_text(ACL)
    (folder / "kiln.md").write_text("# Kiln\n\nThe kiln runs hot.")
    (folder / "bad.pdf").write_bytes(b"%PDF-1.7 nothing")
    return folder


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], models: Path) -> Run:
    """Runs a command on one home with --json; returns its exit code and what it printed."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "models").symlink_to(models)

    def call(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        code = main([*map(str, arguments), "--home", str(home), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return call


def test_a_plan_counts_and_changes_nothing(run: Run, docs: Path, tmp_path: Path) -> None:
    code, plan = run("ingest", docs, "--collection", "c", "--plan")
    assert (code, plan["plan"], plan["documents"]["added"], plan["chunks"]["embedded"]) == (0, True, 1, 1)
    assert not (tmp_path / "home/tenants").exists()


def test_quarantine_is_listed_and_retried_and_says_no_while_something_is_left(run: Run, docs: Path) -> None:
    run("ingest", docs, "--collection", "c")
    code, listed = run("quarantine", "list", "--collection", "c")
    assert code == 0
    assert [(entry["stage"], entry["error"]) for entry in listed["quarantine"]] == [("parse", "ParseError")]
    code, left = run("quarantine", "retry", "--collection", "c")
    assert (code, len(left["quarantine"])) == (1, 1)
    (docs / "bad.pdf").unlink()
    run("ingest", docs, "--collection", "c")
    code, left = run("quarantine", "retry", "--collection", "c")
    assert (code, left["quarantine"]) == (0, [])


def test_lineage_of_a_hit_and_of_nothing(run: Run, docs: Path) -> None:
    run("ingest", docs, "--collection", "c")
    _, found = run("search", "kiln", "--collection", "c", "--as", "t/user:a")
    code, lineage = run("lineage", found["hits"][0]["chunk_id"])
    assert (code, lineage["document"]["document_id"]) == (0, "kiln.md")
    code, error = run("lineage", "f" * 32)
    assert (code, error["error"]["type"]) == (64, "ConfigError")


def test_metrics_are_written_for_the_textfile_collector(run: Run, docs: Path, tmp_path: Path) -> None:
    run("ingest", docs, "--collection", "c", "--metrics", tmp_path / "loremill.prom")
    text = (tmp_path / "loremill.prom").read_text()
    assert 'loremill_ingest_documents_total{collection="c",outcome="added"} 1.0' in text
    assert 'loremill_ingest_quarantined_total{collection="c",error="ParseError",stage="parse"} 1.0' in text
    code, error = run("ingest", docs, "--collection", "c", "--metrics", tmp_path / "nowhere/x.prom")
    assert (code, error["error"]["type"]) == (64, "ConfigError")


def test_a_database_is_a_source(run: Run, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "notes.db") as db:
        db.execute("CREATE TABLE notes (id TEXT, text TEXT, year INT)")
        db.execute("INSERT INTO notes VALUES ('n1', 'The glaze is cobalt.', 2024)")
    query = tmp_path / "notes.sql"
    query.write_text("select id, text, year from notes order by id")
    source = f"sqlite:///{tmp_path / 'notes.db'}"
    arguments = (
        "ingest",
        source,
        "--format",
        "sql",
        "--query",
        f"@{query}",
        "--collection",
        "c",
        "--allow",
        "everyone",
        "--tenant",
        "t",
    )
    code, report = run(*arguments)
    assert (code, report["documents"]["added"]) == (0, 1)
    _, found = run("search", "glaze", "--collection", "c", "--as", "t/user:a", "--where", "year=2024")
    assert [hit["document_id"] for hit in found["hits"]] == ["n1"]
    assert run(*arguments)[1]["documents"]["unchanged"] == 1


def test_a_contract_may_be_named(run: Run, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "strict.yaml").write_text("types: [pdf]\n")
    code, report = run("ingest", docs, "--collection", "c", "--contract", tmp_path / "strict.yaml")
    assert (code, {entry["error"] for entry in report["quarantine"]}) == (0, {"ContractViolation", "ParseError"})
    (tmp_path / "strict.yaml").write_text("types: [pdf]\nsurprise: 1\n")
    code, error = run("ingest", docs, "--collection", "c", "--contract", tmp_path / "strict.yaml")
    assert (code, error["error"]["type"]) == (65, "ConfigFileError")
    assert "strict.yaml:2" in error["error"]["detail"]


def test_watching_takes_one_source_and_no_plan(run: Run, docs: Path) -> None:
    for more in (("--plan",), (str(docs),)):
        code, error = run("ingest", docs, *more, "--collection", "c", "--watch")
        assert (code, error["error"]["type"]) == (64, "ConfigError")


@pytest.mark.slow
def test_watching_ingests_what_changes_until_it_is_interrupted(docs: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "ingest", str(docs), "--collection", "c", "--watch", "--json",
               "--home", str(tmp_path / "home")]  # fmt: skip
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": "1"}
    ) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["documents"]["added"] == 1
        time.sleep(0.5)
        (docs / "new.md").write_text("The glaze is cobalt.")
        assert json.loads(process.stdout.readline())["documents"]["added"] == 1
        (docs / "kiln.md").unlink()
        assert json.loads(process.stdout.readline())["documents"]["deleted"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
