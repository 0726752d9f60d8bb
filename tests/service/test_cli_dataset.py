"""loremill eval dataset: validate, synthesize and from-feedback, with their exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from eval.dataset_check import check_dataset

Run = Callable[..., Any]
QUESTION = {
    "id": "q1", "user_input": "How long is leave?", "reference": "20 weeks", "principal": "bob",
    "reference_contexts": ["Parental leave is 20 weeks"], "reference_document_ids": ["leave.md"],
}  # fmt: skip


def written(folder: Path, *rows: dict[str, Any] | str) -> str:
    file = folder / "rows.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows), encoding="utf-8")
    return str(file)


def test_a_sound_dataset_validates_against_the_collection_and_is_named_by_its_content(run: Run, tmp_path: Path) -> None:
    ran = run("eval", "dataset", "validate", written(tmp_path, QUESTION), "--collection", "company", "--gate", "--json")
    assert (ran.code, ran.json["ok"], ran.json["quotes"], ran.json["located"]) == (0, True, 1, 1)
    assert ran.json["dataset"].startswith("rows@")


def test_each_problem_is_shown_with_its_line_and_the_exit_code_is_1(run: Run, tmp_path: Path) -> None:
    secret = {**QUESTION, "id": "q2", "reference_document_ids": ["finance/budget.md"], "reference_contexts": []}
    file = written(tmp_path, QUESTION, "{", {**QUESTION, "principal": ""}, secret)
    ran = run("eval", "dataset", "validate", file, "--collection", "company", "--gate", "--json")
    assert ran.code == 1
    assert [problem["line"] for problem in ran.json["problems"]] == [2, 3, 4]
    shown = run("eval", "dataset", "validate", file)
    assert (shown.code, "line 1 too" in shown.out) == (1, True)
    assert run("eval", "dataset", "validate", str(tmp_path / "none.jsonl")).code == 65


def test_questions_are_made_of_what_the_principal_may_read_and_are_fit_for_a_gate(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "made.jsonl"
    options = ("eval", "dataset", "synthesize", "--collection", "company", "--json")
    ran = run(*options, "--as", "bob", "--out", str(out))
    assert (ran.code, ran.json["questions"]) == (0, len(check_dataset(out, gate=True).require()))
    assert "340,000" not in out.read_text()
    assert run("eval", "dataset", "validate", str(out), "--collection", "company", "--gate").code == 0
    assert run(*options, "--as", "bob", "--out", str(out)).code == 64, "a dataset is never overwritten"
    assert run(*options, "--as", "alice", "--out", str(tmp_path / "alice.jsonl")).code == 0
    assert "340,000" in (tmp_path / "alice.jsonl").read_text()


def test_someone_who_may_read_nothing_gets_no_dataset(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "made.jsonl"
    ran = run("eval", "dataset", "synthesize", "--collection", "company", "--as", "mia", "--out", str(out))
    assert ran.code in (64, 65)
    assert not out.exists()


def test_bad_ratings_become_cases(run: Run, tmp_path: Path) -> None:
    rating = {"question": "How long is leave?", "principal": "bob", "rating": "down", "correction": "20 weeks"}
    out = tmp_path / "cases.jsonl"
    ran = run("eval", "dataset", "from-feedback", written(tmp_path, rating), "--out", str(out), "--json")
    assert (ran.code, ran.json["cases"], ran.json["needs_reference"]) == (0, 1, 0)
    assert check_dataset(out, gate=True).ok
    assert (
        run("eval", "dataset", "from-feedback", written(tmp_path, {"rating": "up"}), "--out", str(tmp_path / "x")).code
        == 65
    )
