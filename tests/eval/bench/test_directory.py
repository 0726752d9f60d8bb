"""The bench of the directory measures people who have every group above them."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.bench import directory


def test_everybody_measured_is_in_every_level(tmp_path: Path) -> None:
    figures = directory.measure(tmp_path, members=12, levels=3, queries=8)
    assert all(figure > 0 for figure in figures.values())
    assert {"warm_wall_p99_ms", "after_change_cpu_p99_ms", "warm_ratio", "after_change_ratio"} <= figures.keys()


def test_a_nesting_that_is_not_there_is_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = directory.scim(5, 1)
    monkeypatch.setattr(directory, "scim", lambda members, levels: flat)
    with pytest.raises(RuntimeError, match="has not all of its 3 groups"):
        directory.measure(tmp_path, members=5, levels=3, queries=8)
