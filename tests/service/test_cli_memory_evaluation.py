"""loremill eval memory: a file in, figures out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., Any]


def log(folder: Path) -> str:
    said = {"id": "t1", "user": "ann", "session": "s", "speaker": "Ann", "role": "user", "time": "2026-01-02T09:00"}
    asked = {
        "id": "m1",
        "user": "ann",
        "question": "Where does Ann keep bees?",
        "category": "single",
        "answers": ["roof"],
    }
    (folder / "log.jsonl").write_text(json.dumps({**said, "text": "I keep bees on the roof."}) + "\n")
    (folder / "questions.jsonl").write_text(json.dumps({**asked, "evidence": ["t1"]}) + "\n")
    return str(folder / "log.jsonl")


def test_a_log_is_remembered_asked_and_reported(run: Run, tmp_path: Path) -> None:
    ran = run("eval", "memory", log(tmp_path), "--no-answers", "--out", str(tmp_path / "out"), "--json")
    assert ran.code == 0
    assert ran.json["evidence"]["single"]["in_prompt@250"] == 1
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["questions.jsonl", "report.json", "report.md"]
    shown = run("eval", "memory", log(tmp_path), "--no-answers")
    assert (shown.code, "prompt@1000" in shown.out) == (0, True)


def test_a_broken_file_ends_with_65_and_says_where(run: Run, tmp_path: Path) -> None:
    broken = tmp_path / "talks.json"
    broken.write_text('[{"qa": [{}], "conversation": {}}]')
    ran = run("eval", "memory", str(broken))
    assert (ran.code, "talks.json: [0].qa[0]" in ran.err) == (65, True)
