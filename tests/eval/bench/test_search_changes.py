from pathlib import Path

import numpy as np
import pytest

from eval.bench.filtered.world import Rights, World, clustered_world
from eval.bench.search_changes import Changing, Held, changed, compare


@pytest.fixture(scope="module")
def world() -> World:
    return clustered_world(3000, dim=32, n_queries=200)


def test_a_round_deletes_and_adds_as_many() -> None:
    ids, deleted = changed(np.arange(100), np.arange(100, 110), 10, np.random.default_rng(1))
    assert len(ids) == 100
    assert (np.diff(ids) > 0).all()
    assert not np.isin(deleted, ids).any()
    assert np.isin(np.arange(100, 110), ids).all()


def test_an_answer_with_a_deleted_or_mistaken_row_is_a_fault(world: World, tmp_path: Path) -> None:
    changing = Changing(world, tmp_path)
    before, _ = changing.build(np.arange(0, 2000), None)
    after, _ = changing.build(np.arange(100, 2100), before)
    deleted = np.arange(100)
    assert changing.faults(after, deleted) == 0
    assert changing.faults(before, deleted) == 100, "an index that still holds them finds each of them"
    shifted = Held(after.index, before.ids, after.path)
    assert changing.faults(shifted, np.arange(2100, 2150)) == 50, (
        "rows that are other rows than they claim have other scores"
    )


def test_recall_is_counted_against_exact_search_of_the_fresh_build(world: World, tmp_path: Path) -> None:
    changing = Changing(world, tmp_path)
    fresh, _ = changing.build(np.arange(2000), None)
    shifted, _ = changing.build(np.arange(1000, 3000), None)
    people = list(world.asked(Rights.POSITIVE, 0.1, people=2, each=10))
    (same, p50), _ = compare(fresh, fresh, people)
    (other, _), (whole, _) = compare(shifted, fresh, people)
    assert same == whole == 1.0
    assert other < 0.5
    assert p50 > 0
