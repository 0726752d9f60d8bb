"""`loremill release`: from a candidate to what is live, and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rag.loremill import Loremill
from service.cli import main

DOCS: dict[str, str | bytes | None] = {
    "acl.yaml": "tenant: halden\ndefault: {allow: [everyone]}\n",
    "leave.md": "# Parental leave\n\nParental leave is 20 weeks for everyone.\n",
}


class Command:
    """Runs `loremill` on a home in which a collection is served."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home, self._capsys = home, capsys

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        assert main([*arguments, "--home", str(self.home), "--json"]) == code
        return json.loads(self._capsys.readouterr().out)


@pytest.fixture
def own(open_mill: Callable[..., Loremill]) -> Loremill:
    """Loremill on a home of the test's own."""
    return open_mill()


@pytest.fixture
def run(home: Path, write_tree: Callable[..., Path], capsys: pytest.CaptureFixture[str], own: Loremill) -> Command:
    own.ingest(write_tree(DOCS), collection="company")
    return Command(home, capsys)


def candidate(run: Command, *options: str) -> dict[str, Any]:
    made: dict[str, Any] = run("release", "create", "--collection", "company", *options)
    return made


def test_a_candidate_is_made_asked_compared_and_promoted_on_a_gate_and_rolled_back(run: Command, own: Loremill) -> None:
    before = run("release", "show", "live", "--collection", "company")
    made = candidate(run, "--top-k", "3", "--chunk-tokens", "24", "--set", "retrieval.dense_weight=0.25")
    assert (made["live"], made["index"]["chunk_tokens"], made["retrieval"]["passages"]) == (False, 24, 3)
    asked = ("--collection", "company", "--as", "halden/user:x", "--release", made["id"])
    assert run("ask", "How long is parental leave?", *asked)["release"] == made["id"]
    assert run("search", "leave", *asked)["build"] == made["build"]
    changed = run("release", "diff", "live", made["id"], "--collection", "company")["changed"]
    assert changed["retrieval.passages"] == {"before": 12, "after": 3}
    assert changed["index.chunk_tokens"]["after"] == 24

    refused = run("release", "promote", made["id"], code=1)
    assert refused["error"]["type"] == "PromotionRefused"
    record = {"verdict": "PASS", "candidate": made["id"], "baseline": before["id"], "dataset": "d@1", "gates": "g"}
    own.record_gate("company", record | {"created": datetime.now(UTC).isoformat(), "report": "r"})
    assert [one["verdict"] for one in run("release", "gates", "--collection", "company")["gates"]] == ["PASS"]
    assert run("release", "promote", made["id"])["previous"] == before["id"]
    assert run("release", "promote", made["id"])["kind"] == "none", "it is live already"

    back = run("release", "rollback", "--collection", "company", "--reason", "worse")
    assert (back["release"], back["reason"]) == (before["id"], "worse")
    history = run("release", "history", "--collection", "company")["history"]
    assert [one["kind"] for one in history] == ["rollback", "promote", "ingest"]


def test_force_takes_a_reason(run: Command) -> None:
    made = candidate(run, "--top-k", "3")
    assert run("release", "promote", made["id"], "--force", code=64)["error"]["type"] == "ConfigError"
    assert run("release", "promote", made["id"], "--force", "--reason", "urgent")["kind"] == "force"


@pytest.mark.parametrize("setting", ["passages=3", "colour.x=1", "retrieval=3", "retrieval.passages", "retrieval.x=1"])
def test_a_setting_that_cannot_be_read_is_refused(run: Command, setting: str) -> None:
    error = run("release", "create", "--collection", "company", "--set", setting, code=64)["error"]
    assert error["type"] == "ConfigError"


def test_people_see_tables(run: Command, capsys: pytest.CaptureFixture[str]) -> None:
    made = candidate(run, "--top-k", "3")
    shown = {}
    for words in (
        "list",
        "history --collection company",
        "gates --collection company",
        f"diff live {made['id']} --collection company",
    ):
        assert main(["release", *words.split(), "--home", str(run.home)]) == 0
        shown[words.split()[0]] = capsys.readouterr().out
    assert made["id"] in shown["list"]
    assert "ingest" in shown["history"]
    assert "retrieval.passages" in shown["diff"]
