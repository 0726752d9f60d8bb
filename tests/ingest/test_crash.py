"""Kills and full disks, as `eval.bench.crash` deals them out: the old or the new state is served, and a second run completes."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.bench.crash import BOUNDARIES, Bed, killed_after, killed_at, limited_to

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def bed(tmp_path_factory: pytest.TempPathFactory) -> Bed:
    return Bed.make(tmp_path_factory.mktemp("crash"), documents=12)


def test_the_old_and_the_new_state_differ(bed: Bed) -> None:
    assert bed.old != bed.new
    assert bed.old.keys() != bed.new.keys()


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_kill_at_a_stage_boundary(bed: Bed, boundary: str) -> None:
    assert bed.trial(killed_at(boundary)) == ("new" if boundary == "committed" else "old")


@pytest.mark.parametrize("share", [0.35, 0.6, 0.8, 0.95])
def test_a_kill_at_any_moment(bed: Bed, share: float) -> None:
    assert bed.trial(killed_after(share * bed.seconds)) in {"old", "new"}


@pytest.mark.parametrize("size", [4_096, 30_000, 100_000, 200_000])
def test_a_full_disk(bed: Bed, size: int) -> None:
    assert bed.trial(limited_to(size)) in {"old", "new"}


def test_a_trial_notices_a_mixture(bed: Bed) -> None:
    def mix(home: Path, _docs: Path) -> None:
        import sqlite3

        with sqlite3.connect(home / "tenants/t/catalog.db") as db:
            db.execute("DELETE FROM documents WHERE document_id = (SELECT min(document_id) FROM documents)")

    with pytest.raises(AssertionError):
        bed.trial(mix)
