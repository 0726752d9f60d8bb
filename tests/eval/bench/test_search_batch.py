from pathlib import Path

from eval.bench import search_batch
from eval.bench.filtered.engines import Loremill
from eval.bench.filtered.world import clustered_world


def test_a_batch_is_answered_as_its_queries_are_one_by_one(tmp_path: Path) -> None:
    world = clustered_world(2000, dim=32, n_queries=200)
    rows = list(search_batch.measure(world, Loremill(world, tmp_path), people=1))
    assert [row[1] for row in rows] == ["1%", "10%", "30%", "100%"] * 2
    assert all(one > 0 and many > 0 and unequal == 0 for *_, one, many, _, unequal in rows)  # type: ignore[operator]
