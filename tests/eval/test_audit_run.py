"""The score that is kept: what counts against, what proves nothing, and that a seed says it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eval.audit import DOORS, Trial, audit_leaks
from eval.audit.report import DoorCount, LeakAudit
from rag.loremill import Loremill

pytestmark = pytest.mark.slow


def audit(mill: Loremill, folder: Path, trials: int, **doors: Any) -> LeakAudit:
    return audit_leaks(mill, folder=folder, trials=trials, doors={name: (door, 1.0) for name, door in doors.items()})


def test_a_seed_says_it_all(open_mill: Any, tmp_path: Path) -> None:
    doors = {name: DOORS[name][0] for name in ("search lexical", "documents", "collections", "race")}
    reports = [audit(open_mill(tmp_path / name), tmp_path / f"{name}-docs", 50, **doors).to_json() for name in "ab"]
    for report in reports:
        assert report["ok"], report["first"]
        for door in report["doors"].values():
            del door["ms"]
    assert reports[0] == reports[1]


def test_a_door_that_breaks_counts_against_and_is_told_with_its_step(mill: Loremill, tmp_path: Path) -> None:
    def broken(trial: Trial) -> None:
        raise ZeroDivisionError("by nought")

    report = audit(mill, tmp_path / "docs", 3, broken=broken, fine=DOORS["documents"][0])
    assert not report.ok
    assert report.upper_bound_95 is None
    assert report.total("errors") == report.doors["broken"].errors > 0
    assert report.first[0]["error"] == "ZeroDivisionError: by nought"
    assert {"seed", "step", "door", "person"} <= report.first[0].keys()


def test_what_a_door_tells_is_judged_by_the_rights_of_the_listener(mill: Loremill, tmp_path: Path) -> None:
    def gossip(trial: Trial) -> None:
        trial.hear(list(trial.world.documents.values()))

    report = audit(mill, tmp_path / "docs", 2, gossip=gossip)
    assert report.doors["gossip"].leaks == 2
    leaked = report.first[0]["leaked"]
    assert leaked == sorted(leaked)
    assert leaked


def test_an_audit_in_which_nothing_was_at_stake_proves_nothing() -> None:
    silent = LeakAudit(0, forbidden=5, doors={"d": DoorCount(trials=5)})
    open_ = LeakAudit(0, forbidden=0, doors={"d": DoorCount(trials=5, told=9)})
    sound = LeakAudit(0, forbidden=5, doors={"d": DoorCount(trials=300, told=9)})
    assert (silent.ok, open_.ok, sound.ok) == (False, False, True)
    assert (silent.upper_bound_95, open_.upper_bound_95, sound.upper_bound_95) == (None, None, 0.01)
