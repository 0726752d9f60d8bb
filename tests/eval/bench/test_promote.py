"""The bench of promotion finds no fault in the product, and finds those that there are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval.bench import promote
from rag import Loremill
from rag.prompts import load_prompt

OpenMill = Callable[..., Loremill]


@pytest.fixture
def loaded(open_mill: OpenMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """Runs promotions and rollbacks under load."""
    monkeypatch.setattr("rag.ask.make_generator", lambda _name, _settings: promote.Repeater())

    def run() -> dict[str, Any]:
        mill = open_mill(cache_entries=0)
        live, candidate = promote.make(mill, promote.write_documents(tmp_path / "docs", 20))
        return promote.under_load(mill, live, candidate, rounds=4, threads=3)

    return run


def test_no_query_fails_and_no_answer_is_mixed_while_releases_come_and_go(loaded: Callable[[], dict[str, Any]]) -> None:
    found = loaded()
    assert found["faults"] == 0, found["first_faults"]
    assert len(found["queries"]) == 2, "both releases were asked"
    assert max(found["promote_s"]["max"], found["rollback_s"]["max"]) < 1


def test_an_answer_that_mixes_two_releases_is_found(
    loaded: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is given the live release's first prompt, whichever release the passages are of."""
    monkeypatch.setattr("rag.ask.answer_prompt", lambda _reference, home=None: load_prompt("answer@1"))
    assert loaded()["faults"] > 0


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_one_live_release(open_mill: OpenMill, home: Path, tmp_path: Path) -> None:
    mill = open_mill()
    promote.make(mill, promote.write_documents(tmp_path / "docs", 20))
    mill.close()
    assert promote.killed(home, kills=3, seed=2)["faults"] == []
