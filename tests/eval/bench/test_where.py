"""The bench of filters measures filters that pass what they should."""

from __future__ import annotations

from pathlib import Path

from eval.bench import where
from eval.bench.rights import RandomEmbedder
from indexes.where import matches
from indexes.where_json import parse
from rag.loremill import Loremill


def test_each_filter_is_measured_with_the_share_that_it_passes(tmp_path: Path) -> None:
    with Loremill.open(tmp_path / "home") as mill:
        mill.__dict__["embedder"] = RandomEmbedder()
        figures = where.measure(mill, count=300, repeats=1)
    shares = [share for _, share, *_ in figures["rows"]]
    passing = [sum(matches(parse(one), where.metadata(number)) for number in range(300)) / 300 for one in where.FILTERS]
    assert shares == [1.0, *passing]
    assert {0.0, 1.0} < set(shares)
    assert figures["array_bytes"] > 0
