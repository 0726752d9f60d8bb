"""loremill erase and erase verify, in a home of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rag.loremill import Loremill
from service.cli import main
from tests.catalogs import sqlite_only
from tests.conftest import OpenMill, WriteTree

Run = Callable[..., tuple[int, Any]]
SECRET = "The walrus of Alice Kettering weighs 4417 stone and lives in the greenhouse."


@pytest.fixture
def mill(open_mill: OpenMill, write_tree: WriteTree) -> Loremill:
    opened = open_mill()
    folder = write_tree({"walrus.md": SECRET, "lunch.md": "Lunch is served at noon in the canteen."})
    opened.ingest(folder, collection="c", tenant="t", allow=["everyone"])
    return opened


@pytest.fixture
def run(mill: Loremill, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command with --json on the home; gives the exit code and what was printed."""

    def command(*arguments: str) -> tuple[int, Any]:
        code = main([*arguments, "--home", str(mill.home), "--json"])
        return code, json.loads(capsys.readouterr().out)

    return command


def test_a_document_is_erased_and_its_receipt_verifies(run: Run, mill: Loremill) -> None:
    code, done = run("erase", "--document", "walrus.md", "--as", "t/user:root")
    assert (code, done["by"], done["about"], done["found"]) == (0, "user:root", "document walrus.md", [])
    assert done["counts"]["documents"] == 1
    code, verdict = run("erase", "verify", done["file"])
    assert (code, verdict["ok"], verdict["sealed"]) == (0, True, True)
    assert verdict["files"] > 5
    assert run("erase", "verify", done["id"])[0] == 0


def test_a_receipt_that_was_changed_or_is_not_true_any_more_ends_with_1(run: Run, mill: Loremill) -> None:
    _, done = run("erase", "--document", "walrus.md")
    (mill.home / "note.txt").write_text(SECRET)
    code, verdict = run("erase", "verify", done["file"])
    assert (code, verdict["sealed"], {each["file"] for each in verdict["found"]}) == (1, True, {"note.txt"})
    receipt = json.loads(Path(done["file"]).read_text())
    Path(done["file"]).write_text(json.dumps(receipt | {"digests": []}))
    code, verdict = run("erase", "verify", done["file"])
    assert (code, verdict["sealed"]) == (1, False)


@sqlite_only
def test_compact_takes_the_bytes_of_what_was_deleted_before(run: Run, mill: Loremill) -> None:
    catalog = mill._tenant("t").catalog
    path = catalog.path
    assert path is not None
    with catalog.write() as db:
        db.exec_driver_sql("PRAGMA secure_delete=OFF")
        db.exec_driver_sql("CREATE TABLE notes (text)")
        db.exec_driver_sql("INSERT INTO notes VALUES (?)", ("Zanzibarquokka17",))
    with catalog.write() as db:
        db.exec_driver_sql("DELETE FROM notes")
    catalog.backend.truncate_log()
    assert b"Zanzibarquokka17" in path.read_bytes()
    assert run("erase", "compact", "--tenant", "t") == (0, {"notes": []})
    assert b"Zanzibarquokka17" not in path.read_bytes()


def test_what_stays_where_no_eraser_may_go_ends_with_1(run: Run, mill: Loremill) -> None:
    (mill.home / "prompts").mkdir()
    (mill.home / "prompts" / "mine@1.md").write_text(SECRET)
    code, done = run("erase", "--document", "walrus.md")
    assert (code, {each["file"] for each in done["found"]}) == (1, {"prompts/mine@1.md"})


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("erase",), 64),
        (("erase", "--document", "none.md"), 64),
        (("erase", "--subject", "alice"), 64),
        (("erase", "--subject", "user:nobody"), 64),
        (("erase", "--document", "walrus.md", "--tenant", "u"), 64),
        (("erase", "verify", "none.json"), 65),
    ],
)
def test_bad_input_is_one_clear_error(run: Run, arguments: tuple[str, ...], code: int) -> None:
    found, printed = run(*arguments)
    assert found == code
    assert printed["error"]["detail"]


def test_people_are_shown_what_is_gone(mill: Loremill, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["erase", "--document", "walrus.md", "--home", str(mill.home)]) == 0
    shown = capsys.readouterr().out
    assert "documents" in shown
    (receipt,) = (mill.home / "receipts").iterdir()
    assert main(["erase", "verify", str(receipt), "--home", str(mill.home)]) == 0
    assert "nothing of it is in any file" in capsys.readouterr().out
