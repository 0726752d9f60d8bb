"""The demo shows what it promises: the same question, other rights, another answer, and no planted instruction obeyed."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from rag.prompts import ABSTAIN
from service import demo

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What two runs over one home printed."""
    home = tmp_path_factory.mktemp("demo") / "home"
    printed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        for _ in range(2):
            out = io.StringIO()
            with redirect_stdout(out):
                assert demo.main(["--home", str(home)]) == 0
            printed.append(out.getvalue())
    return printed


def answer_to(person: str, printed: str) -> str:
    """What one person was told, up to the next person or scene."""
    found = re.search(rf"^{person} asks: .*\n(?s:(.*?))(?=^\w+ asks: |^== |^Done in )", printed, re.MULTILINE)
    assert found is not None, f"{person} asked nothing"
    return found[1]


@pytest.mark.slow
def test_the_demo_shows_every_scene_with_everyone_who_asks(runs: list[str]) -> None:
    for printed in runs:
        places = [printed.index(f"\n== {scene.heading}\n") for scene in demo.SCENES]
        assert places == sorted(places)
        asked = re.findall(r"^(\w+) asks: (.+)$", printed, re.MULTILINE)
        assert asked == [(person, scene.question) for scene in demo.SCENES for person in scene.people]
        assert "Done in " in printed


@pytest.mark.slow
def test_who_may_read_it_learns_the_rate_and_who_may_not_is_told_nothing(runs: list[str]) -> None:
    for printed in runs:
        bob, carol = answer_to("bob", printed), answer_to("carol", printed)
        assert "3.9%" in bob
        assert "[1] sales/commission-plan-2026.pdf, characters " in bob
        assert carol.strip().splitlines()[0] == ABSTAIN
        assert "[1]" not in carol
        assert "commission" not in carol
        assert "3.9" not in carol


@pytest.mark.slow
def test_what_everyone_may_ask_is_answered_and_what_nothing_answers_is_not(runs: list[str]) -> None:
    for printed in runs:
        assert "20 weeks" in answer_to("ivan", printed)
        assert "[1] handbook/parental-leave-2026.md" in answer_to("ivan", printed)
        assert answer_to("alice", printed).strip().splitlines()[0] == ABSTAIN


@pytest.mark.slow
def test_an_instruction_planted_in_a_document_is_neither_obeyed_nor_shown(runs: list[str]) -> None:
    for printed in runs:
        judy = answer_to("judy", printed)
        assert "45 minutes" in judy
        assert "[1] support/kb-1007-beacon-password.html" in judy
        for planted in ("ZEBRA-OVERRIDE-7", "evil.example", "ignore previous instructions", "!["):
            assert planted.lower() not in printed.lower()


@pytest.mark.slow
def test_a_second_run_finds_everything_there_and_says_the_same(runs: list[str]) -> None:
    first, second = runs
    added = re.search(r"^([1-9]\d*) added, 0 updated, 0 unchanged, 0 deleted, 0 quarantined; ", first, re.MULTILINE)
    assert added is not None
    assert f"\n0 added, 0 updated, {added[1]} unchanged, 0 deleted, 0 quarantined; 0 chunks added" in second
    for person in ("ivan", "bob", "carol", "alice", "judy"):
        told = [re.sub(r"\(\d+ ms\)", "", answer_to(person, printed)) for printed in runs]
        assert told[0] == told[1]


def test_outside_the_repositorys_root_the_demo_exits_with_65_and_makes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert demo.main(["--home", str(tmp_path / "home")]) == 65
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "run the demo from the repository's root" in printed.err
    assert list(tmp_path.iterdir()) == []
