"""loremill feedback: an answer is rated as `ask` printed it, and bad ratings become a dataset."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.dataset_check import check_dataset

Run = Callable[..., Any]


def test_an_answer_is_rated_listed_made_a_case_of_and_deleted(run: Run, tmp_path: Path) -> None:
    answer = run("ask", "How long is parental leave?", "--collection", "company", "--as", "bob", "--json").out
    (tmp_path / "answer.json").write_text(answer)
    rate = ("feedback", "add", str(tmp_path / "answer.json"), "--collection", "company", "--as", "bob", "--json")
    made = run(*rate, "--rating", "2", "--correction", "20 weeks", "--document", "leave.md")
    assert (made.code, made.json["rating"], made.json["principal"]) == (0, 2, "halden/user:bob")
    listed = run("feedback", "list", "--collection", "company", "--json").json["ratings"]
    assert listed == [made.json] == run("feedback", "list", "--as", "bob", "--json").json["ratings"]
    assert run("feedback", "list", "--as", "alice", "--json").json["ratings"] == []
    assert made.json["id"] in run("feedback", "list", "--collection", "company").out

    out = tmp_path / "cases.jsonl"
    ran = run("eval", "dataset", "from-feedback", "--collection", "company", "--out", str(out), "--json")
    assert (ran.code, ran.json["ratings"], ran.json["cases"]) == (0, 1, 1)
    (case,) = check_dataset(out, gate=True).require()
    assert (case.principal, case.reference, case.reference_document_ids) == ("bob", "20 weeks", ("leave.md",))
    assert run("eval", "dataset", "validate", str(out), "--collection", "company", "--gate").code == 0

    assert run("feedback", "delete", made.json["id"], "--as", "alice").code == 64
    assert run("feedback", "delete", made.json["id"], "--as", "bob").code == 0
    assert run("feedback", "list", "--collection", "company", "--json").json["ratings"] == []


def test_what_cannot_be_rated_is_told(run: Run, tmp_path: Path) -> None:
    rate = ("--collection", "company", "--as", "bob", "--rating")
    assert run("feedback", "add", str(tmp_path / "none.json"), *rate, "up").code == 65
    (tmp_path / "list.json").write_text("[]")
    assert run("feedback", "add", str(tmp_path / "list.json"), *rate, "up").code == 65
    (tmp_path / "own.json").write_text(json.dumps({"question": "q", "release": "r0", "answer": ""}))
    assert run("feedback", "add", str(tmp_path / "own.json"), *rate, "up").code == 65
    assert run("feedback", "add", str(tmp_path / "own.json"), *rate, "9").code == 64
    assert run("feedback", "list").code == 64
    for inputs in ((), (str(tmp_path / "own.json"), "--collection", "company")):
        assert run("eval", "dataset", "from-feedback", *inputs, "--out", str(tmp_path / "x.jsonl")).code == 64
